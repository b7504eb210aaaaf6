package checkpoint

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"
)

// An npz file may not unpack to more than bombRatio times its size once that is over bombFree bytes. Deflate can reach
// 1032:1, which only constant data does; pictures and statistics stay below 10:1.
const (
	bombFree  = 256 << 20
	bombRatio = 100
)

// ReadNPZ reads every array of the npz file at path into memory, by name without ".npy". Arrays of types that this package does not
// decode (strings, Python objects) are listed under numpy's name of the type and fail when they are decoded; nothing is ever unpickled.
func ReadNPZ(path string) (map[string]*Tensor, error) {
	f, err := OpenNPZ(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for name, t := range f.Tensors {
		if t.data == nil {
			continue
		}
		var all []byte
		err := t.data.read(func(b []byte) error { all = append(all, b...); return nil })
		if err != nil {
			return nil, fmt.Errorf("reading %s: array %q: %w", path, name, err)
		}
		t.data = memory(all)
	}
	return f.Tensors, nil
}

// OpenNPZ lists the arrays of the npz file at path, in the order of the archive; each is unpacked when it is decoded, so that
// a large one that is not needed costs nothing. The file must be closed after the last use of its tensors. Refused are archives whose
// declared sizes disagree with the arrays' shapes, or that unpack to more than 256 MiB and 100 times their size.
func OpenNPZ(path string) (*File, error) {
	f, err := openNPZ(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, bare(err, path))
	}
	return f, nil
}

func openNPZ(path string) (*File, error) {
	r, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	f, err := ReadNPZFrom(r, size)
	if err != nil {
		r.Close()
		return nil, err
	}
	f.src.free = r.Close
	return f, nil
}

// ReadNPZFrom is OpenNPZ for an archive of size bytes behind r; closing the File does not close r.
func ReadNPZFrom(r io.ReaderAt, size int64) (*File, error) {
	limited := &limitedReader{src: &source{reader: r}, size: size, left: maxDirectory}
	z, err := zip.NewReader(limited, size)
	limited.left = math.MaxInt64
	if err != nil {
		var magic [16]byte
		n, _ := r.ReadAt(magic[:min(size, 16)], 0)
		if is := sniff(magic[:n]); is != "" && is != sniff([]byte("PK\x03\x04")) {
			return nil, fmt.Errorf("not an npz archive but %s", is)
		}
		return nil, fmt.Errorf("npz archive: %w", err)
	}
	f := &File{Meta: map[string]string{}, Tensors: map[string]*Tensor{}, src: &source{reader: r}}
	limit := uint64(max(bombFree, size*bombRatio))
	total := uint64(0)
	for _, m := range z.File {
		name, ok := strings.CutSuffix(m.Name, ".npy")
		if !ok {
			continue // numpy hands such members out as bytes; no array
		}
		if f.Tensors[name] != nil {
			return nil, fmt.Errorf("array %q is there twice", name)
		}
		var carry uint64
		if total, carry = bits.Add64(total, m.UncompressedSize64, 0); carry != 0 || total > limit {
			return nil, fmt.Errorf("array %q: the archive of %d bytes claims to unpack to more than %d: refused as a decompression bomb", name, size, limit)
		}
		t, err := openMember(f.src, m, size)
		if err != nil {
			return nil, fmt.Errorf("array %q: %w", name, err)
		}
		f.Names = append(f.Names, name)
		f.Tensors[name] = t
	}
	return f, nil
}

// openMember reads the header of one array and holds the sizes in the archive, of archiveSize bytes, against it.
func openMember(src *source, m *zip.File, archiveSize int64) (*Tensor, error) {
	if m.Flags&1 != 0 {
		return nil, errors.New("is encrypted")
	}
	if m.Method == zip.Store && m.CompressedSize64 != m.UncompressedSize64 {
		return nil, fmt.Errorf("stored, but in %d bytes for %d", m.CompressedSize64, m.UncompressedSize64)
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h, err := readNpyHeader(r)
	if err != nil {
		return nil, err
	}
	t := &Tensor{DType: h.dtype, Shape: h.shape}
	if !h.known {
		return t, nil // decoding says that it cannot
	}
	size, err := byteSize(h.dtype, h.shape)
	if err != nil {
		return nil, err
	}
	if uint64(size)+uint64(h.length) != m.UncompressedSize64 {
		return nil, fmt.Errorf("shape %v of %s takes %d bytes after a header of %d, but the archive holds %d", h.shape, h.dtype, size, h.length, m.UncompressedSize64)
	}
	t.data = member{src, m, h, size, m.Method == zip.Store && size <= archiveSize}
	return t, nil
}

// member is a payload inside an npz archive.
type member struct {
	src  *source
	file *zip.File
	npyHeader
	size  int64
	plain bool // not compressed, and the archive is large enough to hold it
}

func (m member) trusted() bool { return m.plain }

func (m member) read(yield func([]byte) error) error {
	m.src.mu.RLock()
	defer m.src.mu.RUnlock()
	if m.src.closed {
		return errClosed
	}
	r, err := m.file.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, m.length); err != nil {
		return noEOF(err)
	}
	if m.fortran && len(m.shape) > 1 {
		inner := yield
		var all []byte
		yield = func(b []byte) error { all = append(all, b...); return nil }
		if err := m.chunks(r, yield); err != nil {
			return err
		}
		return inner(transpose(all, m.shape, m.dtype.Bits()/8))
	}
	return m.chunks(r, yield)
}

// chunks hands out little-endian bytes in the order of the file and makes sure that they end where they should; reading past the
// last byte also makes archive/zip check the CRC.
func (m member) chunks(r io.Reader, yield func([]byte) error) error {
	buf := make([]byte, min(chunkSize, m.size))
	for left := m.size; left > 0; {
		b := buf[:min(int64(len(buf)), left)]
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("%d of %d bytes are missing: %w", left, m.size, noEOF(err))
		}
		if m.big {
			swap(b, m.dtype.Bits()/8)
		}
		if err := yield(b); err != nil {
			return err
		}
		left -= int64(len(b))
	}
	var more [1]byte
	if n, err := io.ReadFull(r, more[:]); n != 0 || err != io.EOF {
		if err == nil {
			err = errors.New("data goes on after the last element")
		}
		return err
	}
	return nil
}

// swap reverses the bytes of every element of size bytes.
func swap(b []byte, size int) {
	for ; len(b) >= size; b = b[size:] {
		for i, j := 0, size-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
}

// transpose reorders elements of size bytes from first index fastest to last index fastest.
func transpose(b []byte, shape []int, size int) []byte {
	out := make([]byte, len(b))
	strides := make([]int, len(shape)) // of the source, in bytes
	for i, s := 0, size; i < len(shape); i++ {
		strides[i] = s
		s *= shape[i]
	}
	index := make([]int, len(shape))
	for at, to := 0, 0; to < len(out); to += size {
		copy(out[to:to+size], b[at:at+size])
		for d := len(shape) - 1; d >= 0; d-- {
			index[d]++
			at += strides[d]
			if index[d] < shape[d] {
				break
			}
			at -= strides[d] * shape[d]
			index[d] = 0
		}
	}
	return out
}
