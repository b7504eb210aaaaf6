//go:build !noasm

package kernel

// The kernels of norm.go that sum over pixels, folded as norm_amd64.go describes and cut into runs of
// sumRows rows, each of which is summed from zero and then added to the total.

// momentsSIMD adds Σ (x-center) to sum and Σ (x-center)² to sumsq.
func momentsSIMD(sum, sumsq, x, center []float32, p, c int) bool {
	l := vectorLevel()
	if l == Generic {
		return false
	}
	if sumsq == nil && center != nil {
		sumsq = make([]float32, c) // nobody asks for centred sums alone
	}
	at := 0
	if k := fold(p, c); k > 1 {
		var t1, t2, mid row
		w := c * k
		s1, s2, m := t1[:w], t2[:w], []float32(nil)
		if sumsq == nil {
			s2 = nil
		}
		if center != nil {
			m = mid.repeat(center[:c], k)
		}
		momentsRows(l, s1, s2, x, m, p/k, w)
		addParts(sum[:c], t1[:], k)
		if sumsq != nil {
			addParts(sumsq[:c], t2[:], k)
		}
		at, p = p/k*w, p%k
	}
	if p > 0 {
		momentsRows(l, sum, sumsq, x[at:], center, p, c)
	}
	return true
}

func momentsRows(l Level, sum, sumsq, x, center []float32, p, c int) {
	var mid *float32
	if center != nil {
		mid = &center[0]
	}
	for i := 0; i < p; i += sumRows {
		n := min(sumRows, p-i)
		from := &x[i*c]
		switch {
		case l == AVX512 && sumsq == nil:
			sumsAVX512(&sum[0], from, n, c)
		case l == AVX512:
			momentsAVX512(&sum[0], &sumsq[0], from, mid, n, c)
		case sumsq == nil:
			sumsAVX2(&sum[0], from, n, c)
		default:
			momentsAVX2(&sum[0], &sumsq[0], from, mid, n, c)
		}
	}
}

func affineGradSIMD(dz, dy, x, a, b, s1, s2 []float32, p, c int, silu bool) bool {
	l := vectorLevel()
	if l == Generic {
		return false
	}
	if c > foldMax { // wide images are small: no runs, no folding
		affineGradRows(l, dz, dy, x, a[:c], b[:c], s1, s2, p, silu)
		return true
	}
	k := fold(p, c)
	w := c * k
	var ra, rb row
	wa, wb := a[:c], b[:c]
	if k > 1 {
		wa, wb = ra.repeat(wa, k), rb.repeat(wb, k)
	}
	for i := 0; i < p/k; i += sumRows {
		var r1, r2 row
		t1, t2 := r1.aligned(), r2.aligned()
		at := i * w
		affineGradRows(l, dz[at:], dy[at:], x[at:], wa, wb, t1, t2, min(sumRows, p/k-i), silu)
		addParts(s1[:c], t1, k)
		addParts(s2[:c], t2, k)
	}
	if left := p % k; left > 0 {
		at := p / k * w
		affineGradRows(l, dz[at:], dy[at:], x[at:], a[:c], b[:c], s1, s2, left, silu)
	}
	return true
}

func affineGradRows(l Level, dz, dy, x, a, b, s1, s2 []float32, p int, silu bool) {
	switch {
	case l == AVX512 && silu:
		affineSiLUGradAVX512(&dz[0], &dy[0], &x[0], &a[0], &b[0], &s1[0], &s2[0], p, len(a))
	case l == AVX512:
		affineGradAVX512(&dz[0], &dy[0], &x[0], &s1[0], &s2[0], p, len(a))
	case silu:
		affineSiLUGradAVX2(&dz[0], &dy[0], &x[0], &a[0], &b[0], &s1[0], &s2[0], p, len(a))
	default:
		affineGradAVX2(&dz[0], &dy[0], &x[0], &s1[0], &s2[0], p, len(a))
	}
}
