package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/internal/kernel"
)

// shapes are the images of the tests: every channel count to 70 at odd sizes, then those that cross
// the limits of folding (rows of 256 floats) and of summation runs (256 rows).
func shapes(f func(p, c int)) {
	for c := 1; c <= 70; c++ {
		for _, p := range []int{1, 2, 7, 33} {
			f(p, c)
		}
	}
	for _, s := range [][2]int{{0, 5}, {5, 0}, {700, 1}, {1031, 3}, {601, 24}, {257, 64}, {517, 65}, {300, 100}, {9, 128}, {49, 129}, {5, 255}, {5, 256}, {7, 257}, {3, 512}, {300, 300}} {
		f(s[0], s[1])
	}
}

// image is what a test of one shape works on.
type image struct {
	p, c    int
	x, dy   fenced
	a, b, e fenced
}

func newImage(r *rand.Rand, p, c int) image {
	im := image{p, c, randomFenced(r, p*c, 1, 2), randomFenced(r, p*c, 3, 1), randomFenced(r, c, 1, 1), randomFenced(r, c, 2, 1), randomFenced(r, c, 0, 1)}
	for i := range im.x.v {
		im.x.v[i] += 1 // a mean, as activations have one
	}
	return im
}

func (im image) intact(t *testing.T, what string, more ...fenced) {
	t.Helper()
	for _, g := range append(more, im.x, im.dy, im.a, im.b, im.e) {
		g.intact(t, what)
	}
}

// each visits the elements in memory order: index, channel.
func (im image) each(f func(i, c int)) {
	for i := range im.p * im.c {
		f(i, i%im.c)
	}
}

// sumTol bounds a sum of p float32 terms: runs of up to 256 rows, then the runs. Rounding errors add up
// like a random walk; the bound is the worst case over eight, which a wrong or lost term exceeds.
func sumTol(p int) float64 { return (4 + float64(min(p, 256)+p/256)/8) * ulp }

// sums is a per-channel float64 sum and the sum of magnitudes beside it.
func newSums(c int) *want { return &want{make([]float64, c), make([]float64, c)} }

func (w *want) addAt(c int, v float64) {
	w.v[c] += v
	w.size[c] += math.Abs(v)
}

func TestChannelMoments(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(31, 32))
		shapes(func(p, c int) {
			im := newImage(r, p, c)
			s, q, n := newFenced(c, 1), newFenced(c, 2), newFenced(c, 3)
			for _, centred := range []bool{false, true} {
				what := fmt.Sprintf("ChannelMoments p=%d c=%d centred=%v", p, c, centred)
				ws, wq := newSums(c), newSums(c)
				im.each(func(i, j int) {
					d := f64(im.x.v[i])
					if centred {
						d -= f64(im.e.v[j])
					}
					ws.addAt(j, d)
					wq.addAt(j, d*d)
				})
				var center []float32
				if centred {
					center = im.e.v
				}
				kernel.ChannelMoments(s.v, q.v, im.x.v, center, p, c)
				ws.compare(t, what+" sum", s.v, sumTol(p))
				wq.compare(t, what+" sumsq", q.v, 3*ulp+sumTol(p))
				kernel.ChannelMoments(n.v, nil, im.x.v, center, p, c)
				ws.compare(t, what+" sum alone", n.v, sumTol(p))
				im.intact(t, what, s, q, n)
			}
		})
	})
}

func TestSumChannels(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(33, 34))
		shapes(func(p, c int) {
			im := newImage(r, p, c)
			d, w := randomFenced(r, c, 1, 1), newSums(c)
			for j, v := range d.v {
				w.addAt(j, f64(v))
			}
			im.each(func(i, j int) { w.addAt(j, f64(im.x.v[i])) })
			what := fmt.Sprintf("SumChannels p=%d c=%d", p, c)
			kernel.SumChannels(d.v, im.x.v, p, c)
			w.compare(t, what, d.v, sumTol(p))
			im.intact(t, what, d)
		})
	})
}

