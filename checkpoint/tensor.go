package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// A Tensor is one named array of a file: its type, its shape (row-major; no dimensions = a scalar) and where its
// elements are. Elements are read and decoded when asked for, each time anew; a tensor that came out of a File can be
// decoded until that File is closed. Several goroutines may decode at once.
type Tensor struct {
	DType DType
	Shape []int
	data  payload
}

// A payload hands out a tensor's elements as little-endian bytes, in order, in chunks that are multiples of 8 bytes
// except for the last. Chunks are valid during the call only.
type payload interface {
	read(yield func(chunk []byte) error) error
	trusted() bool // the size is known to be there: it may be allocated at once
}

// Float32 makes a tensor of type F32 for writing. data is kept, not copied, and must not change before the tensor is
// written. It panics if data does not fill shape.
func Float32(shape []int, data []float32) *Tensor {
	return build(F32, shape, len(data), values[float32]{data, 4, putFloat32})
}

// Float64 makes a tensor of type F64 as Float32 does.
func Float64(shape []int, data []float64) *Tensor {
	return build(F64, shape, len(data), values[float64]{data, 8, putFloat64})
}

// Int64 makes a tensor of type I64 as Float32 does.
func Int64(shape []int, data []int64) *Tensor {
	return build(I64, shape, len(data), values[int64]{data, 8, putInt64})
}

// Uint8 makes a tensor of type U8 as Float32 does.
func Uint8(shape []int, data []uint8) *Tensor {
	return build(U8, shape, len(data), memory(data))
}

func build(d DType, shape []int, n int, p payload) *Tensor {
	if want, err := elements(shape); err != nil || want != n {
		panic(fmt.Sprintf("checkpoint: %d values for a tensor of shape %v", n, shape))
	}
	return &Tensor{DType: d, Shape: slices.Clone(shape), data: p}
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n, err := elements(t.Shape)
	if err != nil {
		return 0 // tensors of files were checked when they were opened
	}
	return n
}

// Float32 returns a new slice of the elements as float32: exact for F16, BF16, F32 and the 8- and 16-bit integers,
// rounded to nearest for F64 and wider integers; BOOL gives 0 and 1. Infinities and NaNs are kept.
func (t *Tensor) Float32() ([]float32, error) { return decode(t, appendFloats[float32]) }

// Float64 returns a new slice of the elements as float64: exact but for 64-bit integers beyond 2⁵³.
func (t *Tensor) Float64() ([]float64, error) { return decode(t, appendFloats[float64]) }

// Int64 returns a new slice of the elements of an integer or BOOL tensor; floats, and U64 values past the range of
// int64, are errors.
func (t *Tensor) Int64() ([]int64, error) { return decode(t, appendInts) }

// Uint8 returns a new slice of the elements of a U8 or BOOL tensor; every other type is an error.
func (t *Tensor) Uint8() ([]uint8, error) {
	return decode(t, func(dst []uint8, d DType, b []byte) ([]uint8, error) {
		if d != U8 && d != Bool {
			return dst, fmt.Errorf("a tensor of type %s does not decode to bytes", d)
		}
		return append(dst, b...), nil
	})
}

// decode gathers the elements of t in a new slice with add, which appends those of one chunk.
func decode[T any](t *Tensor, add func([]T, DType, []byte) ([]T, error)) ([]T, error) {
	return decodeInto(nil, t, add)
}

