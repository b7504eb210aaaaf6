package dataset_test

import (
	"os"
	"path/filepath"
	"testing"

	"diffuse/dataset"
)

// fuzzFile opens any bytes as a file: nothing panics, and a set that opens can be read to its end or says what is wrong.
func fuzzFile(t *testing.T, b []byte) {
	path := filepath.Join(t.TempDir(), "set")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, o := range []dataset.Options{{MaxPixels: 1 << 12}, {MaxPixels: 1 << 12, MaxBytes: 1, SkipBad: true, Height: 3}} {
		d, err := dataset.Open(path, o)
		if err != nil {
			continue
		}
		h, w, c := d.Size()
		if d.Len() < 1 || h < 1 || w < 1 || c != 1 && c != 3 || len(d.ClassNames()) != d.Labels() {
			t.Fatalf("%d pictures of %d×%d×%d in %d classes, %d names", d.Len(), h, w, c, d.Labels(), len(d.ClassNames()))
		}
		dst := make([]uint8, h*w*c)
		for i := range d.Len() {
			if label, err := d.Get(i, dst); err == nil && (label < -1 || label >= d.Labels()) {
				t.Fatalf("picture %d has label %d of %d", i, label, d.Labels())
			}
		}
	}
}

func FuzzZip(f *testing.F) {
	one := flat(f, 2, 2, 1)
	f.Add(archive(f, map[string][]byte{"set/a/1.png": one, "set/b/2.png": one[:50]}))
	f.Add(archive(f, map[string][]byte{"0/a.png": one, "dataset.json": []byte(`{"labels":[["0/a.png",1]]}`)}))
	f.Add(archive(f, map[string][]byte{"a.png": one, "metadata.jsonl": []byte(`{"file_name":"a.png","label":"x"}`)}))
	f.Add(archive(f, under("cifar-100-python", map[string][]byte{"train": cifarBatch("fine_labels"), "meta": cifarMeta("fine_label_names", "a")})))
	f.Fuzz(fuzzFile)
}

func FuzzTar(f *testing.F) {
	f.Add(tarball(f, cifarFiles()["cifar-100-binary"]))
	f.Add(tarball(f, cifarFiles()["cifar-100-python"]))
	f.Fuzz(fuzzFile)
}

func FuzzParquet(f *testing.F) {
	f.Add(table(f, 0, 3, hubFeatures))
	f.Add(written(f, []hubRow{{}}))
	f.Fuzz(fuzzFile)
}

// FuzzDescription opens pictures under a dataset.json and under a metadata.jsonl of any bytes.
func FuzzDescription(f *testing.F) {
	f.Add([]byte(`{"labels":[["a/1.png",1]],"class_names":["x","y"]}`))
	f.Add([]byte(`{"file_name":"a/1.png","label":1}`))
	f.Add([]byte(`{"labels":[["a/1.png",1e99]]}`))
	one := flat(f, 1, 1, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"dataset.json", "metadata.jsonl"} {
			d, err := dataset.Open(tree(t, map[string][]byte{"a/1.png": one, name: b}), dataset.Options{})
			if err != nil {
				continue
			}
			if label, err := d.Get(0, make([]uint8, 1)); err != nil || label < -1 || label >= d.Labels() || len(d.ClassNames()) != d.Labels() {
				t.Fatalf("label %d of %d classes: %v", label, d.Labels(), err)
			}
		}
	})
}

// FuzzBatch opens any bytes as a pickled batch of CIFAR.
func FuzzBatch(f *testing.F) {
	f.Add(cifarBatch("fine_labels", 1, 0))
	f.Add(cifarMeta("fine_labels", "x"))
	meta := cifarMeta("fine_label_names", "cat", "dog")
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := dataset.Open(tree(t, map[string][]byte{"train": b, "meta": meta}), dataset.Options{})
		if err == nil && (d.Len() < 1 || d.Labels() != 2) {
			t.Fatalf("%d pictures in %d classes", d.Len(), d.Labels())
		}
	})
}
