package metric_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/metric"
)

// recorded are the arrays of testdata/metrics/features.safetensors.
type recorded map[string]*checkpoint.Tensor

func open(t testing.TB) recorded {
	t.Helper()
	return golden.Tensors(t, golden.Path(t, "metrics", "features.safetensors"))
}

// set returns a recorded set as features: bytes are stored for U and V (value/64) and for L2 ((value−128)/8).
func (r recorded) set(t testing.TB, name string) metric.Features {
	t.Helper()
	x := r[name]
	if x == nil {
		t.Fatalf("no recorded set %q", name)
	}
	v, err := x.Float64()
	if err != nil {
		t.Fatal(err)
	}
	for i := range v {
		switch name {
		case "U", "V":
			v[i] /= 64
		case "L2":
			v[i] = (v[i] - 128) / 8
		}
	}
	return metric.Features{N: x.Shape[0], D: x.Shape[1], X: v}
}

// rows returns recorded indices, one list a row of the array.
func (r recorded) rows(t testing.TB, name string) [][]int {
	t.Helper()
	x := r[name]
	if x == nil {
		t.Fatalf("no recorded indices %q", name)
	}
	v, err := x.Int64()
	if err != nil {
		t.Fatal(err)
	}
	m := x.Shape[len(x.Shape)-1]
	out := make([][]int, len(v)/m)
	for i := range out {
		for _, k := range v[i*m : (i+1)*m] {
			out[i] = append(out[i], int(k))
		}
	}
	return out
}

// results decodes one key of testdata/metrics/results.json.
func results[T any](t testing.TB, key string) (out T) {
	t.Helper()
	b, err := os.ReadFile(golden.Path(t, "metrics", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all[key], &out); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return out
}

// near fails unless |got−want| ≤ tol·max(|want|, floor).
func near(t testing.TB, what string, got, want, tol, floor float64) {
	t.Helper()
	d := math.Abs(got-want) / max(math.Abs(want), floor)
	if !(d <= tol) {
		t.Errorf("%s: %.17g, want %.17g: relative error %.3g, tolerance %.3g", what, got, want, d, tol)
		return
	}
	t.Logf("%s: %.15g, relative error %.2g of %.0e allowed", what, got, d, tol)
}

// must fails the test on an error.
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// random makes n rows of d normal values with correlated columns.
func random(seed uint64, n, d int) metric.Features {
	r := rand.New(rand.NewPCG(seed, 1))
	f := metric.Features{N: n, D: d, X: make([]float64, n*d)}
	for i := range n {
		last := 0.0
		for j := range d {
			last = 0.6*last + r.NormFloat64()
			f.X[i*d+j] = last + 0.1*float64(j)
		}
	}
	return f
}

// changed returns a copy of f with g applied to every value.
func changed(f metric.Features, g func(row, column int, v float64) float64) metric.Features {
	x := make([]float64, len(f.X))
	for i, v := range f.X {
		x[i] = g(i/f.D, i%f.D, v)
	}
	return metric.Features{N: f.N, D: f.D, X: x}
}

// permuted returns f with its rows in another order.
func permuted(t testing.TB, f metric.Features) metric.Features {
	t.Helper()
	return must(f.Take(rand.New(rand.NewPCG(7, 7)).Perm(f.N)))(t)
}

// poison are sets that every metric has to refuse when they meet f.
func poison(f metric.Features) map[string]metric.Features {
	at := func(bad float64) metric.Features {
		return changed(f, func(i, j int, v float64) float64 {
			if i == f.N-1 && j == f.D-1 {
				return bad
			}
			return v
		})
	}
	return map[string]metric.Features{
		"NaN": at(math.NaN()), "infinity": at(math.Inf(-1)), "no rows": {D: f.D},
		"another width": random(1, f.N, f.D+1), "values missing": {N: f.N, D: f.D, X: f.X[1:]}, "no columns": {N: f.N},
	}
}

// refuses fails unless every metric call on a poisoned set is an error.
func refuses(t *testing.T, f metric.Features, call func(a, b metric.Features) error) {
	t.Helper()
	if err := call(f, f); err != nil {
		t.Errorf("a good set is refused: %v", err)
	}
	for name, bad := range poison(f) {
		if call(f, bad) == nil || call(bad, f) == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}
