package metric_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/metric"
)

// recordedFrechet lists the sets of results.json's "frechet" by key.
func recordedFrechet(t *testing.T) map[string][2]metric.Features {
	r := open(t)
	a, b, c, u, v := r.set(t, "A"), r.set(t, "B"), r.set(t, "C"), r.set(t, "U"), r.set(t, "V")
	column0 := func(f metric.Features) metric.Features {
		out := metric.Features{N: f.N, D: 1}
		for i := range f.N {
			out.X = append(out.X, f.Row(i)[0])
		}
		return out
	}
	return map[string][2]metric.Features{
		"A_B": {a, b}, "A_C": {a, c}, "A_A": {a, a}, "B_C": {b, c}, "U_V (N<d=2048, singular)": {u, v},
		"A_first40_B_first40 (N<d, singular)":                     {a.First(40), b.First(40)},
		"D_B (dead and duplicate column)":                         {r.set(t, "D"), b},
		"A_const50 (one set without variance: 50 copies of A[0])": {a, must(a.Take(make([]int, 50)))(t)},
		// The peers got the shifted set as float32.
		"A_shift1000":         {a, changed(a, func(_, _ int, v float64) float64 { return float64(float32(v) + 1000) })},
		"A_col0_B_col0 (d=1)": {column0(a), column0(b)},
	}
}

// The truth is float64 NumPy's nuclear norm. Where there are more pictures than columns, pytorch-fid has to agree too (1e-9); elsewhere it is
// off by 4.5e-7 itself.
func TestGoldenFrechet(t *testing.T) {
	type numbers struct {
		Exact                    float64
		PytorchFID               *float64 `json:"pytorch_fid"`
		MeanTerm, Trace1, Trace2 float64
	}
	want := results[map[string]numbers](t, "frechet")
	sets := recordedFrechet(t)
	if len(want) != len(sets) {
		t.Errorf("%d cases recorded, %d here", len(want), len(sets))
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		w, s := want[key], sets[key]
		t.Run(key, func(t *testing.T) {
			features := must(metric.FrechetFeatures(s[0], s[1]))(t)
			if testing.Short() && s[0].D > 1000 {
				near(t, "features against exact", features, w.Exact, 1e-9, 0)
				t.Skip("matrices of 2048² under the race detector take too long")
			}
			ga, gb := must(metric.Fit(s[0]))(t), must(metric.Fit(s[1]))(t)
			statistics := must(metric.Frechet(ga, gb))(t)
			if key == "A_A" {
				if features != 0 || statistics != 0 {
					t.Errorf("identical sets: %g and %g", features, statistics)
				}
				return
			}
			near(t, "features against exact", features, w.Exact, 1e-9, 0)
			near(t, "statistics against exact", statistics, w.Exact, 1e-9, 0)
			if w.PytorchFID != nil {
				tol := 1e-9
				if s[0].N <= s[0].D {
					tol = 1e-6
				}
				near(t, "against pytorch-fid", statistics, *w.PytorchFID, tol, 0)
			}
		})
	}
}

func TestFrechetProperties(t *testing.T) {
	a, b := random(1, 90, 7), random(2, 70, 7)
	ab := must(metric.FrechetFeatures(a, b))(t)
	near(t, "symmetry", must(metric.FrechetFeatures(b, a))(t), ab, 1e-12, 0)
	near(t, "rows in another order", must(metric.FrechetFeatures(permuted(t, a), b))(t), ab, 1e-12, 0)
	near(t, "the same set in another order", must(metric.FrechetFeatures(a, permuted(t, a)))(t), 0, 1e-12, 1)
	near(t, "scale 3", must(metric.FrechetFeatures(
		changed(a, func(_, _ int, v float64) float64 { return 3 * v }),
		changed(b, func(_, _ int, v float64) float64 { return 3 * v })))(t), 9*ab, 1e-12, 0)
	shifted := changed(a, func(_, j int, v float64) float64 { return v + float64(j) })
	near(t, "shift of the mean by (0, 1, … 6)", must(metric.FrechetFeatures(a, shifted))(t), 91, 1e-12, 0)
	scaled := changed(a, func(_, _ int, v float64) float64 { return 1.25 * v })
	g, gs := must(metric.Fit(a))(t), must(metric.Fit(scaled))(t)
	gs.Mean = g.Mean // then FD = (1.25−1)²·tr S
	tr := 0.0
	for i := range 7 {
		tr += g.Cov[i*8]
	}
	near(t, "covariance times 1.25²", must(metric.Frechet(g, gs))(t), tr/16, 1e-12, 0)
}

