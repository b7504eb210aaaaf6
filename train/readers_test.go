package train_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"

	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/train"
)

// A tableRow is a picture in a parquet file, as Hugging Face's library stores it.
type tableRow struct {
	Image struct {
		Bytes []byte `parquet:"bytes"`
	} `parquet:"image"`
	Label int64 `parquet:"label"`
}

// storedSets writes toy in every form that dataset.Open reads and that can hold it; CIFAR, whose size is fixed, gets pictures of its own.
func storedSets(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	sets := map[string]string{"folder": filepath.Join(dir, "folder"), "zip": filepath.Join(dir, "a.zip"), "npz": filepath.Join(dir, "a.npz")}
	for _, path := range sets {
		if err := dataset.Pack(toy{}, path, func(int, int) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name string, b []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	images, labels := []byte{0, 0, 8, 3, 0, 0, 0, 50, 0, 0, 0, 8, 0, 0, 0, 8}, []byte{0, 0, 8, 1, 0, 0, 0, 50}
	rows := make([]tableRow, toy{}.Len())
	for i := range rows {
		m := imageio.New(8, 8, 1)
		label, err := toy{}.Get(i, m.Pix)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := imageio.EncodePNG(&b, m, nil); err != nil {
			t.Fatal(err)
		}
		images, labels = append(images, m.Pix...), append(labels, byte(label))
		rows[i].Image.Bytes, rows[i].Label = b.Bytes(), int64(label)
	}
	put("idx/train-images-idx3-ubyte", images)
	put("idx/train-labels-idx1-ubyte", labels)
	sets["idx"] = filepath.Join(dir, "idx")
	for shard := range 2 {
		var b bytes.Buffer
		w := parquet.NewGenericWriter[tableRow](&b)
		if _, err := w.Write(rows[25*shard : 25*shard+25]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		put(fmt.Sprintf("table/train-%05d-of-00002.parquet", shard), b.Bytes())
	}
	sets["parquet"] = filepath.Join(dir, "table")
	for batch := range 5 {
		b := make([]byte, 3073*10)
		for i := range b {
			b[i] = byte(i * (batch + 7) >> 3)
			if i%3073 == 0 {
				b[i] = byte(i / 3073 % 4)
			}
		}
		put(fmt.Sprintf("cifar/data_batch_%d.bin", batch+1), b)
	}
	sets["cifar"] = filepath.Join(dir, "cifar")
	return sets
}

// TestReadersResume trains on every kind of set, in memory and decoded ahead of use, and stops and goes on in between: all runs end with the
// same bytes, and so do those on different stores of the same pictures.
func TestReadersResume(t *testing.T) {
	var same []byte
	for kind, path := range storedSets(t) {
		for _, memory := range []int64{0, 1} {
			job := func(stop func(train.Progress)) train.Job {
				d, err := dataset.Open(path, dataset.Options{Height: 8, Grey: true, MaxBytes: memory})
				if err != nil {
					t.Fatal(err)
				}
				net := tiny(t)
				o := options()
				o.Duration, o.Tick = 120, 24
				return train.Job{Options: o, Net: net, EMA: net.clone(), Data: d, Progress: stop}
			}
			dir := filepath.Join(t.TempDir(), "run")
			ctx, cancel := context.WithCancel(t.Context())
			train1(ctx, dir, job(func(p train.Progress) {
				if p.Images == 72 { // in the second epoch
					cancel()
				}
			}), train.Start)
			cancel()
			if err := train1(t.Context(), dir, job(nil), train.Resume); err != nil {
				t.Fatal(err)
			}
			whole := filepath.Join(t.TempDir(), "run")
			if err := train1(t.Context(), whole, job(nil), train.Start); err != nil {
				t.Fatal(err)
			}
			sameRun(t, dir, whole)
			b := read(t, whole, "checkpoint.safetensors")
			if kind == "cifar" {
				continue
			}
			if same == nil {
				same = b
			}
			if !bytes.Equal(b, same) {
				t.Errorf("%s, %d bytes in memory: another store of the same pictures trained another model", kind, memory)
			}
		}
	}
}
