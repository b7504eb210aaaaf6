package kernel

import (
	"fmt"
	"math"
)

// A Precision says how convolutions treat their operands. Sums are kept in float32 in all of them.
type Precision int

// The precisions. Where the CPU has no tiles (see [AMX]), BFloat16x3 is computed as Float32, which is then both faster and closer; and where it has
// no instructions for bfloat16 at all, BFloat16 by the float32 kernels from rounded operands.
const (
	Float32    Precision = iota // exact products of float32 numbers
	BFloat16x3                  // each number as the sum of two bfloat16 numbers, and three of the four products of such sums
	BFloat16                    // numbers rounded to bfloat16, the upper half of a float32
)

// Precisions lists all precisions by name.
var Precisions = map[string]Precision{"f32": Float32, "bf16x3": BFloat16x3, "bf16": BFloat16}

// String returns the precision's name: "f32", "bf16x3" or "bf16".
func (p Precision) String() string {
	for name, q := range Precisions {
		if p == q {
			return name
		}
	}
	return fmt.Sprintf("Precision(%d)", int(p))
}

// BestPrecision returns the fastest precision that is float32-class at the level in use: BFloat16x3 with tiles, else Float32.
func BestPrecision() Precision {
	if Current() >= AMX {
		return BFloat16x3
	}
	return Float32
}

// tiled reports whether products in p are made from operands in the form of tiles at the level in use.
func (p Precision) tiled() bool {
	return p == BFloat16x3 && Current() >= AMX || p == BFloat16 && Current() >= AVX512BF16
}

// toBF16 rounds v to the nearest bfloat16, ties to even, as the processors' instructions do: subnormal numbers count as 0, and a NaN stays one.
func toBF16(v float32) uint16 {
	b := math.Float32bits(v)
	switch {
	case b&0x7f800000 == 0:
		return uint16(b >> 16 & 0x8000)
	case b&0x7fffffff > 0x7f800000:
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// fromBF16 returns the float32 that h stands for.
func fromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// roundBF16 sets dst to src rounded to bfloat16.
func roundBF16(dst, src []float32) {
	if roundSIMD(dst, src) {
		return
	}
	roundBF16Generic(dst, src)
}

func roundBF16Generic(dst, src []float32) {
	for i, v := range src {
		dst[i] = fromBF16(toBF16(v))
	}
}

// rounded returns operands rounded to bfloat16 in buffers that release gives back.
func rounded(operands ...[]float32) (list [][]float32, release func()) {
	var buffers []scratch
	for _, s := range operands {
		buf := borrow(len(s))
		buffers = append(buffers, buf)
		For(len(s), 1<<15, func(i0, i1 int) { roundBF16(buf.f[i0:i1], s[i0:i1]) })
		list = append(list, buf.f)
	}
	return list, func() {
		for _, b := range buffers {
			b.release()
		}
	}
}
