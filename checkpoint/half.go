package checkpoint

import "math"

// narrow rounds v to a 16-bit float of the given exponent and mantissa widths (5, 10: binary16; 8, 7: bfloat16),
// to nearest, ties to even, in one step from float64, so that nothing is rounded twice. Subnormals are kept,
// values past the largest finite one become infinite, NaNs stay NaNs with the top of their payload.
func narrow(v float64, expBits, manBits uint) uint16 {
	b := math.Float64bits(v)
	sign := uint16(b>>63) << 15
	exp := int(b>>52) & 0x7ff
	man := b & (1<<52 - 1)
	top := uint16(1)<<expBits - 1 // exponent field of Inf and NaN
	if exp == 0x7ff {
		h := sign | top<<manBits | uint16(man>>(52-manBits))
		if man != 0 {
			h |= 1 << (manBits - 1) // quiet: never lets a NaN turn into Inf
		}
		return h
	}
	if exp == 0 {
		return sign // zero, or a float64 subnormal: far below half of the smallest step
	}
	bias := int(top >> 1)
	e := exp - 1023 + bias // exponent field in the narrow type, before rounding
	man |= 1 << 52
	shift := 52 - manBits
	if e < 1 { // subnormal there: shift further, the field is 0
		if 1-e > int(manBits)+1 {
			return sign
		}
		shift += uint(1 - e)
		e = 1 // the implicit bit, if rounding brings it back, carries into the field
	}
	q := man >> shift
	rest, half := man&(1<<shift-1), uint64(1)<<(shift-1)
	if rest > half || rest == half && q&1 == 1 {
		q++
	}
	// q carries the implicit bit, so that adding it to (e-1) steps the exponent by itself on overflow.
	h := uint64(e-1)<<manBits + q
	if h >= uint64(top)<<manBits {
		return sign | top<<manBits
	}
	return sign | uint16(h)
}

// widenF16 returns the float32 equal to the binary16 number h.
func widenF16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp := uint32(h>>10) & 31
	man := uint32(h & 0x3ff)
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0xff<<23 | man<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+127-15)<<23 | man<<13)
	}
	v := float32(man) * (1.0 / (1 << 24)) // exact: subnormals count steps of 2^-24
	if sign != 0 {
		v = -v // keeps -0: negation of a zero constant would not, of a variable does
	}
	return v
}

// widenBF16 returns the float32 equal to the bfloat16 number h.
func widenBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
