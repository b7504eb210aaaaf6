package checkpoint

import (
	"fmt"
	"math/bits"
)

// DType names the type of a tensor's elements as safetensors spells it ("F32", "BF16", "I64", …). Elements are
// little-endian in files.
type DType string

// The element types this package reads and writes. Files may also hold the 8-bit and narrower floats and the
// complex type of the safetensors format: such tensors are listed, and copied by Write, but not decoded.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U64  DType = "U64"
	U32  DType = "U32"
	U16  DType = "U16"
	U8   DType = "U8"
	Bool DType = "BOOL"
)

// Bits returns the size of one element in bits, or 0 when the type is not one of the safetensors format.
func (d DType) Bits() int {
	switch d {
	case F64, I64, U64, "C64":
		return 64
	case F32, I32, U32:
		return 32
	case F16, BF16, I16, U16:
		return 16
	case I8, U8, Bool, "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ":
		return 8
	case "F6_E2M3", "F6_E3M2":
		return 6
	case "F4":
		return 4
	}
	return 0
}

// Float reports whether d is one of the floating-point types that Tensor.As converts between.
func (d DType) Float() bool { return d == F64 || d == F32 || d == F16 || d == BF16 }

// maxRank bounds the number of dimensions; numpy stops at 64 too.
const maxRank = 64

// elements multiplies the dimensions of shape; a scalar (no dimensions) has one element.
func elements(shape []int) (int, error) {
	if len(shape) > maxRank {
		return 0, fmt.Errorf("%d dimensions, more than %d", len(shape), maxRank)
	}
	n := uint64(1)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > maxBytes {
			return 0, fmt.Errorf("shape %v overflows", shape)
		}
		n = lo
	}
	return int(n), nil
}

// maxBytes is the largest size that an int can hold on this platform.
const maxBytes = uint64(^uint(0) >> 1)

// byteSize returns how many bytes a tensor of this type and shape takes in a file.
func byteSize(d DType, shape []int) (int64, error) {
	size := d.Bits()
	if size == 0 {
		return 0, fmt.Errorf("unknown dtype %q", string(d))
	}
	n, err := elements(shape)
	if err != nil {
		return 0, err
	}
	hi, lo := bits.Mul64(uint64(n), uint64(size))
	if hi != 0 || lo/8 > maxBytes {
		return 0, fmt.Errorf("shape %v of %s overflows", shape, d)
	}
	if lo%8 != 0 {
		return 0, fmt.Errorf("shape %v of %s does not fill whole bytes", shape, d)
	}
	return int64(lo / 8), nil
}
