package sampler_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"diffuse/sampler"
)

// oracleFile is one of the closed-form denoisers in the reference files.
type oracleFile struct {
	Kind string
	Mu   json.RawMessage // gauss: one mean; gmm: a list
	S    json.RawMessage
	W    []float64
}

// oracle builds the mixture behind a reference case.
func oracle(t *testing.T, o oracleFile) *sampler.GMM {
	t.Helper()
	g := &sampler.GMM{Weights: o.W}
	var errs [2]error
	switch o.Kind {
	case "gauss":
		g.Weights, g.Means, g.Std = []float64{1}, make([][]float64, 1), make([]float64, 1)
		errs[0], errs[1] = json.Unmarshal(o.Mu, &g.Means[0]), json.Unmarshal(o.S, &g.Std[0])
	case "gmm":
		errs[0], errs[1] = json.Unmarshal(o.Mu, &g.Means), json.Unmarshal(o.S, &g.Std)
	default:
		t.Fatalf("unknown oracle kind %q", o.Kind)
	}
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	g.Shape = []int{len(g.Means[0]), 1, 1}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	return g
}

func load(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("../testdata/samplers/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func flat(v [][]float64) []float64 {
	var r []float64
	for _, row := range v {
		r = append(r, row...)
	}
	return r
}

// near compares relative to max(1, |want|) and fails on NaN and on a length that differs.
func near(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	worst := 0.0
	for i, w := range want {
		d := math.Abs(got[i]-w) / math.Max(1, math.Abs(w))
		worst = math.Max(worst, d)
		if !(d <= tol) {
			t.Errorf("%s: value %d is %.17g, want %.17g (difference %.3g > %.3g)", what, i, got[i], w, d, tol)
			return
		}
	}
	worstSeen = math.Max(worstSeen, worst)
}

// worstSeen is the largest difference near has let pass, shown by the golden tests.
var worstSeen float64

// number accepts the strings that stand for infinities in the reference files.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == `"Infinity"` {
		*n = number(math.Inf(1))
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// call is one evaluation of the denoiser.
type call struct {
	x, denoised []float64
	sigma       float64
}

// recorded wraps d and keeps what it was given and returned.
func recorded(d sampler.Denoiser, calls *[]call) sampler.Denoiser {
	return func(dst, x []float64, sigma float64) {
		d(dst, x, sigma)
		*calls = append(*calls, call{append([]float64(nil), x...), append([]float64(nil), dst...), sigma})
	}
}
