//go:build amd64 && !noasm

package kernel

import "unsafe"

// runAsm runs the level's assembly; run has checked the slices.
func (t tiler) runAsm(a *tileA, b []float32, bs int, init []float32, ldinit int, c []float32, ldc int) {
	switch t.level {
	case AVX512:
		tile14x32(a.k, a.segs, a.segStep, a.pics, a.picStep, &a.data[a.off], &a.data[a.off2], a.rs, a.ks,
			&b[0], bs, unsafe.SliceData(init), ldinit, &c[0], ldc)
	case AVX2:
		tile6x16(a.k, a.segs, a.segStep, a.pics, a.picStep, &a.data[a.off], &a.data[a.off2], a.rs, a.ks,
			&b[0], bs, unsafe.SliceData(init), ldinit, &c[0], ldc)
	default:
		t.tileGeneric(a, b, bs, init, ldinit, c, ldc)
	}
}

// tile14x32 is tiler.run for 14×32 floats with AVX-512F; k, segs and pics must be positive, strides are in floats.
//
//go:noescape
func tile14x32(k, segs, segStep, pics, picStep int, a, a2 *float32, rs, ks int, b *float32, bs int, init *float32, ldinit int, c *float32, ldc int)

// tile6x16 is tiler.run for 6×16 floats with AVX2 and FMA; k, segs and pics must be positive, strides are in floats.
//
//go:noescape
func tile6x16(k, segs, segStep, pics, picStep int, a, a2 *float32, rs, ks int, b *float32, bs int, init *float32, ldinit int, c *float32, ldc int)

// transposeBlocks does as much of transpose as is made of 8×8 blocks: the first r rows of the first c columns.
func transposeBlocks(dst []float32, ld int, src []float32, sj, rows, cols int) (r, c int) {
	r, c = rows&^7, cols&^7
	if r == 0 || c == 0 {
		return 0, 0
	}
	_, _ = dst[(r-1)*ld+c-1], src[(c-1)*sj+r-1]
	for j := 0; j < c; j += 8 {
		transpose8(&dst[j], ld, &src[j*sj], sj, r/8)
	}
	return r, c
}

// transpose8 sets dst[q*ld+c] = src[q+c*sj] for 8·blocks rows q and 8 columns c, with AVX.
//
//go:noescape
func transpose8(dst *float32, ld int, src *float32, sj, blocks int)
