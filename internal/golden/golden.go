// Package golden serves the tests that compare diffuse with numbers recorded
// from its peers: it finds testdata/, reads a case, makes the weights that a
// case defines by formula, and compares arrays.
//
// Comparisons report the index and both values of the worst element and fail
// on NaN. testdata/README.md says where every case comes from.
package golden

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/checkpoint"
)

// A Case is one folder of recorded numbers.
type Case struct {
	Dir     string
	Tensors map[string]*checkpoint.Tensor // golden.safetensors
	t       testing.TB
}

// Path returns the path of a file below testdata/ at the root of the module.
func Path(t testing.TB, elem ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(append([]string{dir, "testdata"}, elem...)...)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("golden: no go.mod above the working directory")
		}
		dir = parent
	}
}

// Open reads testdata/name, a folder such as "edm/net_vp". golden.safetensors
// may be absent.
func Open(t testing.TB, name string) *Case {
	t.Helper()
	c := &Case{Dir: Path(t, filepath.FromSlash(name)), t: t}
	path := filepath.Join(c.Dir, "golden.safetensors")
	if _, err := os.Stat(path); err == nil {
		c.Tensors = Tensors(t, path)
	}
	return c
}

// Tensors opens a safetensors file that stays open until the test ends.
func Tensors(t testing.TB, path string) map[string]*checkpoint.Tensor {
	t.Helper()
	f, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f.Tensors
}

// JSON decodes a file of the case into v; fields that v lacks are ignored.
func (c *Case) JSON(file string, v any) {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Dir, file))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		c.t.Fatalf("%s/%s: %v", c.Dir, file, err)
	}
}

// Has reports whether the case recorded a tensor.
func (c *Case) Has(name string) bool { return c.Tensors[name] != nil }

// Float64 returns a recorded tensor's values and shape.
func (c *Case) Float64(name string) ([]float64, []int) {
	c.t.Helper()
	x := c.Tensors[name]
	if x == nil {
		c.t.Fatalf("%s has no tensor %q", c.Dir, name)
	}
	v, err := x.Float64()
	if err != nil {
		c.t.Fatal(err)
	}
	return v, x.Shape
}

// Formula is the recipe of one tensor: seed, scale, offset and shape.
type Formula struct {
	Seed          uint64
	Scale, Offset float64
	Shape         []int
}

// Values returns the tensor in the peers' layout: element i is
// offset + scale·v, v in [−1,1) from splitmix64 of seed and i+1.
func (f Formula) Values() []float32 {
	n := 1
	for _, d := range f.Shape {
		n *= d
	}
	y := make([]float32, n)
	s := f.Seed
	for i := range y {
		s += 0x9E3779B97F4A7C15
		z := (s ^ s>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		y[i] = float32(f.Offset + f.Scale*(float64(z>>40)-8388608)/8388608)
	}
	return y
}

// Weights returns the case's weights without the leading "model." and
// without the resampling filters, which the configuration implies.
func (c *Case) Weights() map[string]*checkpoint.Tensor {
	c.t.Helper()
	var j struct{ Formula map[string]Formula }
	c.JSON("case.json", &j)
	all := make(map[string]*checkpoint.Tensor)
	if len(j.Formula) > 0 {
		for name, f := range j.Formula {
			all[name] = checkpoint.Float32(f.Shape, f.Values())
		}
	} else {
		all = Tensors(c.t, filepath.Join(c.Dir, "weights.safetensors"))
	}
	out := make(map[string]*checkpoint.Tensor)
	for name, x := range all {
		if bare, ok := strings.CutPrefix(name, "model."); ok && !strings.HasSuffix(name, "resample_filter") {
			out[bare] = x
		}
	}
	return out
}

// Close fails the test unless |got−want| ≤ tol everywhere, and names the
// worst element.
func Close[A, B float32 | float64](t testing.TB, what string, got []A, want []B, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	worst, at := -1.0, 0
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		if d > worst {
			worst, at = d, i
		}
	}
	if len(got) > 0 && !(worst <= tol) {
		t.Errorf("%s: element %d of %d is %.9g, want %.9g; max error %.3g, tolerance %.3g",
			what, at, len(got), float64(got[at]), float64(want[at]), worst, tol)
	}
}

// MaxAbs returns the largest magnitude in x.
func MaxAbs[A float32 | float64](x []A) float64 {
	var m float64
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}
