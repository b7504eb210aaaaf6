package metric_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"diffuse/metric"
)

// plainNearest is the definition: all distances, sorted; ties by index.
func plainNearest(a, b metric.Features, k int) (index []int, dist []float64) {
	for i := range a.N {
		all, order := make([]float64, b.N), make([]int, b.N)
		for j := range b.N {
			order[j] = j
			for c, v := range a.Row(i) {
				all[j] += (v - b.Row(j)[c]) * (v - b.Row(j)[c])
			}
		}
		slices.SortStableFunc(order, func(p, q int) int {
			switch {
			case all[p] < all[q]:
				return -1
			case all[p] > all[q]:
				return 1
			}
			return 0
		})
		for _, j := range order[:k] {
			index, dist = append(index, j), append(dist, math.Sqrt(all[j]))
		}
	}
	return index, dist
}

// TestNearest compares with the definition: sets larger than a tile, values on a grid, so that many distances are equal, and far from 0.
func TestNearest(t *testing.T) {
	for name, change := range map[string]func(i, j int, v float64) float64{
		"random":  func(_, _ int, v float64) float64 { return v },
		"grid":    func(_, _ int, v float64) float64 { return math.Round(v) },
		"shifted": func(_, _ int, v float64) float64 { return 1e6 + v },
	} {
		a, b := changed(random(1, 150, 3), change), changed(random(2, 700, 3), change)
		for _, k := range []int{1, 4} {
			got := must(metric.Nearest(t.Context(), a, b, k))(t)
			index, dist := plainNearest(a, b, k)
			if got.N != 150 || got.K != k || !slices.Equal(got.Index, index) || !slices.Equal(got.Distance, dist) {
				t.Errorf("%s, %d nearest: not those of the definition", name, k)
			}
		}
	}
	a := random(1, 5, 3)
	refuses(t, a, func(a, b metric.Features) error { _, err := metric.Nearest(t.Context(), a, b, 1); return err })
	for _, k := range []int{0, 6} {
		if _, err := metric.Nearest(t.Context(), a, a, k); err == nil {
			t.Errorf("the %d nearest of 5: not refused", k)
		}
	}
}

// TestAuthenticity on a line, where it can be counted: real rows at 0, 10, 20 and twice at 30.
func TestAuthenticity(t *testing.T) {
	real := metric.Features{N: 5, D: 1, X: []float64{0, 10, 20, 30, 30}}
	generated := metric.Features{N: 6, D: 1, X: []float64{
		0,    // a copy
		11,   // nearer to 10 than 0 and 20 are
		-11,  // farther from 0 than 10 is
		-10,  // as far as that: not farther
		30,   // a copy of two, which are at 0 of each other: not farther
		30.5, // farther from 30 than the other 30 is
	}}
	m := must(metric.Authenticity(t.Context(), generated, real, 2))(t)
	if m.Authentic != 2 || m.Authenticity != 2./6 {
		t.Errorf("%d of 6 authentic, share %g; want 2", m.Authentic, m.Authenticity)
	}
	if want := []float64{10, 10, 10, 10, 0, 0}; !slices.Equal(m.Between, want) {
		t.Errorf("distances to the next %v, want %v", m.Between, want)
	}
	if want := []int{0, 1, 1, 2, 0, 1, 0, 1, 3, 4, 3, 4}; !slices.Equal(m.Nearest.Index, want) {
		t.Errorf("nearest %v, want %v", m.Nearest.Index, want)
	}
	// Copies are not authentic; fresh draws are to about a half.
	x, y := random(1, 400, 4), random(2, 400, 4)
	if m := must(metric.Authenticity(t.Context(), x, x, 1))(t); m.Authentic != 0 {
		t.Errorf("%d of 400 copies are authentic", m.Authentic)
	}
	if m := must(metric.Authenticity(t.Context(), y, x, 1))(t); !(math.Abs(m.Authenticity-0.5) < 0.15) {
		t.Errorf("share %g of fresh draws is authentic", m.Authenticity)
	}
	refuses(t, x, func(a, b metric.Features) error { _, err := metric.Authenticity(t.Context(), a, b, 1); return err })
	if _, err := metric.Authenticity(t.Context(), x, x.First(1), 1); err == nil {
		t.Error("one real picture: not refused")
	}
}

// A countdown is a context that ends after it was asked so many times.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestInterrupted: what takes minutes ends in the middle when its context does, and does no more than was allowed.
func TestInterrupted(t *testing.T) {
	x := random(1, 1200, 3)
	for name, call := range map[string]func(context.Context) error{
		"prdc": func(c context.Context) error {
			_, err := metric.PrecisionRecall(c, x, x, metric.DefaultPRDCOptions())
			return err
		},
		"radii":        func(c context.Context) error { _, err := metric.Radii(c, x, 3); return err },
		"nearest":      func(c context.Context) error { _, err := metric.Nearest(c, x, x, 3); return err },
		"authenticity": func(c context.Context) error { _, err := metric.Authenticity(c, x, x, 1); return err },
		"FD∞": func(c context.Context) error {
			_, err := metric.FDInfinity(c, x, x, []int{600, 800, 1000, 1200})
			return err
		},
	} {
		c := &countdown{Context: t.Context()}
		c.left.Store(3)
		if err := call(c); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want that of the context", name, err)
		}
		c.left.Store(math.MaxInt64)
		if err := call(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
