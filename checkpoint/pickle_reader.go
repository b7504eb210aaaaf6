package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// pickleReader reads a pickle front to back through a small window, and steps over long strings without touching them.
type pickleReader struct {
	src     *source
	at, end int64 // what is left of the pickle
	window  [4096]byte
	low     int64 // the window holds bytes low to high of src
	high    int64
}

// next returns the following n bytes, n at most the window's size; they are valid until the next call.
func (r *pickleReader) next(n int) ([]byte, error) {
	if int64(n) > r.end-r.at {
		return nil, io.ErrUnexpectedEOF
	}
	if r.at < r.low || r.at+int64(n) > r.high {
		b := r.window[:min(int64(len(r.window)), r.end-r.at)]
		if err := r.src.use(func() error { return r.src.fill(b, r.at) }); err != nil {
			return nil, err
		}
		r.low, r.high = r.at, r.at+int64(len(b))
	}
	b := r.window[r.at-r.low:][:n]
	r.at += int64(n)
	return b, nil
}

// span steps over n bytes and returns where they are.
func (r *pickleReader) span(n uint64) (span, error) {
	if n > uint64(r.end-r.at) {
		return span{}, fmt.Errorf("a string of %d bytes where %d are left: %w", n, r.end-r.at, io.ErrUnexpectedEOF)
	}
	s := span{r.src, r.at, int64(n)}
	r.at += int64(n)
	return s, nil
}

// uint reads a little-endian number of size bytes.
func (r *pickleReader) uint(size int) (uint64, error) {
	b, err := r.next(size)
	if err != nil {
		return 0, err
	}
	n := uint64(0)
	for i := size - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n, nil
}

// line reads up to a newline, which it leaves out. What it returns is new.
func (r *pickleReader) line(b *budget) ([]byte, error) {
	var out []byte
	for {
		part, err := r.next(int(min(256, r.end-r.at)))
		if err != nil || len(part) == 0 {
			return nil, errors.Join(err, io.ErrUnexpectedEOF)
		}
		i := bytes.IndexByte(part, '\n')
		if i >= 0 {
			r.at -= int64(len(part) - i - 1)
			return append(out, part[:i]...), nil
		}
		if err := b.charge(2 * int64(len(part))); err != nil { // append grows by doubling
			return nil, err
		}
		out = append(out, part...)
	}
}

// all returns the bytes of a span, at most limit of them.
func (p span) all(limit int64) ([]byte, error) {
	if p.size > limit {
		return nil, fmt.Errorf("a string of %d bytes where at most %d are expected", p.size, limit)
	}
	b := make([]byte, 0, p.size)
	err := p.read(func(part []byte) error { b = append(b, part...); return nil })
	return b, err
}
