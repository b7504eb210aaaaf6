package metric_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"diffuse/metric"
)

// gonum's two-pass covariance is the peer; large means must cost nothing.
func TestFitAgainstGonum(t *testing.T) {
	for _, n := range []int{2, 255, 256, 257, 700} {
		for _, d := range []int{1, 2, 9, 21} {
			f := changed(random(uint64(n), n, d), func(_, _ int, v float64) float64 { return 1000 + v })
			g := must(metric.Fit(f))(t)
			var want mat.SymDense
			stat.CovarianceMatrix(&want, mat.NewDense(n, d, f.X), nil)
			for i := range d {
				column := mat.Col(nil, i, mat.NewDense(n, d, f.X))
				mu := 0.0 // not gonum's mean: without assembly it is a plain sum, which is off by n·2⁻⁵³
				for _, v := range column {
					mu += (v - 1000) / float64(n)
				}
				mu += 1000
				if !(abs(g.Mean[i]-mu) <= 1e-12) {
					t.Errorf("n=%d d=%d: mean %d is %.17g, want %.17g", n, d, i, g.Mean[i], mu)
				}
				for j := range d {
					// gonum's mean is rounded at 1000·2⁻⁵³.
					if w := want.At(i, j); !(abs(g.Cov[i*d+j]-w) <= 1e-11) {
						t.Errorf("n=%d d=%d: covariance %d,%d is %.17g, want %.17g", n, d, i, j, g.Cov[i*d+j], w)
					}
				}
			}
		}
	}
}

// Small integers have exact means and products: the covariance of (0..4) and (0,2..8) is known, and a constant has exactly none.
func TestFitExact(t *testing.T) {
	f := metric.Features{N: 5, D: 3}
	for i := range 5 {
		f.X = append(f.X, float64(i), float64(2*i), 0.1)
	}
	g := must(metric.Fit(f))(t)
	if want := []float64{2.5, 5, 0, 5, 10, 0, 0, 0, 0}; !slices.Equal(g.Cov, want) || g.N != 5 {
		t.Errorf("covariance of %d: %v, want %v", g.N, g.Cov, want)
	}
	if want := []float64{2, 4, 0.1}; !slices.Equal(g.Mean, want) {
		t.Errorf("mean %v, want %v", g.Mean, want)
	}
}

// The bits must not depend on how rows were cut into batches, on a look at the result in between, or on threads.
func TestAccumulatorIsStreaming(t *testing.T) {
	f := random(5, 900, 19)
	want := must(metric.Fit(f))(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3))
	for _, cut := range []int{1, 7, 256, 300, 899} {
		a := metric.NewAccumulator(19)
		for i := 0; i < f.N; i += cut {
			n := min(cut, f.N-i)
			if err := a.Add(metric.Features{N: n, D: 19, X: f.X[i*19 : (i+n)*19]}); err != nil {
				t.Fatal(err)
			}
			if i == 3*cut {
				must(a.Gaussian())(t)
			}
		}
		got := must(a.Gaussian())(t)
		if got.N != 900 || !slices.Equal(got.Mean, want.Mean) || !slices.Equal(got.Cov, want.Cov) {
			t.Errorf("in batches of %d the statistics differ", cut)
		}
	}
}

func TestAccumulatorRefuses(t *testing.T) {
	a := metric.NewAccumulator(4)
	if err := a.Add(random(1, 6, 4)); err != nil {
		t.Fatal(err)
	}
	for name, bad := range poison(random(2, 3, 4)) {
		if err := a.Add(bad); err == nil && name != "no rows" {
			t.Errorf("%s: not refused", name)
		} else if name == "NaN" && !strings.Contains(err.Error(), "row 2, column 3 is NaN") {
			t.Errorf("%s: the error does not say where: %v", name, err)
		}
	}
	if a.N() != 6 {
		t.Errorf("refused rows were added: N = %d", a.N())
	}
	if _, err := metric.Fit(random(1, 1, 3)); err == nil || !strings.Contains(err.Error(), "at least 2 pictures") {
		t.Errorf("one row: %v", err)
	}
	huge := changed(random(1, 3, 2), func(i, _ int, v float64) float64 { return v * 1e200 })
	if g, err := metric.Fit(huge); err == nil {
		t.Errorf("overflow is not refused: %v", g)
	}
}

func abs(v float64) float64 { return max(v, -v) }

func BenchmarkAccumulator(b *testing.B) {
	f := random(1, 256, 512)
	a := metric.NewAccumulator(512)
	for b.Loop() {
		if err := a.Add(f); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(256*512*512*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s") // half of 2·n·d²: the triangle
}
