package golden

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"diffuse/checkpoint"
)

// InceptionNames is inception_names.json: the tensors of the Inception network, and some values of theirs by formula.
type InceptionNames struct {
	Count       int
	FirstValues map[string][]float64 `json:"first_values"`
	Tensors     []struct {
		Name  string
		Shape []int
	}
}

// ReadInceptionNames reads it.
func ReadInceptionNames(t testing.TB) (names InceptionNames) {
	t.Helper()
	b, err := os.ReadFile(Path(t, "metrics", "inception_names.json"))
	if err == nil {
		err = json.Unmarshal(b, &names)
	}
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// InceptionFormula returns the first n values of the tensor called name by the formula of the goldens: u in [-1, 1) from splitmix64 seeded with
// the name's FNV-1a hash, scaled by what the tensor is for.
func InceptionFormula(name string, shape []int, n int) []float32 {
	seed := uint64(0xcbf29ce484222325)
	for _, b := range []byte(name) {
		seed = (seed ^ uint64(b)) * 0x100000001b3
	}
	var value func(u float64) float64
	switch {
	case strings.HasSuffix(name, ".conv.weight"):
		scale := math.Sqrt(8 / float64(shape[1]*shape[2]*shape[3]))
		value = func(u float64) float64 { return u * scale }
	case name == "fc.weight":
		value = func(u float64) float64 { return u * math.Sqrt(3.0/2048) }
	case strings.HasSuffix(name, ".bn.weight"):
		value = func(u float64) float64 { return 1 + 0.1*u }
	case strings.HasSuffix(name, ".bn.running_var"):
		value = func(u float64) float64 { return 1 + 0.5*math.Abs(u) }
	default: // biases and running means
		value = func(u float64) float64 { return 0.1 * u }
	}
	out := make([]float32, n)
	for i := range out {
		seed += 0x9e3779b97f4a7c15
		z := (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		out[i] = float32(value(float64(z>>11)*0x1p-52 - 1))
	}
	return out
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

var (
	inceptionOnce sync.Once
	inception     map[string]*checkpoint.Tensor
)

// InceptionWeights returns the Inception network's tensors by formula. The map is the caller's.
func InceptionWeights(t testing.TB) map[string]*checkpoint.Tensor {
	t.Helper()
	names := ReadInceptionNames(t)
	inceptionOnce.Do(func() {
		inception = make(map[string]*checkpoint.Tensor, len(names.Tensors))
		for _, x := range names.Tensors {
			inception[x.Name] = checkpoint.Float32(x.Shape, InceptionFormula(x.Name, x.Shape, elements(x.Shape)))
		}
	})
	return maps.Clone(inception)
}
