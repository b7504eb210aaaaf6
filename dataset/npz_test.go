package dataset_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/dataset"
)

// TestNPZ reads pictures and classes back, scaled and in grey too, and refuses what is no set of pictures.
func TestNPZ(t *testing.T) {
	path := filepath.Join(t.TempDir(), "set") // known by its content
	pix := make([]uint8, 3*4*2*3)
	for i := range pix {
		pix[i] = uint8(3 * i)
	}
	write := func(arrays ...checkpoint.Array) {
		t.Helper()
		if err := checkpoint.WriteNPZ(path, arrays...); err != nil {
			t.Fatal(err)
		}
	}
	pictures := checkpoint.Array{Name: "arr_0", Tensor: checkpoint.Uint8([]int{3, 4, 2, 3}, pix)}
	labels := func(v ...int64) checkpoint.Array {
		return checkpoint.Array{Name: "arr_1", Tensor: checkpoint.Int64([]int{len(v)}, v)}
	}
	write(pictures, labels(2, 0, 1))
	d, err := dataset.Open(path, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h, w, c := d.Size()
	got := make([]uint8, 24)
	label, err := d.Get(1, got)
	if err != nil || label != 0 || d.Len() != 3 || d.Labels() != 3 || h != 4 || w != 2 || c != 3 || !slices.Equal(got, pix[24:48]) {
		t.Errorf("picture 1 of %d (%d×%d×%d, %d classes) is %v of class %d: %v", d.Len(), h, w, c, d.Labels(), got, label, err)
	}
	d, err = dataset.Open(path, dataset.Options{Height: 2, Width: 2, Grey: true})
	if err != nil {
		t.Fatal(err)
	}
	if h, w, c := d.Size(); h != 2 || w != 2 || c != 1 {
		t.Errorf("scaled to %d×%d×%d", h, w, c)
	}
	if label, err := d.Get(2, make([]uint8, 4)); err != nil || label != 1 {
		t.Errorf("scaled picture 2 has class %d: %v", label, err)
	}
	write(pictures, labels(2, -1, 1))
	if d, err := dataset.Open(path, dataset.Options{}); err != nil || d.Labels() != 0 {
		t.Errorf("a picture without a class: %v", err)
	}
	for want, arrays := range map[string][]checkpoint.Array{
		"arr_0":              {labels(1)},
		"U8, N×H×W×1":        {{Name: "arr_0", Tensor: checkpoint.Uint8([]int{12, 6}, pix)}},
		"shape [2] for 3":    {pictures, labels(0, 1)},
		"element 1 is class": {pictures, labels(0, -2, 1)},
		"element 2 is class": {pictures, labels(0, -1, -5)},
	} {
		write(arrays...)
		if _, err := dataset.Open(path, dataset.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}
