package checkpoint

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"
	"time"
)

// An Array is a named tensor of an npz file, such as the "arr_0" of pictures and "arr_1" of labels in the sample files of OpenAI's
// evaluation tools.
type Array struct {
	Name string // without ".npy"
	*Tensor
}

// WriteNPZ writes arrays to path as an uncompressed npz archive in the order given, complete or not at all (see
// AtomicFile). The bytes depend on nothing else. BF16 has no equivalent in numpy and is an error.
func WriteNPZ(path string, arrays ...Array) error {
	return AtomicFile(path, func(w io.Writer) error {
		z := NewNPZWriter(w)
		for _, a := range arrays {
			if err := z.Add(a); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

// An NPZWriter writes an npz archive array by array, for arrays that are not in memory at once. Archives past 4 GiB get the
// 64-bit records that numpy reads.
type NPZWriter struct {
	Deflate bool // compress the arrays that follow
	zip     *zip.Writer
	names   map[string]bool
	open    *npyWriter
}

// NewNPZWriter starts an archive on w; it ends with Close.
func NewNPZWriter(w io.Writer) *NPZWriter {
	return &NPZWriter{zip: zip.NewWriter(w), names: map[string]bool{}}
}

// Create starts an array and returns where to write its elements, row-major and little-endian, before the next call of Create, Add or Close, which
// fail unless exactly as many bytes came as d and shape ask for.
func (z *NPZWriter) Create(name string, d DType, shape []int) (io.Writer, error) {
	if err := z.finish(); err != nil {
		return nil, err
	}
	if name == "" || strings.ContainsAny(name, "\\\x00") || strings.HasPrefix(name, "/") || z.names[name] {
		return nil, fmt.Errorf("array name %q is not usable, or given twice", name)
	}
	size, err := byteSize(d, shape)
	if err != nil {
		return nil, fmt.Errorf("array %q: %w", name, err)
	}
	header, err := appendNpyHeader(nil, d, shape)
	if err != nil {
		return nil, fmt.Errorf("array %q: %w", name, err)
	}
	h := &zip.FileHeader{Name: name + ".npy", Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	if z.Deflate {
		h.Method = zip.Deflate
	}
	w, err := z.zip.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(header); err != nil {
		return nil, err
	}
	z.names[name] = true
	z.open = &npyWriter{name: name, w: w, left: size}
	return z.open, nil
}

// Add writes a whole array.
func (z *NPZWriter) Add(a Array) error {
	if a.Tensor == nil {
		return fmt.Errorf("array %q has no tensor", a.Name)
	}
	w, err := z.Create(a.Name, a.DType, a.Shape)
	if err != nil {
		return err
	}
	return wrap(writeTensor(w, a.Tensor), "array %q", a.Name)
}

// Close ends the last array and the archive; it does not close the writer below.
func (z *NPZWriter) Close() error {
	if err := z.finish(); err != nil {
		return err
	}
	return z.zip.Close()
}

func (z *NPZWriter) finish() error {
	if z.open != nil && z.open.left != 0 {
		return fmt.Errorf("array %q: %d bytes are missing", z.open.name, z.open.left)
	}
	z.open = nil
	return nil
}

// npyWriter counts the bytes of one array down.
type npyWriter struct {
	name string
	w    io.Writer
	left int64
}

func (n *npyWriter) Write(b []byte) (int, error) {
	if int64(len(b)) > n.left {
		return 0, fmt.Errorf("array %q: %d bytes more than its shape holds", n.name, int64(len(b))-n.left)
	}
	m, err := n.w.Write(b)
	n.left -= int64(m)
	return m, err
}
