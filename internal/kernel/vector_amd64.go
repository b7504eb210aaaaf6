//go:build !noasm

package kernel

// Each function picks the assembly of the level in use and reports whether it did the work; operands
// are not empty and of the lengths their exported callers checked.

func axpySIMD(y, x []float32, a float32) bool {
	return addStridedSIMD(y, len(y), x, len(x), 1, len(y), a)
}

func addStridedSIMD(dst []float32, dstStride int, src []float32, srcStride, rows, cols int, a float32) bool {
	switch vectorLevel() {
	case AVX512:
		addStridedAVX512(&dst[0], &src[0], dstStride, srcStride, rows, cols, a)
	case AVX2:
		addStridedAVX2(&dst[0], &src[0], dstStride, srcStride, rows, cols, a)
	default:
		return false
	}
	return true
}

func scaleSIMD(dst, x []float32, a float32) bool {
	switch vectorLevel() {
	case AVX512:
		scaleAVX512(&dst[0], &x[0], len(dst), a)
	case AVX2:
		scaleAVX2(&dst[0], &x[0], len(dst), a)
	default:
		return false
	}
	return true
}

func addSIMD(dst, x, y []float32, a, b float32) bool {
	switch vectorLevel() {
	case AVX512:
		addAVX512(&dst[0], &x[0], &y[0], len(dst), a, b)
	case AVX2:
		addAVX2(&dst[0], &x[0], &y[0], len(dst), a, b)
	default:
		return false
	}
	return true
}

func mulSIMD(dst, x, y []float32) bool {
	switch vectorLevel() {
	case AVX512:
		mulAVX512(&dst[0], &x[0], &y[0], len(dst))
	case AVX2:
		mulAVX2(&dst[0], &x[0], &y[0], len(dst))
	default:
		return false
	}
	return true
}

func maxSIMD(dst, x, y []float32) bool {
	switch vectorLevel() {
	case AVX512, AVX2: // what memory brings, 256 bits a turn keep up with
		maxAVX2(&dst[0], &x[0], &y[0], len(dst))
	default:
		return false
	}
	return true
}

func lerpSIMD(dst, x []float32, beta float32) bool {
	switch vectorLevel() {
	case AVX512:
		lerpAVX512(&dst[0], &x[0], len(dst), beta)
	case AVX2:
		lerpAVX2(&dst[0], &x[0], len(dst), beta)
	default:
		return false
	}
	return true
}

func dotSIMD(x, y []float32) (sum float64, ok bool) {
	switch vectorLevel() {
	case AVX512:
		return dotAVX512(&x[0], &y[0], len(x)), true
	case AVX2:
		return dotAVX2(&x[0], &y[0], len(x)), true
	}
	return 0, false
}

func siluSIMD(dst, x []float32) bool {
	switch vectorLevel() {
	case AVX512:
		siluAVX512(&dst[0], &x[0], len(dst))
	case AVX2:
		siluAVX2(&dst[0], &x[0], len(dst))
	default:
		return false
	}
	return true
}

func siluGradSIMD(dx, dy, x []float32) bool {
	switch vectorLevel() {
	case AVX512:
		siluGradAVX512(&dx[0], &dy[0], &x[0], len(dx))
	case AVX2:
		siluGradAVX2(&dx[0], &dy[0], &x[0], len(dx))
	default:
		return false
	}
	return true
}

func softmaxSIMD(dst, x []float32, rows, cols int, scale float32) bool {
	switch vectorLevel() {
	case AVX512:
		softmaxAVX512(&dst[0], &x[0], rows, cols, scale)
	case AVX2:
		softmaxAVX2(&dst[0], &x[0], rows, cols, scale)
	default:
		return false
	}
	return true
}

func softmaxGradSIMD(dx, dy, p []float32, rows, cols int, scale float32) bool {
	switch vectorLevel() {
	case AVX512:
		softmaxGradAVX512(&dx[0], &dy[0], &p[0], rows, cols, scale)
	case AVX2:
		softmaxGradAVX2(&dx[0], &dy[0], &p[0], rows, cols, scale)
	default:
		return false
	}
	return true
}

func adamSIMD(w, m, v, g []float32, c *adamCoefficients) bool {
	switch vectorLevel() {
	case AVX512:
		adamAVX512(&w[0], &m[0], &v[0], &g[0], len(w), c)
	case AVX2:
		adamAVX2(&w[0], &m[0], &v[0], &g[0], len(w), c)
	default:
		return false
	}
	return true
}

func peakSIMD(turns int) (sum float32, ok bool) {
	switch Current() {
	case AMX:
		var mem [2048]float32
		a, b := bf16Of(mem[1024:1280]), bf16Of(mem[1280:1536])
		for i := range amxRows { // one term in each sum
			a[i*amxTerms], b[2*i] = toBF16(0.5), toBF16(1)
		}
		peakAMX(&mem, turns)
		return mem[0], true
	case AVX512BF16:
		return peakDots(turns), true
	case AVX512:
		return peakAVX512(turns), true
	case AVX2:
		return peakAVX2(turns), true
	}
	return 0, false
}

func rectifySIMD(x []float32, stride, rows, cols int) bool {
	if Current() < AVX2 {
		return false
	}
	rectifyAVX2(&x[0], stride, rows, cols)
	return true
}
