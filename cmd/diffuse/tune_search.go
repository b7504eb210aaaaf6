package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// A tuneSpace is the set of skip weights that "diffuse tune" searches: the same weight everywhere or a ramp from the deepest
// connection to the finest, in a window of noise levels or several to choose from.
type tuneSpace struct {
	ramp    bool
	lo, hi  float64 // range of the weights
	points  int     // of the grid, per weight
	rounds  int     // of refinement, each with half the step of the one before
	most    int     // candidates at most
	windows []string
}

// A tunePoint is one candidate: one weight or two, and the number of its window.
type tunePoint struct {
	weights [2]float64 // deepest, finest; equal for a constant
	window  int
}

// skip is the candidate as --skip spells it.
func (s *tuneSpace) skip(p tunePoint) string {
	text := formatWeight(p.weights[0])
	if p.weights[0] != p.weights[1] {
		text += ":" + formatWeight(p.weights[1])
	}
	if len(s.windows) > 0 && s.windows[p.window] != "" {
		text += "@" + s.windows[p.window]
	}
	return text
}

// formatWeight writes a weight as short as it is meant: grids are not exact in binary.
func formatWeight(w float64) string { return strconv.FormatFloat(math.Round(w*1e4)/1e4, 'g', -1, 64) }

// search evaluates a grid, then steps from the best point to better neighbours, halving the step where there are none. score is called once
// per candidate and returns the number to make small.
func (s *tuneSpace) search(score func(skip string) (float64, error)) error {
	known := map[string]float64{}
	var best tunePoint
	lowest := math.Inf(1)
	try := func(p tunePoint) error {
		text := s.skip(p)
		if _, seen := known[text]; seen || len(known) >= s.most {
			return nil
		}
		v, err := score(text)
		if err != nil {
			return err
		}
		known[text] = v
		if v < lowest {
			best, lowest = p, v
		}
		return nil
	}
	step := 0.0
	if s.points > 1 {
		step = (s.hi - s.lo) / float64(s.points-1)
	}
	for _, p := range s.grid(step) {
		if err := try(p); err != nil {
			return err
		}
	}
	for range s.rounds {
		step /= 2
		for centre, moved := best, true; moved && step > 0; centre = best {
			for _, p := range s.neighbours(centre, step) {
				if err := try(p); err != nil {
					return err
				}
			}
			moved = best != centre
		}
	}
	return nil
}

// grid lists the points of the first stage.
func (s *tuneSpace) grid(step float64) []tunePoint {
	var list []tunePoint
	for w := range max(1, len(s.windows)) {
		for i := range s.points {
			bottom := s.lo + float64(i)*step
			if !s.ramp {
				list = append(list, tunePoint{[2]float64{bottom, bottom}, w})
				continue
			}
			for j := range s.points {
				list = append(list, tunePoint{[2]float64{bottom, s.lo + float64(j)*step}, w})
			}
		}
	}
	return list
}

// neighbours are the points a step away from p in one weight, within the range; of a constant, both weights are one.
func (s *tuneSpace) neighbours(p tunePoint, step float64) []tunePoint {
	var list []tunePoint
	for _, d := range []float64{-step, step} {
		move := func(which ...int) {
			q := p
			for _, i := range which {
				q.weights[i] = min(max(p.weights[i]+d, s.lo), s.hi)
			}
			if q != p {
				list = append(list, q)
			}
		}
		if !s.ramp {
			move(0, 1)
			continue
		}
		move(0)
		move(1)
	}
	return list
}

// jackknife is the standard error of a number from its values without one block each (Efron and Stein 1981).
func jackknife(without []float64) float64 {
	n := float64(len(without))
	mean, sum := 0.0, 0.0
	for _, v := range without {
		mean += v / n
	}
	for _, v := range without {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt((n - 1) / n * sum)
}

// A tuned is a candidate with its score.
type tuned struct {
	Skip    string    `json:"skip"`
	Score   float64   `json:"score"`
	Without []float64 `json:"without,omitempty"` // the score without each block of seeds
	Seconds float64   `json:"seconds"`
}

// standardError is 0 where there are no blocks.
func (t tuned) standardError() float64 {
	if len(t.Without) == 0 {
		return 0
	}
	return jackknife(t.Without)
}

// gain is how much lower the score is than another one of the same seeds, and the standard error of that: noise that both share is gone.
func (t tuned) gain(than tuned) (gain, standardError float64) {
	if len(t.Without) > 0 && len(t.Without) == len(than.Without) {
		d := make([]float64, len(t.Without))
		for i := range d {
			d[i] = than.Without[i] - t.Without[i]
		}
		standardError = jackknife(d)
	}
	return than.Score - t.Score, standardError
}

// ranked sorts candidates by score, the best first.
func ranked(list []tuned) []tuned {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b tuned) int {
		switch {
		case a.Score < b.Score:
			return -1
		case a.Score > b.Score:
			return 1
		}
		return 0
	})
	return sorted
}

// check refuses a space that cannot be searched.
func (s *tuneSpace) check() error {
	switch {
	case !(s.lo >= 0) || !(s.hi > s.lo) || math.IsInf(s.hi, 0):
		return usagef("--range: %g to %g is no range of weights", s.lo, s.hi)
	case s.points < 2:
		return usagef("--points is %d, want 2 or more", s.points)
	case s.rounds < 0 || s.most < 1:
		return usagef("--rounds %d and --most %d: want 0 or more, and 1 or more", s.rounds, s.most)
	}
	if first := len(s.grid(1)); first > s.most {
		return withHint(usagef("the grid alone has %d candidates, --most is %d", first, s.most), "%s", fmt.Sprintf("fewer --points (%d now) or --shape constant", s.points))
	}
	return nil
}
