package checkpoint_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

// TestUseFloat32: the elements are those of Float32, for mapped files and others, for all types, and wherever they stand in the file.
func TestUseFloat32(t *testing.T) {
	v := []float32{1, -2.5, 0, 3e8, 5}
	half, err := checkpoint.Float32([]int{5}, []float32{1, -2.5, 0, 3, 5}).As(checkpoint.F16)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := checkpoint.WriteFile(path, &checkpoint.File{Tensors: map[string]*checkpoint.Tensor{
		"f32": checkpoint.Float32([]int{5}, v), "f16": half, "none": checkpoint.Float32([]int{0, 3}, nil)}}); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shifted := append(make([]byte, 1, len(b)+1), b...)[1:] // its numbers are not aligned
	memory, err := checkpoint.OpenBytes(shifted)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := checkpoint.Read(strings.NewReader(string(b)), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files := []*checkpoint.File{f, memory, reader}
	for _, name := range []string{"state_dict.pt", "state_dict_old.pth", "nested4.pkl"} { // with tensors in a row and transposed ones
		p, err := checkpoint.OpenWeights(golden.Path(t, "pickles", name))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		files = append(files, p)
	}
	for _, file := range files {
		for name, x := range file.Tensors {
			want, err := x.Float32()
			if err != nil {
				t.Fatal(err)
			}
			called := false
			err = x.UseFloat32(func(got []float32) error {
				called = true
				if !slices.Equal(got, want) {
					t.Errorf("%s: %v, want %v", name, got, want)
				}
				return nil
			})
			if err != nil || !called {
				t.Errorf("%s: called %v, %v", name, called, err)
			}
		}
	}
	f.Close()
	if err := f.Tensors["f32"].UseFloat32(func([]float32) error { return nil }); err == nil {
		t.Error("a closed file was read")
	}
}
