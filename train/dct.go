package train

import (
	"math"

	"diffuse/internal/kernel"
)

// A dct is the frequencies of pictures of h×w and what they weigh. It is read only.
type dct struct {
	h, w    int
	rows    []float32 // orthonormal DCT-II along an axis of h, h×h: row k is the wave of k half periods
	cols    []float32 // of w, w×w
	weights []float32 // of every coefficient, h×w
}

// newDCT weighs by min over both axes of min(−log2 f, highest), f even from 1/2n to 1/2 along an axis of n (k-diffusion's
// freq_weight_nd).
func newDCT(h, w int, highest float64) *dct {
	t := &dct{h: h, w: w, rows: waves(h), cols: waves(w), weights: make([]float32, h*w)}
	along := func(n, i int) float64 {
		f := 0.5 / float64(n)
		if n > 1 {
			f += (0.5 - f) * float64(i) / float64(n-1)
		}
		return math.Min(-math.Log2(f), highest)
	}
	for i := range t.weights {
		t.weights[i] = float32(math.Min(along(h, i/w), along(w, i%w)))
	}
	return t
}

// waves returns the matrix of the orthonormal DCT-II of n numbers.
func waves(n int) []float32 {
	m := make([]float32, n*n)
	for k := range n {
		norm := math.Sqrt(2 / float64(n))
		if k == 0 {
			norm = math.Sqrt(1 / float64(n))
		}
		for i := range n {
			m[k*n+i] = float32(norm * math.Cos(math.Pi*float64((2*i+1)*k%(4*n))/float64(2*n)))
		}
	}
	return m
}

// squared returns w·Σ weight·DCT(e)² of the error e, h×w×c, and turns e into its gradient times scale. plane and half have room for h×w.
func (t *dct) squared(e []float32, c int, plane, half []float32, w, scale float64) float64 {
	h, n := t.h, t.w
	slope := float32(2 * w * scale)
	var sum float64
	for k := range c {
		for i := range plane {
			plane[i] = e[i*c+k]
		}
		kernel.Gemm(half, plane, t.cols, h, n, n, n, n, n, false, true, false)
		kernel.Gemm(plane, t.rows, half, h, n, h, h, n, n, false, false, false)
		for i, v := range plane {
			sum += float64(t.weights[i]) * float64(v) * float64(v)
			plane[i] = slope * t.weights[i] * v
		}
		kernel.Gemm(half, t.rows, plane, h, n, h, h, n, n, true, false, false)
		kernel.Gemm(plane, half, t.cols, h, n, n, n, n, n, false, false, false)
		for i, v := range plane {
			e[i*c+k] = v
		}
	}
	return w * sum
}
