package metric_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/metric"
)

// 1e-8 relative to the spread over subsets: the estimates cancel, and may be near 0. The products are off by less than 2⁻²⁴ of √64·2⁻¹², 1e-10.
func TestGoldenKID(t *testing.T) {
	type numbers struct {
		Float64 struct {
			Mean float64 `json:"kernel_inception_distance_mean"`
			Std  float64 `json:"kernel_inception_distance_std"`
		} `json:"float64"`
		Each []float64 `json:"each_subset_float64"`
		Full float64   `json:"full_set_unbiased_float64"`
	}
	r := open(t)
	for key, w := range results[map[string]numbers](t, "kid") {
		name1, name2, _ := strings.Cut(key, "_")
		a, b := r.set(t, name1), r.set(t, name2)
		in1, in2, err := metric.KIDDrawsNumPy(a.N, b.N, 100, 10, 2020)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range r.rows(t, "kid."+key+".subsets1") {
			if !slices.Equal(in1[i], want) || !slices.Equal(in2[i], r.rows(t, "kid."+key+".subsets2")[i]) {
				t.Errorf("%s: subset %d is not NumPy's", key, i)
			}
		}
		s := must(metric.KIDSubsets(t.Context(), a, b, in1, in2, nil))(t)
		near(t, key+" mean", s.Mean, w.Float64.Mean, 1e-8, w.Float64.Std)
		near(t, key+" std", s.Std, w.Float64.Std, 1e-8, w.Float64.Std)
		near(t, key+" whole sets", must(metric.KID(a, b))(t), w.Full, 1e-8, w.Float64.Std)
		if len(s.Each) != len(w.Each) {
			t.Fatalf("%s: %d subsets, want %d", key, len(s.Each), len(w.Each))
		}
		for i, v := range s.Each {
			near(t, key+" subset", v, w.Each[i], 1e-8, w.Float64.Std)
		}
	}
}

// plainKID is the definition.
func plainKID(a, b metric.Features) float64 {
	sum := func(x, y metric.Features, same bool) (s float64) {
		for i := range x.N {
			for j := range y.N {
				if same && i == j {
					continue
				}
				dot := 0.0
				for c, v := range x.Row(i) {
					dot += v * y.Row(j)[c]
				}
				s += math.Pow(dot/float64(x.D)+1, 3)
			}
		}
		return s
	}
	m, n := float64(a.N), float64(b.N)
	return sum(a, a, true)/(m*(m-1)) + sum(b, b, true)/(n*(n-1)) - 2*sum(a, b, false)/(m*n)
}

func TestKIDDefinition(t *testing.T) {
	a, b := random(1, 21, 5), random(2, 13, 5)
	want := plainKID(a, b)
	near(t, "definition", must(metric.KID(a, b))(t), want, 1e-9, 0)
	near(t, "symmetry", must(metric.KID(b, a))(t), want, 1e-9, 0)
	near(t, "rows in another order", must(metric.KID(permuted(t, a), b))(t), want, 1e-9, 0)
	a, b = random(4, 301, 40), random(5, 530, 40)
	near(t, "several tiles", must(metric.KID(a, b))(t), plainKID(a, b), 1e-10, 216) // about the kernel's mean
}

// Nothing under- or overflows on the way where the result does not: sets s times as large, whose kernel (s²x·y/d + 1)³ is nearly s⁶(x·y/d)³.
func TestKIDScale(t *testing.T) {
	a, b := random(4, 30, 40), random(5, 53, 40)
	times := func(s float64) float64 {
		g := func(_, _ int, v float64) float64 { return v * s }
		return must(metric.KID(changed(a, g), changed(b, g)))(t)
	}
	near(t, "large", times(1e40), times(1e20)*1e120, 1e-7, 0)
	near(t, "tiny", times(1e-30), 0, 1e-15, 1)
}

func TestKIDRefuses(t *testing.T) {
	refuses(t, random(3, 12, 4), func(a, b metric.Features) error { _, err := metric.KID(a, b); return err })
	refuses(t, random(3, 12, 4), func(a, b metric.Features) error {
		_, err := metric.KIDSubsets(t.Context(), a, b, [][]int{{0, 1}}, [][]int{{1, 2}}, nil)
		return err
	})
	stopped, stop := context.WithCancel(t.Context())
	stop()
	a := random(1, 5, 2)
	if _, err := metric.KIDSubsets(stopped, a, a, [][]int{{0, 1}}, [][]int{{1, 2}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	for name, in := range map[string][2][][]int{
		"outside": {{{0, 5}}, {{0, 1}}}, "negative": {{{0, 1}}, {{-1, 1}}}, "too small": {{{0}}, {{1, 2}}}, "none": {}, "unequal": {{{0, 1}}, {}},
	} {
		if _, err := metric.KIDSubsets(t.Context(), a, a, in[0], in[1], nil); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	if _, _, err := metric.KIDDraws(99, 200, 100, 3, 1); err == nil || !strings.Contains(err.Error(), "subsets of 100") {
		t.Errorf("too few pictures: %v", err)
	}
	if v, err := metric.KID(changed(a, func(_, _ int, v float64) float64 { return 1e120 * v }), a); err == nil {
		t.Errorf("overflow: %g", v)
	}
}

// Subsets of one seed are pinned by their purpose: the same seed, the same rows; no repeats within one.
func TestKIDDraws(t *testing.T) {
	in1, in2, err := metric.KIDDraws(50, 40, 30, 4, 9)
	if err != nil {
		t.Fatal(err)
	}
	again, _, _ := metric.KIDDraws(50, 40, 30, 4, 9)
	other, _, _ := metric.KIDDraws(50, 40, 30, 4, 10)
	for i := range in1 {
		if !slices.Equal(in1[i], again[i]) || slices.Equal(in1[i], other[i]) || len(in1) != 4 || len(in2) != 4 {
			t.Errorf("draw %d is not a function of its seed", i)
		}
		for _, rows := range [][]int{in1[i], in2[i]} {
			sorted := slices.Sorted(slices.Values(rows))
			if len(slices.Compact(sorted)) != 30 || sorted[0] < 0 {
				t.Errorf("draw %d has repeats: %v", i, rows)
			}
		}
	}
}
