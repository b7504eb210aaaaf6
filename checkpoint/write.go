package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// WriteFile writes f to path as safetensors; the file is there complete or, after an error, not at all (see AtomicFile).
// f may hold tensors that were read from path itself, as long as their File is open.
func WriteFile(path string, f *File) error {
	return AtomicFile(path, func(w io.Writer) error { return Write(w, f) })
}

// Write writes f to w as safetensors. The bytes depend on nothing but the tensors and the metadata: wider types come first
// so that all are aligned, then names in byte order. Metadata gets "format": "pt" if it has no format, since some readers
// refuse files without.
func Write(w io.Writer, f *File) error {
	header, names, err := encodeHeader(f)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, name := range names {
		t := f.Tensors[name]
		if err := writeTensor(w, t); err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
	}
	return nil
}

// writeTensor writes the elements and holds them to the size that was promised.
func writeTensor(w io.Writer, t *Tensor) error {
	want, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if t.data == nil {
		return fmt.Errorf("type %s, shape %v: holds no data", t.DType, t.Shape)
	}
	got := int64(0)
	err = t.data.read(func(b []byte) error {
		if got += int64(len(b)); got > want {
			return nil
		}
		_, err := w.Write(b)
		return err
	})
	if err == nil && got != want {
		err = fmt.Errorf("holds %d bytes, want %d for %s and shape %v", got, want, t.DType, t.Shape)
	}
	return err
}

// encodeHeader returns the length and the padded JSON, and the names in the order of the data.
func encodeHeader(f *File) ([]byte, []string, error) {
	names := make([]string, 0, len(f.Tensors))
	for name, t := range f.Tensors {
		if name == metaKey || !utf8.ValidString(name) {
			return nil, nil, fmt.Errorf("tensor name %q cannot be written", name)
		}
		if t == nil {
			return nil, nil, fmt.Errorf("tensor %q is nil", name)
		}
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(f.Tensors[b].DType.Bits(), f.Tensors[a].DType.Bits()), strings.Compare(a, b))
	})
	b := append(make([]byte, 8), `{"`+metaKey+`":`...)
	meta := map[string]string{"format": "pt"}
	for k, v := range f.Meta {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, nil, fmt.Errorf("metadata %q is not UTF-8", k)
		}
		meta[k] = v
	}
	b = append(b, text(meta)...) // encoding/json sorts keys
	at := int64(0)
	for _, name := range names {
		t := f.Tensors[name]
		size, err := byteSize(t.DType, t.Shape)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if at+size < at {
			return nil, nil, fmt.Errorf("tensor %q: the file would be too large", name)
		}
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		b = fmt.Appendf(b, `,%s:{"dtype":%s,"shape":%s,"data_offsets":[%d,%d]}`, text(name), text(t.DType), text(shape), at, at+size)
		at += size
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > maxHeader {
		return nil, nil, fmt.Errorf("safetensors header of %d bytes is longer than %d", len(b)-8, maxHeader)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, names, nil
}

// text is v as JSON without escapes for HTML; v is a string, a map of strings or a slice of ints, which never fail.
func text(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
