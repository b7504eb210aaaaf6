package sampler

import (
	"fmt"
	"iter"
	"math"
)

// An Interval is one place where [Restart] goes back up: at the level of the run nearest to Low it adds noise up to High and
// comes down again, Repeats times, over Levels levels on EDM's grid with rho 7.
type Interval struct {
	Levels  int     `json:"levels"` // of each way down, both ends included: Levels - 1 steps
	Repeats int     `json:"repeats"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
}

// Restart is the sampler of Xu et al. (arXiv 2306.14878, algorithm 1) over [Heun]: at the levels of Options.Restart it repeats going up by
// fresh noise and down by the ODE, which contracts the errors made before. Without intervals it is Heun. One draw for every repetition; two evaluations for
// each step of a way down. The lower end of an interval is the level of the run nearest to Low; an interval there is passed before the run goes on.
//
// Options: Restart (see [DefaultRestart]), NoiseScale, Noise.
func Restart(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("Restart", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den, den2, pred := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		var first, noise []float64 // first: D at the start of a step that has restarts
		for i, next := range sigmas[1:] {
			d(den, x, sigmas[i])
			shown := den
			if next == 0 {
				copy(x, den)
			} else {
				heunStep(d, x, den, den2, pred, sigmas[i], next)
			}
			for _, r := range o.Restart {
				if r.at(sigmas) != i+1 {
					continue
				}
				if first == nil {
					first = make([]float64, len(x))
				}
				if &shown[0] == &den[0] {
					copy(first, den)
					shown = first
				}
				for range r.Repeats {
					addNoise(x, &noise, math.Sqrt(r.High*r.High-next*next)*o.NoiseScale, next, r.High, o)
					for k := range r.Levels - 1 {
						from, to := r.level(k, next), r.level(k+1, next)
						d(den, x, from)
						heunStep(d, x, den, den2, pred, from, to)
					}
				}
			}
			if !yield(State{i + 1, next, x, shown}) {
				return
			}
		}
	}
}

// DefaultRestart returns the interval that the reference gives as its example: 3 levels, 2 repeats, 0.06 to 0.30.
func DefaultRestart() []Interval { return []Interval{{Levels: 3, Repeats: 2, Low: 0.06, High: 0.30}} }

// at returns the index of the level nearest to Low, of those above 0.
func (r Interval) at(sigmas []float64) int {
	best := 0
	for i, s := range sigmas {
		if s > 0 && math.Abs(s-r.Low) < math.Abs(sigmas[best]-r.Low) {
			best = i
		}
	}
	return best
}

// level returns level k of a way down to low, on EDM's grid (eq. 5 of arXiv 2206.00364).
func (r Interval) level(k int, low float64) float64 {
	const rho = 7
	switch k {
	case 0:
		return r.High
	case r.Levels - 1:
		return low
	}
	a, b := math.Pow(r.High, 1./rho), math.Pow(low, 1./rho)
	return math.Pow(a+float64(k)/float64(r.Levels-1)*(b-a), rho)
}

func (r Interval) validate(sigmas []float64) error {
	switch {
	case r.Levels < 2 || r.Repeats < 1:
		return fmt.Errorf("sampler: restart interval with %d levels, %d repeats; at least 2 and 1 are needed", r.Levels, r.Repeats)
	case !(r.Low > 0) || !(r.High > r.Low) || math.IsInf(r.High, 0):
		return fmt.Errorf("sampler: restart interval from %v to %v; want 0 < low < high", r.Low, r.High)
	}
	at := r.at(sigmas)
	if at == 0 || sigmas[at] >= r.High {
		return fmt.Errorf("sampler: restart interval from %v to %v lies outside the noise levels: the nearest level to its lower end is %v, number %d of the run",
			r.Low, r.High, sigmas[at], at)
	}
	return nil
}
