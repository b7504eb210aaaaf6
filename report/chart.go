package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Chart is a set of curves over the same axes.
type Chart struct {
	ID     string   `json:"id"`
	Group  string   `json:"group"`
	Title  string   `json:"title"`
	Unit   string   `json:"unit,omitempty"`
	Over   string   `json:"over"`            // what x is: "images", or "sigma" for noise levels
	Log    bool     `json:"log"`             // the y axis is logarithmic at first
	Zero   bool     `json:"zero,omitempty"`  // the y axis begins at 0
	Noisy  bool     `json:"noisy,omitempty"` // smoothing makes sense
	Share  string   `json:"share,omitempty"` // charts with the same word here have the same y axis
	Note   string   `json:"note,omitempty"`
	Series []Series `json:"series"`

	better, order int
}

// A Series is one curve.
type Series struct {
	Name  string   `json:"name"`
	Run   int      `json:"run"`             // index of its run
	Level *float64 `json:"level,omitempty"` // place on the scale of noise levels, 0 clean to 1 noisy, for a colour
	X     Numbers  `json:"x"`
	Y     Numbers  `json:"y"`
}

// maxPoints is how many points of a curve a page keeps at most, about three on each pixel of a wide chart.
const maxPoints = 2000

// thin keeps, of a longer curve, the lowest and the highest point of each of maxPoints/2 stretches, and the ends.
func thin(x, y Numbers) (Numbers, Numbers) {
	if len(x) <= maxPoints {
		return x, y
	}
	var tx, ty Numbers
	keep := func(i int) { tx, ty = append(tx, x[i]), append(ty, y[i]) }
	keep(0)
	inner, stretches := len(x)-2, maxPoints/2-1
	for s := range stretches {
		lo, hi := 1+s*inner/stretches, 1+(s+1)*inner/stretches
		low, high := lo, lo
		for i := lo; i < hi; i++ {
			if y[i] < y[low] {
				low = i
			}
			if y[i] > y[high] {
				high = i
			}
		}
		keep(min(low, high))
		if low != high {
			keep(max(low, high))
		}
	}
	keep(len(x) - 1)
	return tx, ty
}

// charts makes all charts of runs in the order of the page.
func charts(runs []*Run) []Chart {
	var all []Chart
	all = append(all, tableCharts(runs, func(r *Run) *table { return &r.stats }, statKind, "")...)
	for i := range all {
		all[i].Noisy = all[i].Group != groupMachine
	}
	all = append(all, validationCharts(runs)...)
	measured := tableCharts(runs, func(r *Run) *table { return &r.metrics }, metricKind, "metric-")
	if note := measuredHow(runs); note != "" {
		for i := range measured {
			measured[i].Note = note
		}
	}
	all = append(all, measured...)
	slices.SortStableFunc(all, func(a, b Chart) int {
		if g := slices.Index(groups, a.Group) - slices.Index(groups, b.Group); g != 0 {
			return g
		}
		return a.order - b.order
	})
	return all
}

// tableCharts makes a chart for every number that the tables of runs have.
func tableCharts(runs []*Run, of func(*Run) *table, kindOf func(string) (kind, int), prefix string) []Chart {
	var names []string
	for _, r := range runs {
		names = append(names, of(r).names()...)
	}
	slices.Sort(names)
	var all []Chart
	for _, name := range slices.Compact(names) {
		if notDrawn[name] {
			continue
		}
		k, order := kindOf(name)
		c := Chart{ID: prefix + name, Group: k.group, Title: k.title, Unit: k.unit, Over: "images", Log: k.log, Zero: k.zero, better: k.better, order: order}
		if k.scale == 0 {
			k.scale = 1
		}
		for i, r := range runs {
			if x, y := of(r).column(name, k.scale); len(x) > 0 {
				c.addCurve(Series{Name: r.Name, Run: i, X: x, Y: y})
			}
		}
		all = append(all, c)
	}
	return all
}

