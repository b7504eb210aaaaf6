package imageio

import (
	"fmt"
	"math"
)

// A Filter is how a resized pixel weighs the pixels around its place, by distance. Shrinking stretches it by the scale, as in PIL.
type Filter int

// The filters of PIL: Box reaches half a pixel, Bilinear one, Bicubic two (Keys, a = −0.5) and Lanczos three.
const (
	Box Filter = iota
	Bilinear
	Bicubic
	Lanczos
)

// ResizeFloat returns x, h×w pixels of c channels side by side, at toH×toW pixels by f, as PIL resizes each channel in mode 'F': sums
// in float64, the width first, float32 between the passes, neither clipped nor rounded to whole numbers. Where that is the size
// already, it returns x itself.
func ResizeFloat(x []float32, h, w, c, toH, toW int, f Filter) []float32 {
	if h < 1 || w < 1 || c < 1 || toH < 1 || toW < 1 || len(x) != h*w*c {
		panic(fmt.Sprintf("imageio: ResizeFloat of %d values as %d×%d×%d to %d×%d", len(x), h, w, c, toH, toW))
	}
	if toW != w {
		out, sums := make([]float32, h*toW*c), make([]float64, c)
		ks := f.weights(w, toW)
		for y := range h {
			for i, k := range ks {
				k.sum(out[(y*toW+i)*c:][:c], sums, x[(y*w+k.first)*c:], c)
			}
		}
		x, w = out, toW
	}
	if toH != h {
		n := w * c
		out, sums := make([]float32, toH*n), make([]float64, n)
		for i, k := range f.weights(h, toH) {
			k.sum(out[i*n:(i+1)*n], sums, x[k.first*n:], n)
		}
		x = out
	}
	return x
}

// exactKernel holds the weights of the input pixels from first on that make one output pixel; they add up to 1.
type exactKernel struct {
	first   int
	weights []float64
}

// sum sets dst to the weighted sum of rows of len(dst) values, step from one to the next, which gather in sums.
func (k exactKernel) sum(dst []float32, sums []float64, rows []float32, step int) {
	clear(sums)
	for j, weight := range k.weights {
		for i, v := range rows[j*step:][:len(sums)] {
			sums[i] += weight * float64(v)
		}
	}
	for i, v := range sums {
		dst[i] = float32(v)
	}
}

// weights returns one kernel for each of n output pixels over size input pixels.
func (f Filter) weights(size, n int) []exactKernel {
	scale := float64(size) / float64(n)
	stretch := max(scale, 1) // shrinking widens the filter
	reach := f.radius() * stretch
	out, slab := make([]exactKernel, n), make([]float64, 0, n*(int(2*reach)+2))
	for i := range out {
		centre := (float64(i) + 0.5) * scale
		lo := max(int(centre-reach+0.5), 0)
		hi := min(int(centre+reach+0.5), size)
		start, sum := len(slab), 0.0
		for j := lo; j < hi; j++ {
			v := f.at((float64(j) - centre + 0.5) / stretch)
			slab = append(slab, v)
			sum += v
		}
		for j := range slab[start:] {
			slab[start+j] /= sum
		}
		out[i] = exactKernel{lo, slab[start:]}
	}
	return out
}

// radius returns how far the filter reaches, in pixels of the larger picture.
func (f Filter) radius() float64 {
	switch f {
	case Box:
		return 0.5
	case Bilinear:
		return 1
	case Bicubic:
		return 2
	case Lanczos:
		return 3
	}
	panic(fmt.Sprintf("imageio: filter %d", int(f)))
}

// at returns the filter's height at distance x.
func (f Filter) at(x float64) float64 {
	switch f {
	case Box:
		if x > -0.5 && x <= 0.5 { // a pixel between two belongs to one
			return 1
		}
		return 0
	case Bilinear:
		return max(0, 1-math.Abs(x))
	case Lanczos:
		if x < -3 || x >= 3 {
			return 0
		}
		return sinc(x) * sinc(x/3)
	}
	return cubic(x)
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return math.Sin(x) / x
}

// cubic is Keys' interpolation kernel with a = −0.5.
func cubic(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}
