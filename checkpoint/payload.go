package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"unsafe"
)

// chunkSize is how many bytes are encoded or read at a time, a multiple of 8.
const chunkSize = 1 << 16

// memory is a payload of bytes already in the order of the file.
type memory []byte

func (m memory) read(yield func([]byte) error) error { return yield(m) }
func (m memory) trusted() bool                       { return true }

// values is a payload of Go numbers, encoded on the way out by put, size bytes each.
type values[T any] struct {
	v    []T
	size int
	put  func(dst []byte, v T)
}

func putFloat32(b []byte, v float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(v)) }
func putFloat64(b []byte, v float64) { binary.LittleEndian.PutUint64(b, math.Float64bits(v)) }
func putInt64(b []byte, v int64)     { binary.LittleEndian.PutUint64(b, uint64(v)) }

func (p values[T]) trusted() bool { return true }

func (p values[T]) read(yield func([]byte) error) error {
	buf := make([]byte, min(chunkSize, len(p.v)*p.size))
	for rest := p.v; len(rest) > 0; {
		n := min(len(rest), chunkSize/p.size)
		for i, v := range rest[:n] {
			p.put(buf[i*p.size:], v)
		}
		if err := yield(buf[:n*p.size]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// A source is an open file: bytes in memory or mapped, or a reader. Close waits for decoding that is under way.
type source struct {
	mu     sync.RWMutex
	bytes  []byte      // all of the file, or nil
	reader io.ReaderAt // used when bytes is nil
	free   func() error
	// release, if not nil, is told of bytes that have been read, so that a mapped file that is read from end to end does not fill memory.
	release func(off, size int64)
	closed  bool
}

func (s *source) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed, s.bytes = true, nil
	if s.free == nil {
		return nil
	}
	return s.free()
}

var errClosed = errors.New("the file that holds this tensor is closed")

// span is a payload of size bytes at off of a source; the range was checked when the file was opened.
type span struct {
	src       *source
	off, size int64
}

func (p span) trusted() bool { return true }

func (p span) read(yield func([]byte) error) error {
	return p.src.use(func() error {
		if p.size == 0 {
			return nil
		}
		if p.src.bytes != nil {
			if p.src.release != nil {
				defer p.src.release(p.off, p.size)
			}
			return yield(p.src.bytes[p.off : p.off+p.size])
		}
		buf := make([]byte, min(chunkSize, p.size))
		for off, end := p.off, p.off+p.size; off < end; {
			b := buf[:min(int64(len(buf)), end-off)]
			if err := p.src.fill(b, off); err != nil {
				return err
			}
			if err := yield(b); err != nil {
				return err
			}
			off += int64(len(b))
		}
		return nil
	})
}

// use runs f while the source cannot be closed. A mapped file that someone else cuts short faults on access, which is an error of the
// outside world and returned as one.
func (s *source) use(f func() error) (err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	if len(s.bytes) > 0 {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if r := recover(); r != nil {
				fault, ok := r.(interface {
					runtime.Error
					Addr() uintptr
				})
				if start := uintptr(unsafe.Pointer(&s.bytes[0])); ok && fault.Addr()-start < uintptr(len(s.bytes)) {
					err = fmt.Errorf("the file became shorter or unreadable while in use: %w", fault)
					return
				}
				panic(r)
			}
		}()
	}
	return f()
}

// fill reads len(b) bytes at off.
func (s *source) fill(b []byte, off int64) error {
	if s.bytes != nil {
		copy(b, s.bytes[off:])
		return nil
	}
	if n, err := s.reader.ReadAt(b, off); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %d bytes at offset %d: %w", len(b), off, err)
	}
	return nil
}
