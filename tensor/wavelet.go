package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// Wavelet is the invertible 5/3 wavelet of JPEG 2000 without rounding (Le Gall & Tabatabai 1988), the first operation of
// a network that avoids large feature maps (Simple diffusion, Hoogeboom et al. 2023, sec. 3.3). Every row and every
// column is lifted,
//
//	d[k] = x[2k+1] − (x[2k]+x[2k+2])/2    s[k] = x[2k] + (d[k−1]+d[k])/4
//
// with whole-sample symmetric ends (x[−1] = x[1], x[n] = x[n−2]), and each further level does the same to the averages of
// the one before. x is N×H×W×C, H and W multiples of k = 2^levels; the result is N×(H/k)×(W/k)×(k·k·C), the bands of all
// levels in the order of [SpaceToDepth]: for one level the averages, then horizontal, vertical and diagonal detail.
func Wavelet(t *Tape, x *Tensor, levels int) *Tensor {
	h := lift(t, x, levels, false)
	y := SpaceToDepth(t, h, 1<<levels)
	Recycle(t, h)
	return y
}

// InverseWavelet undoes [Wavelet]: N×H×W×(k·k·C) becomes N×kH×kW×C, k = 2^levels.
func InverseWavelet(t *Tape, x *Tensor, levels int) *Tensor {
	h := DepthToSpace(t, x, 1<<levels)
	y := lift(t, h, levels, true)
	Recycle(t, h)
	return y
}

// lift is the wavelet, or its inverse, with every coefficient at the pixel that it is lifted from: averages of level l at
// multiples of 2^l, details halfway between.
func lift(t *Tape, x *Tensor, levels int, inverse bool) *Tensor {
	n, h, w, c := x.image("Wavelet")
	if k := 1 << levels; levels < 0 || h%k != 0 || w%k != 0 {
		panic(fmt.Sprintf("tensor.Wavelet: x %v in %d levels", x.Shape, levels))
	}
	m := h * w * c
	y := scratch(x.Shape...)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			yi := y.Data[i*m:][:m]
			copy(yi, x.Data[i*m:][:m])
			liftPicture(yi, h, w, c, levels, inverse, false)
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(n, 1, func(i0, i1 int) {
			buf := take(m)
			defer give(buf)
			for i := i0; i < i1; i++ {
				copy(buf, dy[i*m:][:m])
				liftPicture(buf, h, w, c, levels, inverse, true)
				kernel.Axpy(dx[i*m:][:m], 1, buf)
			}
		})
	}, x)
	return y
}

// liftPicture lifts one picture of h×w×c in place. The inverse takes the same steps back, with the other sign; a
// transposed step gives what it would take, and takes them back, too.
func liftPicture(x []float32, h, w, c, levels int, inverse, transpose bool) {
	sign := float32(1)
	if inverse {
		sign = -1
	}
	back := inverse != transpose
	steps := [2]liftStep{{odd: 1, factor: -0.5 * sign, transpose: transpose}, {odd: 0, factor: 0.25 * sign, transpose: transpose}}
	if back {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for l := range levels {
		s := 1 << l
		if back {
			s = 1 << (levels - 1 - l)
		}
		for y := 0; y < h; y += s {
			for _, step := range steps {
				step.along(x[y*w*c:], w/s, s*c, c)
			}
		}
		for _, step := range steps {
			if s == 1 {
				step.along(x, h, w*c, w*c)
				continue
			}
			for i := 0; i < w; i += s {
				step.along(x[i*c:], h/s, s*w*c, c)
			}
		}
	}
}

// A liftStep adds to every other position of a line, the odd ones or the even ones, its two neighbours times a factor;
// transposed, it adds the position to both neighbours.
type liftStep struct {
	odd       int // 1 or 0: the first position
	factor    float32
	transpose bool
}

// along applies the step to n positions, each of run values, that begin stride apart.
func (s liftStep) along(x []float32, n, stride, run int) {
	for i := s.odd; i < n; i += 2 {
		before, after := i-1, i+1
		if before < 0 {
			before = after
		}
		if after >= n {
			after = before
		}
		at, lo, hi := x[i*stride:][:run], x[before*stride:][:run], x[after*stride:][:run]
		if s.transpose {
			for k, v := range at {
				lo[k] += s.factor * v
				hi[k] += s.factor * v
			}
			continue
		}
		for k := range at {
			at[k] += s.factor * (lo[k] + hi[k])
		}
	}
}
