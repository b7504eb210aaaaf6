package report

import (
	"math"
	"strconv"
	"strings"
)

// The size of a chart as Go draws it, and of its margins, in SVG units.
const (
	plotWidth, plotHeight   = 480.0, 240.0
	left, right, top, below = 50.0, 12.0, 10.0, 24.0
)

// A plot is a chart ready to be drawn: everything in SVG units.
type plot struct {
	X, Y   []tick
	Lines  []line
	Across float64 // where the x axis runs
}

// A tick is a labelled place on an axis.
type tick struct {
	At    float64
	Label string
}

// A line is a curve, or a single point.
type line struct {
	Class  string // its colour and dashes
	Level  *float64
	Points string
	Dots   []dot
}

type dot struct{ X, Y float64 }

// fewPoints is how many points of a curve are marked, because one sees where it was measured.
const fewPoints = 30

// extent is what the curves of charts span along x; of charts over images it is the same for all of them, so that they can be read below one another.
func extent(charts []Chart, over string) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, c := range charts {
		if c.Over != over {
			continue
		}
		for _, s := range c.Series {
			lo, hi = min(lo, s.X[0]), max(hi, s.X[len(s.X)-1])
		}
	}
	if !(lo < hi) {
		return lo - 1, hi + 1
	}
	return lo, hi
}

// draw lays out a chart whose axes have the given ends.
func (c *Chart) draw(xlo, xhi, lo, hi float64) plot {
	x := scale{lo: xlo, hi: xhi, from: left, to: plotWidth - right, log: c.Over == "sigma"}
	y := scale{lo: lo, hi: hi, from: plotHeight - below, to: top, log: c.Log}
	p := plot{X: x.ticks(6), Y: y.ticks(5), Across: plotHeight - below}
	for _, s := range c.Series {
		l := line{Class: runClass(s.Run), Level: s.Level}
		if s.Level != nil {
			l.Class = "level"
		}
		var b strings.Builder
		step := max(1, len(s.X)/400) // a page without scripts needs no more
		for i := 0; i < len(s.X); i += step {
			px, py := x.at(s.X[i]), y.at(s.Y[i])
			b.WriteString(decimal(px) + "," + decimal(py) + " ")
			if len(s.X) <= fewPoints {
				l.Dots = append(l.Dots, dot{round1(px), round1(py)})
			}
		}
		l.Points = b.String()
		p.Lines = append(p.Lines, l)
	}
	return p
}

// runClass is the CSS class of a run's colour and, past the last colour, dashes.
func runClass(run int) string {
	const colors, dashes = 6, 3
	return "c" + strconv.Itoa(run%colors) + " d" + strconv.Itoa(run/colors%dashes)
}

// bounds are the ends of the y axis for curves of charts, with a little room.
func bounds(charts []*Chart) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	log, zero := true, false
	for _, c := range charts {
		log, zero = log && c.Log, zero || c.Zero
		for _, s := range c.Series {
			for _, v := range s.Y {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if log {
		room := math.Pow(max(hi/lo, 1.05), 0.04)
		return lo / room, hi * room
	}
	room := 0.04 * (hi - lo)
	if room == 0 {
		room = 0.05 * math.Abs(hi)
	}
	if room == 0 {
		room = 1
	}
	if zero && lo >= 0 {
		return 0, hi + room
	}
	return lo - room, hi + room
}

// A scale maps values lo to hi onto places from to to.
type scale struct {
	lo, hi, from, to float64
	log              bool
}

func (s scale) at(v float64) float64 {
	lo, hi := s.lo, s.hi
	if s.log {
		v, lo, hi = math.Log(v), math.Log(lo), math.Log(hi)
	}
	return s.from + (s.to-s.from)*(v-lo)/(hi-lo)
}

// ticks returns about n places with round values: on a logarithmic scale 1, 2 and 5 of each decade, or powers of ten; where that gives too few,
// the round ones of a linear scale.
func (s scale) ticks(n int) []tick {
	values, decades := []float64(nil), 0.0
	if s.log {
		decades = math.Log10(s.hi / s.lo)
		digits := []float64{1}
		if decades < 2.5 {
			digits = []float64{1, 2, 5}
		}
		skip := max(1, math.Ceil(decades/float64(n)))
		for e := math.Floor(math.Log10(s.lo)); e <= math.Log10(s.hi); e += skip {
			for _, d := range digits {
				values = append(values, d*math.Pow(10, e))
			}
		}
	}
	if decades <= 1.5 && s.inside(values) < 3 {
		values = nil
		step := niceStep((s.hi - s.lo) / float64(n))
		for i := range 20 { // a bound, where the step is lost in the rounding of the ends
			values = append(values, (math.Ceil(s.lo/step)+float64(i))*step)
		}
	}
	var ticks []tick
	for _, v := range values {
		if v >= s.lo && v <= s.hi {
			ticks = append(ticks, tick{round1(s.at(v)), short(v)})
		}
	}
	return ticks
}

// inside counts the values within the scale.
func (s scale) inside(values []float64) int {
	n := 0
	for _, v := range values {
		if v >= s.lo && v <= s.hi {
			n++
		}
	}
	return n
}

// niceStep is the next of 1, 2, 2.5 and 5 times a power of ten.
func niceStep(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 2.5, 5} {
		if v <= f*unit*(1+1e-9) {
			return f * unit
		}
	}
	return 10 * unit
}

func round1(v float64) float64 { return math.Round(10*v) / 10 }

func decimal(v float64) string { return strconv.FormatFloat(round1(v), 'f', -1, 64) }