// decodeInto is decode that uses the room of buf if it is large enough.
func decodeInto[T any](buf []T, t *Tensor, add func([]T, DType, []byte) ([]T, error)) ([]T, error) {
	n, err := elements(t.Shape)
	if err != nil {
		return nil, err
	}
	if _, err := add(nil, t.DType, nil); err != nil {
		return nil, err
	}
	if t.data == nil {
		return nil, fmt.Errorf("tensor of type %s and shape %v holds no data", t.DType, t.Shape)
	}
	reserve := n
	if !t.data.trusted() {
		reserve = min(n, 1<<20) // grows with what really arrives
	}
	out := buf[:0]
	if cap(out) < reserve || out == nil {
		out = make([]T, 0, reserve)
	}
	err = t.data.read(func(b []byte) (err error) {
		out, err = add(out, t.DType, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out) != n {
		return nil, fmt.Errorf("tensor of shape %v holds %d values, want %d", t.Shape, len(out), n)
	}
	return out, nil
}

func appendFloats[T float32 | float64](dst []T, d DType, b []byte) ([]T, error) {
	le := binary.LittleEndian
	switch d {
	case F64:
		for ; len(b) >= 8; b = b[8:] {
			dst = append(dst, T(math.Float64frombits(le.Uint64(b))))
		}
	case F32:
		for ; len(b) >= 4; b = b[4:] {
			dst = append(dst, T(math.Float32frombits(le.Uint32(b))))
		}
	case F16:
		for ; len(b) >= 2; b = b[2:] {
			dst = append(dst, T(widenF16(le.Uint16(b))))
		}
	case BF16:
		for ; len(b) >= 2; b = b[2:] {
			dst = append(dst, T(widenBF16(le.Uint16(b))))
		}
	case U64:
		for ; len(b) >= 8; b = b[8:] {
			dst = append(dst, T(le.Uint64(b)))
		}
	default:
		ints, err := appendInts(nil, d, b)
		if err != nil {
			return dst, err
		}
		for _, v := range ints {
			dst = append(dst, T(v))
		}
	}
	return dst, nil
}

func appendInts(dst []int64, d DType, b []byte) ([]int64, error) {
	le := binary.LittleEndian
	switch d {
	case I64, U64:
		for ; len(b) >= 8; b = b[8:] {
			v := int64(le.Uint64(b))
			if d == U64 && v < 0 {
				return dst, fmt.Errorf("value %d of a U64 tensor does not fit int64", uint64(v))
			}
			dst = append(dst, v)
		}
	case I32:
		for ; len(b) >= 4; b = b[4:] {
			dst = append(dst, int64(int32(le.Uint32(b))))
		}
	case U32:
		for ; len(b) >= 4; b = b[4:] {
			dst = append(dst, int64(le.Uint32(b)))
		}
	case I16:
		for ; len(b) >= 2; b = b[2:] {
			dst = append(dst, int64(int16(le.Uint16(b))))
		}
	case U16:
		for ; len(b) >= 2; b = b[2:] {
			dst = append(dst, int64(le.Uint16(b)))
		}
	case I8:
		for _, v := range b {
			dst = append(dst, int64(int8(v)))
		}
	case U8:
		for _, v := range b {
			dst = append(dst, int64(v))
		}
	case Bool:
		for _, v := range b {
			if v > 1 {
				return dst, fmt.Errorf("a BOOL tensor holds %d", v)
			}
			dst = append(dst, int64(v))
		}
	case F64, F32, F16, BF16:
		return dst, fmt.Errorf("a tensor of type %s does not decode to integers", d)
	default:
		return dst, fmt.Errorf("tensors of type %s cannot be decoded", d)
	}
	return dst, nil
}

// As returns t converted to another of the floating-point types, rounded once, to nearest with ties to even; t itself if it
// has that type already. Subnormals, infinities and NaNs are kept; a finite value too large for d is an error, since
// weights that turn infinite on the way to a file are never wanted, and so is a tensor that does not hold floats.
func (t *Tensor) As(d DType) (*Tensor, error) {
	if t.DType == d {
		return t, nil
	}
	if !t.DType.Float() || !d.Float() {
		return nil, fmt.Errorf("cannot convert a tensor from %s to %s: not both floats", t.DType, d)
	}
	n, err := elements(t.Shape)
	if err != nil {
		return nil, err
	}
	if t.data == nil {
		return nil, fmt.Errorf("tensor of type %s and shape %v holds no data", t.DType, t.Shape)
	}
	reserve := n
	if !t.data.trusted() {
		reserve = min(n, 1<<18) // grows with what really arrives
	}
	out, wide := make([]byte, 0, reserve*d.Bits()/8), []float64(nil)
	done := 0
	err = t.data.read(func(b []byte) (err error) {
		for len(b) > 0 && err == nil {
			part := b[:min(len(b), chunkSize)]
			b = b[len(part):]
			if wide, err = appendFloats(wide[:0], t.DType, part); err == nil {
				out, err = appendAs(out, d, wide, done)
				done += len(wide)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return build(d, t.Shape, len(out)*8/d.Bits(), memory(out)), nil
}

// appendAs encodes v as d; base is the index of v[0], for the error.
func appendAs(dst []byte, d DType, v []float64, base int) ([]byte, error) {
	le := binary.LittleEndian
	for i, x := range v {
		overflow := false
		switch d {
		case F64:
			dst = le.AppendUint64(dst, math.Float64bits(x))
		case F32:
			f := float32(x)
			overflow = math.IsInf(float64(f), 0)
			dst = le.AppendUint32(dst, math.Float32bits(f))
		case F16:
			h := narrow(x, 5, 10)
			overflow = h&0x7fff == 0x7c00
			dst = le.AppendUint16(dst, h)
		case BF16:
			h := narrow(x, 8, 7)
			overflow = h&0x7fff == 0x7f80
			dst = le.AppendUint16(dst, h)
		}
		if overflow && !math.IsInf(x, 0) {
			return dst, fmt.Errorf("value %g at index %d is too large for %s", x, base+i, d)
		}
	}
	return dst, nil
}
