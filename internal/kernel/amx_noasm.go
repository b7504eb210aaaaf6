//go:build !amd64 || noasm

package kernel

// There are no tiles in this build, and nothing calls these.

func amxMultiplySIMD(c []float32, a *amxA, b []uint16, bias []float32, start bool) {
	amxMultiplyGeneric(c, a, b, bias, start)
}

func amxNarrowSIMD(dst []uint16, split int, src []float32, ld, rows, cols int) {
	amxNarrowGeneric(dst, split, src, ld, rows, cols)
}

func amxPairSIMD(dst []uint16, split bool, src []float32, ld, rows, cols int) {
	amxPairGeneric(dst, split, src, ld, rows, cols)
}

func copyRowsSIMD(dst []float32, dstStride int, src []float32, srcStride, rows int) {
	CopyStrided(dst, dstStride, src, srcStride, rows, amxPanel)
}

func roundSIMD(dst, src []float32) bool { return false }
