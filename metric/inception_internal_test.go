package metric

import (
	"math"
	"math/rand/v2"
	"testing"
)

// EachStage runs the network on n prepared pictures and shows the output of every stage, n×h×w×c, to visit.
func (net *Inception) EachStage(x []float32, n int, visit func(name string, h, w, c int, data []float32)) {
	net.forward(x, n, func(s *stage, y activations) bool {
		visit(s.name, y.h, y.w, y.c, y.data)
		return true
	})
}

// poolTwin is both pools straight from their definitions.
func poolTwin(x activations, kind poolKind, stride, pad int) (y activations) {
	y = activations{x.n, (x.h+2*pad-3)/stride + 1, (x.w+2*pad-3)/stride + 1, x.c, nil}
	for n := range y.n {
		for i := range y.h {
			for j := range y.w {
				for c := range y.c {
					most, sum, count := float32(math.Inf(-1)), 0.0, 0.0
					for ky := range 3 {
						for kx := range 3 {
							yy, xx := i*stride+ky-pad, j*stride+kx-pad
							if yy < 0 || yy >= x.h || xx < 0 || xx >= x.w {
								continue
							}
							v := x.data[((n*x.h+yy)*x.w+xx)*x.c+c]
							most = max(most, v)
							sum += float64(v)
							count++
						}
					}
					if kind == averagePool {
						most = float32(sum / count)
					}
					y.data = append(y.data, most)
				}
			}
		}
	}
	return y
}

// TestPools compares the pools with their twin: maxima exactly, means of at most nine values with nine roundings.
func TestPools(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pools := []op{around(maxPool), around(averagePool), halve()}
	for _, size := range [][4]int{{1, 1, 1, 1}, {2, 1, 5, 3}, {2, 4, 1, 3}, {1, 2, 2, 17}, {3, 8, 8, 33}, {2, 17, 17, 5}, {1, 35, 34, 20}} {
		x := activations{size[0], size[1], size[2], size[3], make([]float32, size[0]*size[1]*size[2]*size[3])}
		for i := range x.data {
			x.data[i] = float32(rng.NormFloat64())
		}
		for _, o := range pools {
			if o.padH == 0 && (x.h < 3 || x.w < 3) {
				continue
			}
			want := poolTwin(x, o.pool, o.stride, o.padH)
			const guard = float32(-77.25)
			y := activations{want.n, want.h, want.w, want.c + 5, make([]float32, want.n*want.h*want.w*(want.c+5))}
			for i := range y.data {
				y.data[i] = guard
			}
			o.into(y, 2, x)
			for i, v := range y.data {
				p, c := i/y.c, i%y.c-2
				if c < 0 || c >= want.c {
					if v != guard {
						t.Fatalf("%v %+v: channel %d of pixel %d overwritten", size, o, c, p)
					}
					continue
				}
				tolerance := 0.0
				if o.pool == averagePool {
					tolerance = 9 * 0x1p-24 * 5 // of values below 5
				}
				if d := math.Abs(float64(v - want.data[p*want.c+c])); !(d <= tolerance) {
					t.Fatalf("%v %+v: pixel %d, channel %d is %g, want %g", size, o, p, c, v, want.data[p*want.c+c])
				}
			}
		}
	}
}

// TestNaNStays: no pool and no ReLU hides it.
func TestNaNStays(t *testing.T) {
	x := activations{1, 5, 5, 3, make([]float32, 75)}
	x.data[(2*5+2)*3+1] = float32(math.NaN())
	conv := op{cin: 3, cout: 3, kh: 1, kw: 1, stride: 1, weights: []float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, bias: make([]float32, 3)}
	for _, o := range []op{around(maxPool), around(averagePool), halve(), conv} {
		o.cin, o.cout = 3, 3
		_, h, w := o.shape(activations{1, 5, 5, 3, nil})
		y := activations{1, h, w, 3, make([]float32, h*w*3)}
		o.into(y, 0, x)
		if v := y.data[((h/2)*w+w/2)*3+1]; !math.IsNaN(float64(v)) {
			t.Errorf("%+v made %g of NaN", o, v)
		}
	}
}