func TestAffineSiLU(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(35, 36))
		shapes(func(p, c int) {
			im := newImage(r, p, c)
			for _, silu := range []bool{false, true} {
				var w want
				im.each(func(i, j int) {
					u, b := f64(im.x.v[i])*f64(im.a.v[j]), f64(im.b.v[j])
					z := u + b
					if silu {
						z = silu64(z)
					}
					w.add(z, u, b)
				})
				what := fmt.Sprintf("AffineSiLU p=%d c=%d silu=%v", p, c, silu)
				d := newFenced(p*c, 2)
				kernel.AffineSiLU(d.v, im.x.v, im.a.v, im.b.v, p, c, silu)
				w.compare(t, what, d.v, siluTol)
				im.intact(t, what, d)
				onto := append([]float32(nil), im.x.v...)
				kernel.AffineSiLU(onto, onto, im.a.v, im.b.v, p, c, silu)
				sameBits(t, what+" onto x", onto, d.v)
			}
		})
	})
}

func TestAffineSiLUGrad(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(37, 38))
		shapes(func(p, c int) {
			im := newImage(r, p, c)
			for _, silu := range []bool{false, true} {
				var w want
				d, s1, s2 := newFenced(p*c, 2), randomFenced(r, c, 1, 1), randomFenced(r, c, 3, 1)
				w1, w2 := newSums(c), newSums(c)
				for j := range c {
					w1.addAt(j, f64(s1.v[j]))
					w2.addAt(j, f64(s2.v[j]))
				}
				im.each(func(i, j int) {
					x, dy := f64(im.x.v[i]), f64(im.dy.v[i])
					g := dy
					if silu {
						u, b := x*f64(im.a.v[j]), f64(im.b.v[j])
						g = dy * slope64(u+b)
						w.add(g, dy*(math.Abs(u)+math.Abs(b)+1))
					} else {
						w.add(g)
					}
					w1.addAt(j, g)
					w2.addAt(j, g*x)
					// dz itself is only right to siluTol of dy, which may be far larger
					w1.size[j] += math.Abs(dy)
					w2.size[j] += math.Abs(dy * x)
				})
				what := fmt.Sprintf("AffineSiLUGrad p=%d c=%d silu=%v", p, c, silu)
				kernel.AffineSiLUGrad(d.v, im.dy.v, im.x.v, im.a.v, im.b.v, s1.v, s2.v, p, c, silu)
				w.compare(t, what+" dz", d.v, siluTol)
				w1.compare(t, what+" s1", s1.v, siluTol+sumTol(p))
				w2.compare(t, what+" s2", s2.v, siluTol+sumTol(p))
				im.intact(t, what, d, s1, s2)
				onto := append([]float32(nil), im.dy.v...)
				kernel.AffineSiLUGrad(onto, onto, im.x.v, im.a.v, im.b.v, s1.v, s2.v, p, c, silu)
				sameBits(t, what+" onto dy", onto, d.v)
			}
		})
	})
}

func TestAffineAddGrad(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(39, 40))
		shapes(func(p, c int) {
			im := newImage(r, p, c)
			d := randomFenced(r, p*c, 2, 1)
			var w want
			im.each(func(i, j int) {
				u, v, k := f64(im.dy.v[i])*f64(im.a.v[j]), f64(im.x.v[i])*f64(im.b.v[j]), f64(im.e.v[j])
				w.add(f64(d.v[i])+u+v+k, f64(d.v[i]), u, v, k)
			})
			what := fmt.Sprintf("AffineAddGrad p=%d c=%d", p, c)
			kernel.AffineAddGrad(d.v, im.dy.v, im.x.v, im.a.v, im.b.v, im.e.v, p, c)
			w.compare(t, what, d.v, 4*ulp)
			im.intact(t, what, d)
		})
	})
}

