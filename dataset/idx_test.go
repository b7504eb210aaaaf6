package dataset_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"diffuse/dataset"
)

// idx is a file of bytes 0, 1, 2, … with those dimensions and n bytes of content.
func idx(n int, dims ...uint32) []byte {
	b := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

func zipped(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(b)
	w.Close()
	return z.Bytes()
}

const (
	trainImages, trainLabels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
	testImages, testLabels   = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
)

func TestIDX(t *testing.T) {
	dir := tree(t, map[string][]byte{
		trainImages: idx(18, 3, 2, 3), trainLabels + ".gz": zipped(idx(3, 3)),
		testImages + ".gz": zipped(idx(12, 2, 2, 3)), testLabels: idx(2, 2),
		"other.idx3-ubyte": idx(6, 1, 2, 3),
	})
	for _, c := range []struct {
		path    string
		o       dataset.Options
		content string
		labels  int
	}{
		{"", dataset.Options{}, "0:0 1:6 2:12", 3},
		{"", dataset.Options{MaxBytes: 7}, "0:0 1:6 2:12", 3}, // from the file, one by one
		{"", dataset.Options{Split: "test"}, "0:0 1:6", 2},
		{trainImages, dataset.Options{Split: "train"}, "0:0 1:6 2:12", 3},
		{testImages + ".gz", dataset.Options{}, "0:0 1:6", 2},
		{"other.idx3-ubyte", dataset.Options{}, "-1:0", 0},
		{"", dataset.Options{Height: 1, Width: 1, MaxBytes: 3}, "0:3 1:9 2:15", 3}, // the mean, 2, of 0 1 3 4 after rounding up twice
	} {
		var said []string
		c.o.Warn = func(s string) { said = append(said, s) }
		d, err := dataset.Open(filepath.Join(dir, c.path), c.o)
		if err != nil {
			t.Errorf("%q: %v", c.path, err)
			continue
		}
		if got := content(t, d); got != c.content || d.Labels() != c.labels || len(d.ClassNames()) != c.labels {
			t.Errorf("%q %+v: %s, %d labels; want %s, %d", c.path, c.o, got, d.Labels(), c.content, c.labels)
		}
		if (len(said) != 0) != (c.labels == 0) {
			t.Errorf("%q: said %q", c.path, said)
		}
	}
}

func TestIDXNames(t *testing.T) {
	for path, want := range map[string]string{"Fashion-MNIST": "ankle-boot", "mnist": "9"} {
		dir := tree(t, map[string][]byte{path + "/" + trainImages: idx(7840, 10, 28, 28), path + "/" + trainLabels: idx(10, 10)})
		d, err := dataset.Open(filepath.Join(dir, path), dataset.DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		if names := d.ClassNames(); len(names) != 10 || names[9] != want {
			t.Errorf("%s: %q, want the last to be %s", path, names, want)
		}
	}
}

// corruptIDX lists sets that must be refused, and what the error must say.
var corruptIDX = []struct {
	name           string
	images, labels []byte
	want           []string
}{
	{"empty", nil, nil, []string{trainImages, "EOF"}},
	{"no idx", []byte("PK\x03\x04 ..."), nil, []string{trainImages, "50 4b 03 04"}},
	{"floats", []byte{0, 0, 0x0d, 3, 0, 0, 0, 1}, nil, []string{"0x0d"}},
	{"labels as images", idx(3, 3), nil, []string{"1 dimensions, want 3"}},
	{"short header", idx(0, 3, 2, 3)[:13], nil, []string{"dimension 2"}},
	{"truncated", idx(17, 3, 2, 3), idx(3, 3), []string{trainImages, "18", "17"}},
	{"oversized", idx(19, 3, 2, 3), idx(3, 3), []string{trainImages, "18", "19"}},
	{"no pictures", idx(0, 0, 2, 3), nil, []string{"no pictures"}},
	{"no pixels", idx(0, 3, 0, 3), nil, []string{"no pictures"}},
	{"overflow", idx(0, 1<<31, 1<<31, 1<<31), nil, []string{"overflow"}},
	{"overflow to zero", idx(0, 1<<31, 1<<31, 4), nil, []string{"overflow"}},
	{"lying count", idx(18, 1<<30, 2, 3), nil, []string{"6442450944", "18"}},
	{"fewer labels", idx(18, 3, 2, 3), idx(2, 2), []string{trainLabels, "2", "3"}},
	{"more labels", idx(18, 3, 2, 3), idx(4, 4), []string{trainLabels, "4", "3"}},
	{"labels cut", idx(18, 3, 2, 3), idx(2, 3), []string{trainLabels, "3", "2"}},
	{"labels of two dimensions", idx(18, 3, 2, 3), idx(3, 3, 1), []string{trainLabels, "2 dimensions"}},
}

func TestCorruptIDX(t *testing.T) {
	for _, packed := range []bool{false, true} {
		for _, c := range corruptIDX {
			files, images, labels := map[string][]byte{}, c.images, c.labels
			suffix := ""
			if packed {
				suffix, images, labels = ".gz", zipped(images), zipped(labels)
			}
			files[trainImages+suffix] = images
			if c.labels != nil {
				files[trainLabels+suffix] = labels
			}
			dir := tree(t, files)
			_, err := dataset.Open(dir, dataset.Options{MaxBytes: 1 << 40})
			for _, want := range append(c.want, dir) {
				if packed && want == "19" {
					want = "more"
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s (packed %v): error %v does not say %q", c.name, packed, err, want)
				}
			}
		}
	}
	good := zipped(idx(18, 3, 2, 3))
	flipped := slices.Clone(good)
	flipped[len(flipped)-8] ^= 1 // its CRC
	for name, b := range map[string][]byte{"unexpected EOF": good[:len(good)-12], "checksum": flipped} {
		if _, err := dataset.Open(tree(t, map[string][]byte{trainImages + ".gz": b}), dataset.Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := dataset.Open(tree(t, map[string][]byte{trainImages + ".gz": good}), dataset.Options{MaxBytes: 17}); err == nil || !strings.Contains(err.Error(), "unpack it first") {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := dataset.Open(tree(t, map[string][]byte{trainImages: idx(18, 3, 2, 3)}), dataset.Options{Split: "test"}); err == nil || !strings.Contains(err.Error(), "t10k") {
		t.Errorf("a split that is not there: %v", err)
	}
}

func TestLyingIDXAllocates(t *testing.T) {
	dir := tree(t, map[string][]byte{trainImages + ".gz": zipped(idx(18, 1000000, 30, 30))})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := dataset.Open(dir, dataset.Options{})
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 1<<20 {
		t.Errorf("%v, %d bytes allocated for 18", err, n)
	}
}

// The real set, where the machine has it.
func TestFashion(t *testing.T) {
	const dir = "/usr/share/datasets/fashion-mnist"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("Debian's dataset-fashion-mnist is not installed")
	}
	d, err := dataset.Open(dir, dataset.Options{Split: "test"})
	if err != nil {
		t.Fatal(err)
	}
	h, w, c := d.Size()
	if d.Len() != 10000 || h != 28 || w != 28 || c != 1 || d.Labels() != 10 || d.ClassNames()[0] != "t-shirt" {
		t.Errorf("%d pictures of %d×%d×%d, classes %q", d.Len(), h, w, c, d.ClassNames())
	}
	if label, err := d.Get(0, make([]uint8, 784)); label != 9 || err != nil {
		t.Errorf("the first is of class %d (%v), want 9", label, err)
	}
}

func FuzzIDX(f *testing.F) {
	for _, c := range corruptIDX {
		f.Add(c.images, c.labels)
		f.Add(zipped(c.images), zipped(c.labels))
	}
	f.Add(idx(18, 3, 2, 3), idx(3, 3))
	f.Fuzz(func(t *testing.T, images, labels []byte) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, trainImages), images, 0o666)
		if labels != nil {
			os.WriteFile(filepath.Join(dir, trainLabels), labels, 0o666)
		}
		d, err := dataset.Open(dir, dataset.Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		h, w, c := d.Size()
		dst := make([]uint8, h*w*c)
		for _, i := range []int{0, d.Len() - 1} {
			label, err := d.Get(i, dst)
			if err != nil || label >= d.Labels() || d.Labels() != len(d.ClassNames()) {
				t.Fatalf("picture %d of %d: label %d of %d, %v", i, d.Len(), label, d.Labels(), err)
			}
		}
	})
}
