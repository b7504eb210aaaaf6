package metric_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"diffuse/internal/golden"
	"diffuse/metric"
)

// TestGoldenInceptionStages compares statistics and a few elements after each block with torch-fidelity's, to find the block that errs.
// Tolerance: that of the features, 1e-4 of the block's maximum for elements; the mean and the deviation of many are held to 1e-5 of it.
func TestGoldenInceptionStages(t *testing.T) {
	if testing.Short() {
		t.Skip("another pass of the network")
	}
	var recorded struct {
		Stages map[string]struct {
			Shape          []int
			Mean, Std, Max float64
			First          []float64 `json:"c0_y0_x0..3"`
			Last           float64   `json:"last_c_last_y_last_x"`
		}
	}
	b, err := os.ReadFile(golden.Path(t, "metrics", "inception_stages.json"))
	if err == nil {
		err = json.Unmarshal(b, &recorded)
	}
	if err != nil {
		t.Fatal(err)
	}
	x := prepared(t, metric.TorchFidelity, pictures(t, "a32", 1))
	seen := 0
	formulaNet(t).EachStage(x, 1, func(name string, h, w, c int, y []float32) {
		want, ok := recorded.Stages[name]
		if !ok {
			return // a pool, which the record leaves out
		}
		seen++
		if c != want.Shape[0] || h != want.Shape[1] || w != want.Shape[2] {
			t.Fatalf("%s: %d×%d×%d, want %v", name, c, h, w, want.Shape)
		}
		mean, square, most := 0.0, 0.0, 0.0
		for _, v := range y {
			mean += float64(v)
			square += float64(v) * float64(v)
			most = max(most, float64(v))
		}
		n := float64(len(y))
		mean, square = mean/n, square/n
		check := func(what string, got, want, tolerance float64) {
			if d := math.Abs(got - want); !(d <= tolerance) {
				t.Errorf("%s: %s is %g, want %g (off by %g)", name, what, got, want, d)
			}
		}
		check("mean", mean, want.Mean, 1e-5*want.Max)
		check("deviation", math.Sqrt(square-mean*mean), want.Std, 1e-5*want.Max)
		check("maximum", most, want.Max, 1e-4*want.Max)
		for i, v := range want.First {
			check("an element of the first row", float64(y[i*c]), v, 1e-4*want.Max)
		}
		check("the last element", float64(y[len(y)-1]), want.Last, 1e-4*want.Max)
	})
	if seen != len(recorded.Stages) {
		t.Errorf("%d stages of the record's %d", seen, len(recorded.Stages))
	}
}