func TestAddChannels(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(41, 42))
		shapes(func(p, c int) {
			im := newImage(r, p, c)
			var w want
			im.each(func(i, j int) { w.add(f64(im.x.v[i]) + f64(im.e.v[j])) })
			what := fmt.Sprintf("AddChannels p=%d c=%d", p, c)
			d := newFenced(p*c, 2)
			kernel.AddChannels(d.v, im.x.v, im.e.v, p, c)
			w.compare(t, what, d.v, ulp)
			im.intact(t, what, d)
			onto := append([]float32(nil), im.x.v...)
			kernel.AddChannels(onto, onto, im.e.v, p, c)
			sameBits(t, what+" onto x", onto, d.v)
		})
	})
}

// Bytes depend on p and c alone: not on where in memory the image lies, nor on the pixel's place in it.
func TestNormPlace(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(43, 44))
		shapes(func(p, c int) {
			im := newImage(r, p, c)
			what := fmt.Sprintf("p=%d c=%d", p, c)
			var ref [3][]float32
			for off := range 4 {
				x, dz := newFenced(p*c, off), newFenced(p*c, 4-off)
				copy(x.v, im.x.v)
				q, s1, s2 := make([]float32, c), make([]float32, c), make([]float32, c)
				kernel.ChannelMoments(s1, q, x.v, im.e.v, p, c)
				kernel.AffineSiLUGrad(dz.v, im.dy.v, x.v, im.a.v, im.b.v, s1, s2, p, c, true)
				got := [3][]float32{q, s1, s2}
				for i := range got {
					if off > 0 {
						sameBits(t, what, got[i], ref[i])
					}
				}
				ref = got
			}
			for i := range im.x.v { // all pixels the same: so are all results
				im.x.v[i] = im.x.v[i%c]
			}
			kernel.AffineSiLU(im.x.v, im.x.v, im.a.v, im.b.v, p, c, true)
			for i := range im.x.v {
				if im.x.v[i] != im.x.v[i%c] {
					t.Fatalf("%s: pixel %d channel %d is %g, in the first pixel %g", what, i/c, i%c, im.x.v[i], im.x.v[i%c])
				}
			}
		})
	})
}

// A NaN stays in its pixel, and in the sums of its channel.
func TestNormNaN(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, c := range []int{1, 3, 8, 24, 33, 64, 100, 300} {
			for _, p := range []int{1, 67} {
				for at := 0; at < p*c; at += 37 {
					x, d, k := ones(p*c), ones(p*c), ones(c)
					x[at] = float32(math.NaN())
					here := func(i int) bool { return i == at }
					channel := func(i int) bool { return i == at%c }
					s1, s2 := ones(c), ones(c)
					kernel.ChannelMoments(s1, s2, x, k, p, c)
					onlyNaN(t, "ChannelMoments sum", s1, channel)
					onlyNaN(t, "ChannelMoments sumsq", s2, channel)
					s1, s2 = ones(c), ones(c)
					kernel.SumChannels(s1, x, p, c)
					onlyNaN(t, "SumChannels", s1, channel)
					kernel.AffineSiLU(d, x, k, k, p, c, true)
					onlyNaN(t, "AffineSiLU", d, here)
					kernel.AddChannels(d, x, k, p, c)
					onlyNaN(t, "AddChannels", d, here)
					s1, d = ones(c), ones(p*c)
					kernel.AffineSiLUGrad(d, ones(p*c), x, k, k, s1, s2, p, c, true)
					onlyNaN(t, "AffineSiLUGrad", d, here)
					onlyNaN(t, "AffineSiLUGrad s1", s1, channel)
					onlyNaN(t, "AffineSiLUGrad s2", s2, channel)
					d = ones(p * c)
					kernel.AffineAddGrad(d, ones(p*c), x, k, k, k, p, c)
					onlyNaN(t, "AffineAddGrad", d, here)
				}
			}
		}
	})
}
