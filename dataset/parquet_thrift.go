package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of a parquet file's description, which is held in memory and unpacked to some hundred times its size.
const (
	maxFooter     = 4 << 20
	maxPageHeader = 1 << 18
	maxThrift     = 64 // structures in structures
)

// checkFooter looks at the description at the end of a parquet file of size bytes before the library allocates what it claims.
func checkFooter(r io.ReaderAt, size int64) error {
	var end [8]byte
	if size < 12 {
		return errors.New("too short for a parquet file")
	}
	if _, err := r.ReadAt(end[:], size-8); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	if n > size-12 || n > maxFooter {
		return fmt.Errorf("a description of %d bytes in a file of %d, want at most %d", n, size, maxFooter)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-8-n); err != nil {
		return err
	}
	w := thriftWalk{b}
	return w.structure(0)
}

// A thriftWalk goes through bytes in thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md) to see
// that all that they claim to hold is there.
type thriftWalk struct{ rest []byte }

var errThrift = errors.New("a parquet file's description is cut short or claims more than it holds")

// structure passes over fields up to the end mark.
func (w *thriftWalk) structure(depth int) error {
	if depth > maxThrift {
		return errThrift
	}
	for {
		head, err := w.next()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // no difference to the number of the field before: the number itself
			if _, err := w.number(); err != nil {
				return err
			}
		}
		if kind := head & 15; kind > 2 { // the field's head says true or false by itself
			if err := w.value(kind, depth); err != nil {
				return err
			}
		}
	}
}

// value passes over a value: booleans in lists and bytes; numbers; a float64; text; lists and sets; maps; structures.
func (w *thriftWalk) value(kind byte, depth int) error {
	switch kind {
	case 1, 2, 3:
		return w.skip(1)
	case 4, 5, 6:
		_, err := w.number()
		return err
	case 7:
		return w.skip(8)
	case 8:
		n, err := w.number()
		if err != nil {
			return err
		}
		return w.skip(n)
	case 9, 10:
		return w.list(depth + 1)
	case 12:
		return w.structure(depth + 1)
	}
	return errThrift // a map, which parquet has none of, or nothing at all
}

func (w *thriftWalk) list(depth int) error {
	head, err := w.next()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.number(); err != nil {
			return err
		}
	}
	if n > uint64(len(w.rest)) || depth > maxThrift { // a byte for each at least
		return errThrift
	}
	for range n {
		if err := w.value(head&15, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *thriftWalk) next() (byte, error) {
	if len(w.rest) == 0 {
		return 0, errThrift
	}
	b := w.rest[0]
	w.rest = w.rest[1:]
	return b, nil
}

func (w *thriftWalk) number() (uint64, error) {
	v, n := binary.Uvarint(w.rest)
	if n <= 0 {
		return 0, errThrift
	}
	w.rest = w.rest[n:]
	return v, nil
}

func (w *thriftWalk) skip(n uint64) error {
	if n > uint64(len(w.rest)) {
		return errThrift
	}
	w.rest = w.rest[n:]
	return nil
}
