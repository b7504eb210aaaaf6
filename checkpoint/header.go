package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxHeader is the reference implementation's cap on the JSON header, in bytes.
const maxHeader = 100_000_000

// maxNames bounds the tensors of a file, and the entries of its metadata: each takes more memory than its dozen letters in the file. The largest
// models have some 90,000, in many files.
const maxNames = 1 << 17

const metaKey = "__metadata__"

// entry is one tensor of the header; begin and end are offsets in the data section.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	begin, end int64
}

// parse checks the header of a safetensors file against its size and lists its tensors.
func parse(src *source, size int64) (*File, error) {
	header, err := readHeader(src, size)
	if err != nil {
		return nil, err
	}
	meta, entries, err := decodeHeader(header)
	if err != nil {
		return nil, fmt.Errorf("safetensors header: %w", err)
	}
	base := 8 + int64(len(header))
	if err := checkRanges(entries, size-base); err != nil {
		return nil, err
	}
	f := &File{Meta: meta, Tensors: make(map[string]*Tensor, len(entries)), src: src}
	for _, e := range entries {
		f.Names = append(f.Names, e.name)
		f.Tensors[e.name] = &Tensor{DType: e.dtype, Shape: e.shape, data: span{src, base + e.begin, e.end - e.begin}}
	}
	return f, nil
}

// readHeader returns the JSON header, whose length was checked before it was allocated.
func readHeader(src *source, size int64) ([]byte, error) {
	if size < 8 {
		return nil, fmt.Errorf("%d bytes are too few for a safetensors file", size)
	}
	var first []byte
	collect := func(b []byte) error { first = append(first, b...); return nil }
	if err := (span{src, 0, min(size, 16)}).read(collect); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(first)
	switch {
	case n > uint64(size-8) || n > maxHeader:
		if is := sniff(first); is != "" {
			return nil, fmt.Errorf("not a safetensors file but %s", is)
		}
		if n > uint64(size-8) {
			return nil, fmt.Errorf("safetensors header of %d bytes in a file of %d: truncated, or not a safetensors file", n, size)
		}
		return nil, fmt.Errorf("safetensors header of %d bytes is longer than %d", n, maxHeader)
	case n < 2:
		return nil, fmt.Errorf("safetensors header of %d bytes is too short", n)
	}
	header := make([]byte, 0, n)
	collect = func(b []byte) error { header = append(header, b...); return nil }
	if err := (span{src, 8, int64(n)}).read(collect); err != nil {
		return nil, err
	}
	return header, nil
}

// sniff recognises what is often met under the wrong name.
func sniff(b []byte) string {
	for _, k := range []struct{ magic, name string }{
		{"PK\x03\x04", "a zip archive (PyTorch or npz)"},
		{"\x80\x02", "a Python pickle"}, {"\x80\x03", "a Python pickle"}, {"\x80\x04", "a Python pickle"},
		{"\x80\x05", "a Python pickle"}, {"\x93NUMPY", "an npy array"}, {"GGUF", "a GGUF file"},
		{"version https:", "a Git LFS pointer: the content was not downloaded"},
		{"<!DOCTYPE", "an HTML page"}, {"<html", "an HTML page"}, {"\x89PNG", "a PNG image"},
		{"{", "JSON text"}, {"\x1f\x8b", "gzip data"}, {"\x89HDF", "an HDF5 file"},
	} {
		if bytes.HasPrefix(b, []byte(k.magic)) {
			return k.name
		}
	}
	return ""
}

// checkRanges sorts the entries by position and proves that they tile the data section exactly.
func checkRanges(entries []entry, size int64) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	at := int64(0)
	for _, e := range entries {
		switch {
		case e.begin < 0 || e.end < e.begin || e.end > size:
			return fmt.Errorf("tensor %q: bytes %d to %d are not inside the %d bytes of data (file truncated?)", e.name, e.begin, e.end, size)
		case e.begin < at:
			return fmt.Errorf("tensor %q: bytes %d to %d overlap the tensor before, which ends at %d", e.name, e.begin, e.end, at)
		case e.begin > at:
			return fmt.Errorf("tensor %q: starts at byte %d, which leaves a hole after %d", e.name, e.begin, at)
		}
		want, err := byteSize(e.dtype, e.shape)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", e.name, err)
		}
		if want != e.end-e.begin {
			return fmt.Errorf("tensor %q: shape %v of %s takes %d bytes, offsets %d to %d give %d", e.name, e.shape, e.dtype, want, e.begin, e.end, e.end-e.begin)
		}
		at = e.end
	}
	if at != size {
		return fmt.Errorf("%d bytes of data, but the tensors end at %d", size, at)
	}
	return nil
}