// addCurve adds a curve, thinned. A curve that touches 0 takes the chart's logarithmic axis away.
func (c *Chart) addCurve(s Series) {
	s.X, s.Y = thin(s.X, s.Y)
	c.Log = c.Log && slices.Min(s.Y) > 0
	c.Series = append(c.Series, s)
}

// measuredHow says how the runs' metrics were taken if that differs, which makes them incomparable.
func measuredHow(runs []*Run) string {
	all, parts := map[string]bool{}, []string(nil)
	for _, r := range runs {
		var own []string
		for how := range r.how {
			all[how] = true
			own = append(own, how)
		}
		slices.Sort(own)
		if len(own) > 0 {
			parts = append(parts, r.Name+": "+strings.Join(own, ", then "))
		}
	}
	if len(all) < 2 {
		return ""
	}
	return "These numbers were not all measured in the same way and cannot be compared throughout. " + strings.Join(parts, "; ")
}

// validationCharts makes the charts of losses on pictures kept aside: in all, by noise level at the last measurement, and, run by run, by noise
// level over the run.
func validationCharts(runs []*Run) []Chart {
	total := Chart{ID: "validation", Group: groupLoss, Title: "Validation loss", Over: "images", Log: true, better: -1, order: 100}
	profile := Chart{ID: "validation-profile", Group: groupLevels, Title: "Validation loss, last measured", Over: "sigma", Log: true, better: -1, order: 101}
	var levels []Chart
	for i, r := range runs {
		s := Series{Name: r.Name, Run: i}
		for _, v := range r.validation {
			if v.Loss != nil {
				s.X, s.Y = append(s.X, v.Images), append(s.Y, *v.Loss)
			}
		}
		if len(s.X) > 0 {
			total.addCurve(s)
		}
		if p := r.profile(i); len(p.X) > 0 {
			profile.addCurve(p)
		}
		if c := r.levels(i, len(runs) > 1); len(c.Series) > 0 {
			levels = append(levels, c)
		}
	}
	all := levels
	for _, c := range []Chart{profile, total} {
		if len(c.Series) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// profile is the last validation loss over the noise level, each bin at its logarithmic middle.
func (r *Run) profile(run int) Series {
	s := Series{Name: r.Name, Run: run}
	if len(r.validation) == 0 {
		return s
	}
	for _, b := range r.validation[len(r.validation)-1].Bins {
		if middle := math.Sqrt(b.Lo * b.Hi); b.Loss != nil && middle > 0 {
			s.X, s.Y = append(s.X, middle), append(s.Y, *b.Loss)
		}
	}
	return s
}

// levels is the chart of one run's validation losses by noise level, over the images shown.
func (r *Run) levels(run int, several bool) Chart {
	c := Chart{ID: fmt.Sprintf("validation-levels-%d", run), Group: groupLevels, Title: "Validation loss", Over: "images", Log: true,
		Share: "levels", better: -1, order: 102 + run}
	if several {
		c.Title += " of " + r.Name
	}
	type bin struct{ lo, hi float64 }
	curves := map[bin]*Series{}
	var bins []bin
	for _, v := range r.validation {
		for _, b := range v.Bins {
			if b.Loss == nil {
				continue
			}
			k := bin{b.Lo, b.Hi}
			s := curves[k]
			if s == nil {
				s = &Series{Name: fmt.Sprintf("σ %.2g–%.2g", b.Lo, b.Hi), Run: run}
				curves[k] = s
				bins = append(bins, k)
			}
			s.X, s.Y = append(s.X, v.Images), append(s.Y, *b.Loss)
		}
	}
	slices.SortFunc(bins, func(a, b bin) int {
		if a.lo < b.lo || a.lo == b.lo && a.hi < b.hi {
			return -1
		}
		return 1
	})
	for i, b := range bins {
		level := float64(i) / max(1, float64(len(bins)-1))
		curves[b].Level = &level
		c.addCurve(*curves[b])
	}
	return c
}
