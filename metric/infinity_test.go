package metric_test

import (
	"context"
	"math"
	"testing"

	"diffuse/internal/golden"
	"diffuse/metric"
)

func TestGoldenFDInfinity(t *testing.T) {
	w := results[struct {
		N                []int
		FD               []float64 `json:"fd_exact"`
		Intercept, Slope float64
	}](t, "fd_infinity")
	r := open(t)
	e := must(metric.FDInfinity(context.Background(), r.set(t, "A"), r.set(t, "B"), w.N))(t)
	golden.Close(t, "distances", e.FD, w.FD, 1e-9)
	near(t, "intercept", e.Intercept, w.Intercept, 1e-9, 0)
	near(t, "slope", e.Slope, w.Slope, 1e-9, 0)
}

func TestExtrapolate(t *testing.T) {
	e := must(metric.Extrapolate([]int{100, 200, 500, 1000}, []float64{5.03, 5.015, 5.006, 5.003}))(t)
	near(t, "intercept of a straight line", e.Intercept, 5, 1e-12, 0)
	near(t, "slope of a straight line", e.Slope, 3, 1e-10, 0)
	for name, bad := range map[string]struct {
		n  []int
		fd []float64
	}{
		"one": {[]int{5}, []float64{1}}, "none": {}, "one count": {[]int{7, 7}, []float64{1, 2}}, "lengths": {[]int{5, 6}, []float64{1}},
		"NaN": {[]int{5, 6}, []float64{1, math.NaN()}}, "zero": {[]int{0, 6}, []float64{1, 2}},
	} {
		if e, err := metric.Extrapolate(bad.n, bad.fd); err == nil {
			t.Errorf("%s: not refused, %+v", name, e)
		}
	}
	refuses(t, random(1, 30, 3), func(a, b metric.Features) error {
		_, err := metric.FDInfinity(context.Background(), a, b, []int{10, 20})
		return err
	})
	if _, err := metric.FDInfinity(context.Background(), random(1, 30, 3), random(2, 30, 3), []int{10, 31}); err == nil {
		t.Error("more pictures than there are: not refused")
	}
}
