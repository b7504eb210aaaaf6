package dataset

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"diffuse/checkpoint"
	"diffuse/imageio"
)

// Pack writes d to path in a form that Open reads: as an npz archive if path ends in .npz (arr_0, arr_1), else in the layout of EDM's
// dataset_tool (PNG files 00000/img00000000.png, … and dataset.json), in a zip archive if path ends in .zip, in a new folder otherwise. dataset.json
// also gets the names of the classes, which EDM passes over. The bytes depend on the pictures and classes only. The file or folder appears complete or not at
// all; a folder must not exist or be empty. progress is told how many pictures are written, from the calling goroutine; an error that it returns stops
// the work and is returned.
func Pack(d Dataset, path string, progress func(done, total int) error) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npz":
		return packNPZ(d, path, progress)
	case ".zip":
		return checkpoint.AtomicFile(path, func(w io.Writer) error {
			z := zip.NewWriter(w)
			add := func(name string, b []byte) error {
				f, err := z.CreateHeader(&zip.FileHeader{Name: name, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}) // stored: PNG is packed already
				if err == nil {
					_, err = f.Write(b)
				}
				return err
			}
			if err := packEDM(d, add, progress); err != nil {
				return err
			}
			return z.Close()
		})
	}
	return packFolder(d, path, progress)
}

// packFolder writes to a folder beside path and renames it.
func packFolder(d Dataset, path string, progress func(done, total int) error) (err error) {
	path = filepath.Clean(path)
	if entries, err := os.ReadDir(path); err == nil && len(entries) == 0 {
		if err := os.Remove(path); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("writing %s: it exists and is no empty folder", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(part)
		}
	}()
	err = packEDM(d, func(name string, b []byte) error {
		to := filepath.Join(part, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o666)
	}, progress)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// packEDM hands the files of EDM's layout to add, in order; PNG files are made on all processors.
func packEDM(d Dataset, add func(name string, b []byte) error, progress func(done, total int) error) error {
	h, w, c := d.Size()
	const perFolder = 1000
	var labels [][2]any
	name := func(i int) string { return fmt.Sprintf("%05d/img%08d.png", i/perFolder, i) }
	files := make([]bytes.Buffer, 16*runtime.GOMAXPROCS(0))
	classes := make([]int, len(files))
	for lo := 0; lo < d.Len(); lo += len(files) {
		n := min(len(files), d.Len()-lo)
		err := parallel(n, func(int, int) {}, func(i int) (err error) {
			m := imageio.New(h, w, c)
			if classes[i], err = d.Get(lo+i, m.Pix); err != nil {
				return err
			}
			files[i].Reset()
			return imageio.EncodePNG(&files[i], m, nil)
		})
		if err != nil {
			return err
		}
		for i := range n {
			if err := add(name(lo+i), files[i].Bytes()); err != nil {
				return err
			}
			if d.Labels() > 0 {
				labels = append(labels, [2]any{name(lo + i), classes[i]})
			}
		}
		if err := progress(lo+n, d.Len()); err != nil {
			return err
		}
	}
	b, err := json.Marshal(struct {
		Labels [][2]any `json:"labels"`
		Names  []string `json:"class_names,omitempty"`
	}{labels, d.ClassNames()})
	if err != nil {
		return err
	}
	return add(edmLabels, b)
}

// packNPZ writes arrays.
func packNPZ(d Dataset, path string, progress func(done, total int) error) error {
	h, w, c := d.Size()
	return checkpoint.AtomicFile(path, func(to io.Writer) error {
		z := checkpoint.NewNPZWriter(to)
		out, err := z.Create("arr_0", checkpoint.U8, []int{d.Len(), h, w, c})
		if err != nil {
			return err
		}
		labels := make([]int64, d.Len())
		chunk := make([]uint8, min(d.Len(), 64)*h*w*c)
		for lo := 0; lo < d.Len(); lo += 64 {
			n := min(64, d.Len()-lo)
			err := parallel(n, func(int, int) {}, func(i int) error {
				label, err := d.Get(lo+i, chunk[i*h*w*c:(i+1)*h*w*c])
				labels[lo+i] = int64(label)
				return err
			})
			if err != nil {
				return err
			}
			if _, err := out.Write(chunk[:n*h*w*c]); err != nil {
				return err
			}
			if err := progress(lo+n, d.Len()); err != nil {
				return err
			}
		}
		if d.Labels() > 0 {
			if err := z.Add(checkpoint.Array{Name: "arr_1", Tensor: checkpoint.Int64([]int{d.Len()}, labels)}); err != nil {
				return err
			}
		}
		return z.Close()
	})
}
