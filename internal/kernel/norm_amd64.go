//go:build !noasm

package kernel

import "unsafe"

// An image of p pixels with c channels is also one of p/k pixels with c*k channels whose coefficients
// repeat. The kernels read whole vectors, and keep several of them in flight, so narrow or odd channel
// counts are folded into such wider rows first. k depends on p and c alone, and with it the order of
// every sum.

// foldMax bounds the folded row, whose coefficients live on the stack.
const foldMax = 256

// sumRows is the number of rows added up in float32 before the result joins the total: the error of a
// sum over p pixels grows with sumRows + p/sumRows instead of p.
const sumRows = 256

// fold returns the number k of pixels that make one row: such that rows are multiples of 64 floats, or
// at least of 16, if they then stay within foldMax and the image has rows enough; else 1.
func fold(p, c int) int {
	for _, lanes := range [...]int{64, 16} {
		k := 1
		for k < lanes && c*k%lanes != 0 {
			k *= 2 // lanes is a power of two: so is lanes/gcd(c, lanes)
		}
		if c*k <= foldMax && p >= 2*k {
			return k
		}
	}
	return 1
}

// row holds the values of one folded row and room to start it on a cache line.
type row [foldMax + 15]float32

// aligned is the part of foldMax floats that starts on a cache line: sums that live in memory are
// stored and reloaded a row later, which is slow for vectors that straddle two lines.
func (r *row) aligned() []float32 {
	skip := -int(uintptr(unsafe.Pointer(r))/4) & 15
	return r[skip : skip+foldMax]
}

// repeat fills the first len(v)*k elements with copies of v and returns them.
func (r *row) repeat(v []float32, k int) []float32 {
	all := r[:len(v)*k]
	for n := copy(all, v); n < len(all); n *= 2 {
		copy(all[n:], all[:n])
	}
	return all
}

// addParts adds the k parts of a folded row to dst.
func addParts(dst, r []float32, k int) {
	for i := range k {
		for j, v := range r[i*len(dst) : (i+1)*len(dst)] {
			dst[j] += v
		}
	}
}

// Below, each kernel runs on the folded rows first, then on the pixels left over, one to a row.

func affineSIMD(dst, x, a, b []float32, p, c int, silu bool) bool {
	l := vectorLevel()
	if l == Generic {
		return false
	}
	at := 0
	if k := fold(p, c); k > 1 {
		var ra, rb row
		affineRows(l, dst, x, ra.repeat(a[:c], k), rb.repeat(b[:c], k), p/k, silu)
		at, p = p/k*k*c, p%k
	}
	if p > 0 {
		affineRows(l, dst[at:], x[at:], a[:c], b[:c], p, silu)
	}
	return true
}

func affineRows(l Level, dst, x, a, b []float32, p int, silu bool) {
	switch {
	case l == AVX512 && silu:
		affineSiLUAVX512(&dst[0], &x[0], &a[0], &b[0], p, len(a))
	case l == AVX512:
		affineAVX512(&dst[0], &x[0], &a[0], &b[0], p, len(a))
	case silu:
		affineSiLUAVX2(&dst[0], &x[0], &a[0], &b[0], p, len(a))
	default:
		affineAVX2(&dst[0], &x[0], &a[0], &b[0], p, len(a))
	}
}

func affineAddGradSIMD(dx, dz, x, ca, cb, cc []float32, p, c int) bool {
	l := vectorLevel()
	if l == Generic {
		return false
	}
	at := 0
	if k := fold(p, c); k > 1 {
		var ra, rb, rc row
		affineAddGradRows(l, dx, dz, x, ra.repeat(ca[:c], k), rb.repeat(cb[:c], k), rc.repeat(cc[:c], k), p/k)
		at, p = p/k*k*c, p%k
	}
	if p > 0 {
		affineAddGradRows(l, dx[at:], dz[at:], x[at:], ca[:c], cb[:c], cc[:c], p)
	}
	return true
}

func affineAddGradRows(l Level, dx, dz, x, ca, cb, cc []float32, p int) {
	if l == AVX512 {
		affineAddGradAVX512(&dx[0], &dz[0], &x[0], &ca[0], &cb[0], &cc[0], p, len(ca))
	} else {
		affineAddGradAVX2(&dx[0], &dz[0], &x[0], &ca[0], &cb[0], &cc[0], p, len(ca))
	}
}

func addChannelsSIMD(dst, x, e []float32, p, c int) bool {
	l := vectorLevel()
	if l == Generic {
		return false
	}
	at := 0
	if k := fold(p, c); k > 1 {
		var r row
		addChannelsRows(l, dst, x, r.repeat(e[:c], k), p/k)
		at, p = p/k*k*c, p%k
	}
	if p > 0 {
		addChannelsRows(l, dst[at:], x[at:], e[:c], p)
	}
	return true
}

func addChannelsRows(l Level, dst, x, e []float32, p int) {
	if l == AVX512 {
		addChannelsAVX512(&dst[0], &x[0], &e[0], p, len(e))
	} else {
		addChannelsAVX2(&dst[0], &x[0], &e[0], p, len(e))
	}
}
