package tensor

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// ScaleChannels multiplies the first k channels of image i of x, N×H×W×C, by
// factor[i]: FreeU's backbone factor with k = C/2 (Si et al. 2023, arXiv
// 2309.11497, eq. 3).
func ScaleChannels(t *Tape, x *Tensor, k int, factor []float32) *Tensor {
	n, h, w, c := x.image("ScaleChannels")
	if k < 0 || k > c || len(factor) != n {
		panic(fmt.Sprintf("tensor.ScaleChannels: %d channels and %d factors for x %v", k, len(factor), x.Shape))
	}
	p := h * w
	y := scratch(n, h, w, c)
	kernel.For(n, 1, func(i0, i1 int) {
		copy(y.Data[i0*p*c:i1*p*c], x.Data[i0*p*c:])
		for j := i0 * p; j < i1*p; j++ {
			kernel.ScaleTo(y.Data[j*c:][:k], factor[j/p], x.Data[j*c:][:k])
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		if dx == nil {
			return
		}
		for j := range n * p {
			kernel.Axpy(dx[j*c:][:k], factor[j/p], dy[j*c:][:k])
			kernel.Axpy(dx[j*c+k:][:c-k], 1, dy[j*c+k:][:c-k])
		}
	}, x)
	return y
}

// ScaleLow multiplies the lowest Fourier coefficients of every channel of
// image i of x, N×H×W×C, by factor[i] and takes the real part: FreeU's filter
// of skips (arXiv 2309.11497, eq. 4-6). Its mask covers the frequencies 0 and
// -1 in height and width, four coefficients.
func ScaleLow(t *Tape, x *Tensor, factor []float32) *Tensor {
	n, h, w, c := x.image("ScaleLow")
	if len(factor) != n {
		panic(fmt.Sprintf("tensor.ScaleLow: %d factors for x %v", len(factor), x.Shape))
	}
	p := h * w
	waves := lowWaves(h, w)
	y := scratch(n, h, w, c)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			yi, xi := y.Data[i*p*c:][:p*c], x.Data[i*p*c:][:p*c]
			copy(yi, xi)
			addLow(yi, xi, waves, factor[i]-1, c)
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		if dx == nil {
			return
		}
		axpy(dx, 1, dy)
		for i := range n { // the projection is symmetric
			addLow(dx[i*p*c:][:p*c], dy[i*p*c:][:p*c], waves, factor[i]-1, c)
		}
	}, x)
	return y
}

// lowWaves returns cosine and sine of each of the mask's frequencies at every
// pixel. What the mask keeps of a picture, its real part taken, is the sum
// over these waves of (picture·wave)·wave/HW; the signs of frequencies do not
// matter. A picture one pixel high or wide has no frequency -1 that way.
func lowWaves(h, w int) [][]float32 {
	var waves [][]float32
	for ky := range min(h, 2) {
		for kx := range min(w, 2) {
			cos, sin := make([]float32, h*w), make([]float32, h*w)
			for i := range h * w {
				s, c := math.Sincos(2 * math.Pi * (float64(ky*(i/w))/float64(h) + float64(kx*(i%w))/float64(w)))
				cos[i], sin[i] = float32(c), float32(s)
			}
			waves = append(waves, cos)
			if kx+ky > 0 {
				waves = append(waves, sin)
			}
		}
	}
	return waves
}

// addLow adds gain times the part of x that the waves span to y, one image of
// c channels.
func addLow(y, x []float32, waves [][]float32, gain float32, c int) {
	coef := take(c)
	defer give(coef)
	for _, wave := range waves {
		clear(coef)
		for j, v := range wave {
			kernel.Axpy(coef, v, x[j*c:][:c])
		}
		for j, v := range wave {
			kernel.Axpy(y[j*c:][:c], gain*v/float32(len(wave)), coef)
		}
	}
}
