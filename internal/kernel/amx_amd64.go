//go:build !noasm

package kernel

import "unsafe"

// Of the functions here the callers have checked the slices.

func amxMultiplySIMD(c []float32, a *amxA, b []uint16, bias []float32, start bool) {
	mode := 0
	if start {
		mode |= 1
	}
	if Current() < AMX {
		amxMultiplyDots(len(a.starts), len(a.offsets), &c[0], &a.data[0], a.ld, &a.starts[0], &a.offsets[0], &b[0], unsafe.SliceData(bias), mode)
		return
	}
	if a.split != 0 {
		mode |= 2
	}
	amxMultiplyTiles(len(a.starts)/2, len(a.offsets), &c[0], &a.data[0], a.split, a.ld, &a.starts[0], &a.offsets[0], &b[0],
		unsafe.SliceData(bias), mode)
}

// amxMultiplyTiles is amxMultiply with AMX. mode is the sum of 1 for start and 2 for split. The tiles' state begins and ends within.
//
//go:noescape
func amxMultiplyTiles(pairs, steps int, c *float32, a *uint16, split, ld int, starts, offsets *int, b *uint16, bias *float32, mode int)

// amxMultiplyDots is amxMultiply, without split, with AVX-512's products of pairs of bfloat16 numbers, and their rounding: one pair after the
// other is added to the sums.
//
//go:noescape
func amxMultiplyDots(runs, steps int, c *float32, a *uint16, ld int, starts, offsets *int, b *uint16, bias *float32, start int)

// peakDots is the loop of PeakLoop: products of pairs in 16 registers a turn.
//
//go:noescape
func peakDots(turns int) float32

func amxNarrowSIMD(dst []uint16, split int, src []float32, ld, rows, cols int) {
	amxNarrowAVX512(&dst[0], split, &src[0], ld, rows, cols)
}

// amxNarrowAVX512 is amxNarrow with AVX-512 and its bfloat16 instructions.
//
//go:noescape
func amxNarrowAVX512(dst *uint16, split int, src *float32, ld, rows, cols int)

func amxPairSIMD(dst []uint16, split bool, src []float32, ld, rows, cols int) {
	step := 0
	if split {
		step = 2 * amxTile
	}
	amxPairAVX512(&dst[0], step, &src[0], ld, rows, cols)
}

// amxPairAVX512 is amxPair with AVX-512 and its bfloat16 instructions. split is the distance of the larger parts from the smaller ones, or 0.
//
//go:noescape
func amxPairAVX512(dst *uint16, split int, src *float32, ld, rows, cols int)

func copyRowsSIMD(dst []float32, dstStride int, src []float32, srcStride, rows int) {
	if rows > 0 {
		copyRowsAVX512(&dst[0], dstStride, &src[0], srcStride, rows)
	}
}

// copyRowsAVX512 copies rows of 32 floats.
//
//go:noescape
func copyRowsAVX512(dst *float32, dstStride int, src *float32, srcStride, rows int)

// roundSIMD is roundBF16 with AVX2, or reports that it did not.
func roundSIMD(dst, src []float32) bool {
	if Current() < AVX2 {
		return false
	}
	n := len(src) &^ 7
	if n > 0 {
		roundBF16AVX2(&dst[0], &src[0], n)
	}
	roundBF16Generic(dst[n:], src[n:])
	return true
}

// roundBF16AVX2 is roundBF16 for a multiple of 8 floats.
//
//go:noescape
func roundBF16AVX2(dst, src *float32, n int)

// peakAMX is the loop of PeakLoop: four products of tiles a turn.
//
//go:noescape
func peakAMX(tiles *[2048]float32, turns int)