// decodeHeader parses the JSON by tokens: encoding/json would let a name given twice pass.
func decodeHeader(header []byte) (map[string]string, []entry, error) {
	if header[0] != '{' {
		return nil, nil, errors.New("does not start with '{'")
	}
	if !utf8.Valid(header) {
		return nil, nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(header))
	d.UseNumber()
	meta, entries := map[string]string{}, []entry(nil)
	err := object(d, func(name string) error {
		if name == metaKey {
			return object(d, func(key string) error {
				s, err := str(d)
				meta[key] = s
				return wrap(err, "metadata %q", key)
			})
		}
		e, err := decodeEntry(d, name)
		entries = append(entries, e)
		return wrap(err, "tensor %q", name)
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, errors.New("something follows the JSON object")
	}
	return meta, entries, nil
}

func wrap(err error, format string, a ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(a, err)...)
}

func decodeEntry(d *json.Decoder, name string) (entry, error) {
	e := entry{name: name, begin: -1, end: -1}
	seen := 0
	err := object(d, func(key string) error {
		switch key {
		case "dtype":
			s, err := str(d)
			e.dtype = DType(s)
			seen |= 1
			return wrap(err, "dtype")
		case "shape":
			e.shape = []int{}
			seen |= 2
			return wrap(numbers(d, maxRank, func(n int64) error {
				if uint64(n) > maxBytes {
					return fmt.Errorf("dimension %d is too large for this machine", n)
				}
				e.shape = append(e.shape, int(n))
				return nil
			}), "shape")
		case "data_offsets":
			var at []int64
			seen |= 4
			err := numbers(d, 2, func(n int64) error { at = append(at, n); return nil })
			if err == nil && len(at) != 2 {
				err = fmt.Errorf("%d numbers, want 2", len(at))
			}
			if err == nil {
				e.begin, e.end = at[0], at[1]
			}
			return wrap(err, "data_offsets")
		}
		var skipped json.RawMessage // as the reference implementation does
		return d.Decode(&skipped)
	})
	if err != nil {
		return e, err
	}
	if seen != 7 {
		return e, errors.New("needs dtype, shape and data_offsets")
	}
	if e.dtype.Bits() == 0 {
		return e, fmt.Errorf("unknown dtype %q", string(e.dtype))
	}
	return e, nil
}

// object reads a JSON object and calls field after each key; a key given twice is an error.
func object(d *json.Decoder, field func(key string) error) error {
	if err := delim(d, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := str(d)
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("%q is given twice", key)
		}
		if len(seen) == maxNames {
			return fmt.Errorf("more than %d names", maxNames)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	return delim(d, '}')
}

// numbers reads a JSON array of at most limit integers that are not negative.
func numbers(d *json.Decoder, limit int, add func(int64) error) error {
	if err := delim(d, '['); err != nil {
		return err
	}
	for n := 0; d.More(); n++ {
		if n == limit {
			return fmt.Errorf("more than %d numbers", limit)
		}
		tok, err := d.Token()
		if err != nil {
			return notEOF(err)
		}
		num, ok := tok.(json.Number)
		if !ok {
			return fmt.Errorf("%v is not a number", tok)
		}
		v, err := strconv.ParseUint(num.String(), 10, 63)
		if err != nil {
			return fmt.Errorf("%s is not an integer from 0 to 2^63-1", num)
		}
		if err := add(int64(v)); err != nil {
			return err
		}
	}
	return delim(d, ']')
}

func delim(d *json.Decoder, want json.Delim) error {
	tok, err := d.Token()
	if err != nil {
		return notEOF(err)
	}
	if tok != want {
		return fmt.Errorf("%v where %v was expected", tok, want)
	}
	return nil
}

func str(d *json.Decoder) (string, error) {
	tok, err := d.Token()
	if err != nil {
		return "", notEOF(err)
	}
	s, ok := tok.(string)
	if !ok {
		return "", fmt.Errorf("%v is not a string", tok)
	}
	return s, nil
}

func notEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
