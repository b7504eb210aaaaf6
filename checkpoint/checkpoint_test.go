package checkpoint_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"diffuse/checkpoint"
)

// sample is a file with most types, an empty tensor, a scalar and awkward names.
func sample() *checkpoint.File {
	return &checkpoint.File{
		Meta: map[string]string{"format": "pt", "config": `{"a":"<b>"}`, "ünïcode": "☃\n"},
		Tensors: map[string]*checkpoint.Tensor{
			"b.weight": checkpoint.Float32([]int{2, 3}, []float32{1, -2, float32(math.Inf(1)), float32(math.NaN()), 1e-45, float32(math.Copysign(0, -1))}),
			"a":        checkpoint.Float64([]int{2}, []float64{math.Pi, math.Inf(-1)}),
			"step":     checkpoint.Int64(nil, []int64{1 << 60}),
			"pix":      checkpoint.Uint8([]int{3}, []uint8{0, 128, 255}),
			"empty":    checkpoint.Float32([]int{0, 4}, nil),
			"q\"<é>":   checkpoint.Float32([]int{1}, []float32{7}),
		},
	}
}

func encode(t testing.TB, f *checkpoint.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := checkpoint.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	raw := encode(t, want)
	for i := range 20 { // map order must not show
		if !bytes.Equal(raw, encode(t, sample())) {
			t.Fatalf("writing %d differs from the first", i)
		}
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := checkpoint.WriteFile(path, want); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); !bytes.Equal(b, raw) {
		t.Fatal("WriteFile and Write differ")
	}
	for how, open := range map[string]func() (*checkpoint.File, error){
		"Open":      func() (*checkpoint.File, error) { return checkpoint.Open(path) },
		"OpenBytes": func() (*checkpoint.File, error) { return checkpoint.OpenBytes(raw) },
		"Read":      func() (*checkpoint.File, error) { return checkpoint.Read(bytes.NewReader(raw), int64(len(raw))) },
	} {
		f, err := open()
		if err != nil {
			t.Fatal(how, err)
		}
		if !reflect.DeepEqual(f.Meta, want.Meta) {
			t.Errorf("%s: metadata %q, want %q", how, f.Meta, want.Meta)
		}
		if names := []string{"a", "step", "b.weight", "empty", "q\"<é>", "pix"}; len(f.Names) != 6 || f.Names[0] != "a" || f.Names[5] != "pix" {
			t.Errorf("%s: names %q, want an order like %q", how, f.Names, names)
		}
		for name, w := range want.Tensors {
			got, err := f.Tensor(name)
			if err != nil {
				t.Fatal(how, err)
			}
			if got.DType != w.DType || !slices.Equal(got.Shape, w.Shape) {
				t.Errorf("%s: %q is %s %v, want %s %v", how, name, got.DType, got.Shape, w.DType, w.Shape)
			}
			a, errA := got.Float64()
			b, errB := w.Float64()
			if errA != nil || errB != nil || !sameBits(a, b) {
				t.Errorf("%s: %q is %v (%v), want %v (%v)", how, name, a, errA, b, errB)
			}
		}
		if again := encode(t, f); !bytes.Equal(again, raw) {
			t.Errorf("%s: written again differs", how)
		}
		if _, err := f.Tensor("none"); err == nil {
			t.Errorf("%s: a tensor that is not there gave no error", how)
		}
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			t.Error(how, err)
		}
		if _, err := f.Tensors["a"].Float32(); err == nil {
			t.Errorf("%s: a tensor was decoded after Close", how)
		}
	}
}

func sameBits(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool {
		return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y
	})
}