// Two diagonal covariances commute, so FD = Σ(√s−√t)², here with zeros in either, and the same after a rotation.
func TestFrechetSingular(t *testing.T) {
	s, u := []float64{4, 0, 9, 0, 1e-6}, []float64{1, 2, 0, 0, 1e-6}
	want := 1.0 + 2 + 9
	near(t, "diagonal", must(metric.Frechet(diagonal(s, 0), diagonal(u, 0)))(t), want, 1e-12, 0)
	near(t, "rotated", must(metric.Frechet(diagonal(s, 0.7), diagonal(u, 0.7)))(t), want, 1e-12, 0)
	near(t, "no variance at all", must(metric.Frechet(diagonal(s, 0), diagonal(make([]float64, 5), 0)))(t), 13.000001, 1e-12, 0)
}

// diagonal makes a Gaussian of that covariance, rotated by phi in the planes (i, i+1).
func diagonal(s []float64, phi float64) metric.Gaussian {
	d := len(s)
	g := metric.Gaussian{Mean: make([]float64, d), Cov: make([]float64, d*d)}
	for i, v := range s {
		g.Cov[i*d+i] = v
	}
	c, sin := math.Cos(phi), math.Sin(phi)
	for i := range d - 1 {
		for j := range d { // rows, then columns
			p, q := &g.Cov[i*d+j], &g.Cov[(i+1)*d+j]
			*p, *q = c**p-sin**q, sin**p+c**q
		}
		for j := range d {
			p, q := &g.Cov[j*d+i], &g.Cov[j*d+i+1]
			*p, *q = c**p-sin**q, sin**p+c**q
		}
	}
	return g
}

// A singular covariance that went through a float32 file is indefinite; it costs accuracy (the square root of 1e-7 a direction), not sense.
func TestFrechetSingularFloat32(t *testing.T) {
	a, b := must(metric.Fit(random(1, 20, 40)))(t), must(metric.Fit(random(2, 20, 40)))(t)
	want := must(metric.Frechet(a, b))(t)
	near(t, "float64", want, must(metric.FrechetFeatures(random(1, 20, 40), random(2, 20, 40)))(t), 1e-12, 0)
	for i, v := range a.Cov {
		a.Cov[i], b.Cov[i] = float64(float32(v)), float64(float32(b.Cov[i]))
	}
	near(t, "through float32", must(metric.Frechet(a, b))(t), want, 1e-3, 0)
}

func TestFrechetRefuses(t *testing.T) {
	refuses(t, random(3, 12, 4), func(a, b metric.Features) error { _, err := metric.FrechetFeatures(a, b); return err })
	one := random(3, 1, 4)
	if _, err := metric.FrechetFeatures(one, random(3, 5, 4)); err == nil || !strings.Contains(err.Error(), "at least 2 pictures") {
		t.Errorf("one picture: %v", err)
	}
	good := diagonal([]float64{1, 2}, 0)
	for name, bad := range map[string]metric.Gaussian{
		"NaN mean":                    {Mean: []float64{math.NaN(), 0}, Cov: good.Cov},
		"infinite variance":           {Mean: good.Mean, Cov: []float64{1, 0, 0, math.Inf(1)}},
		"one picture":                 {N: 1, Mean: good.Mean, Cov: good.Cov},
		"other dimension":             diagonal([]float64{1}, 0),
		"sizes":                       {Mean: good.Mean, Cov: good.Cov[:3]},
		"empty":                       {},
		"not symmetric":               {Mean: good.Mean, Cov: []float64{1, 0.5, 0, 1}},
		"negative variance":           {Mean: good.Mean, Cov: []float64{1, 0, 0, -0.1}},
		"no variance, but covariance": {Mean: good.Mean, Cov: []float64{0, 1, 1, 0}},
		"covariance above 1":          {Mean: good.Mean, Cov: []float64{1, 2, 2, 1}},
	} {
		if v, err := metric.Frechet(good, bad); err == nil {
			t.Errorf("%s: not refused, %g", name, v)
		}
		if v, err := metric.Frechet(bad, good); err == nil {
			t.Errorf("%s: not refused as the first, %g", name, v)
		}
	}
}

func BenchmarkFrechet(b *testing.B) {
	for _, d := range []int{64, 512} {
		x, y := must(metric.Fit(random(1, 2*d, d)))(b), must(metric.Fit(random(2, 2*d, d)))(b)
		b.Run(fmt.Sprint("d=", d), func(b *testing.B) {
			for b.Loop() {
				if _, err := metric.Frechet(x, y); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
