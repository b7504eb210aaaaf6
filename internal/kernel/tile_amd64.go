//go:build amd64 && !noasm

package kernel

import "unsafe"

// runAsm runs the level's assembly; run has checked the slices.
func (t tiler) runAsm(a *tileA, b []float32, bs int, init []float32, ldinit int, c []float32, ldc int) {
	switch t.level {
	case AVX512:
		tile14x32(a.k, a.segs, a.segStep, &a.data[a.off], &a.data[a.off2], a.rs, a.ks,
			&b[0], bs, unsafe.SliceData(init), ldinit, &c[0], ldc)
	case AVX2:
		tile6x16(a.k, a.segs, a.segStep, &a.data[a.off], &a.data[a.off2], a.rs, a.ks,
			&b[0], bs, unsafe.SliceData(init), ldinit, &c[0], ldc)
	default:
		t.tileGeneric(a, b, bs, init, ldinit, c, ldc)
	}
}

// tile14x32 is tiler.run for 14×32 floats with AVX-512F; k and segs must be positive, strides are in floats.
//
//go:noescape
func tile14x32(k, segs, segStep int, a, a2 *float32, rs, ks int, b *float32, bs int, init *float32, ldinit int, c *float32, ldc int)

// tile6x16 is tiler.run for 6×16 floats with AVX2 and FMA; k and segs must be positive, strides are in floats.
//
//go:noescape
func tile6x16(k, segs, segStep int, a, a2 *float32, rs, ks int, b *float32, bs int, init *float32, ldinit int, c *float32, ldc int)
