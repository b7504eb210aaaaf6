package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// winogradShapes cover whole and cut tiles, one picture and several, every padding, channels that fill strips and that do not, one part of them
// or several. Which way they go through winograd depends on the processors, too; TestWinogradBytes holds all three together.
var winogradShapes = []Conv{
	{N: 1, H: 3, W: 3, Cin: 8, Cout: 8, KH: 3, KW: 3, Stride: 1},
	{N: 1, H: 1, W: 1, Cin: 8, Cout: 16, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 4, W: 4, Cin: 16, Cout: 8, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 3, H: 7, W: 9, Cin: 24, Cout: 40, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 14, W: 14, Cin: 64, Cout: 64, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 1, H: 13, W: 6, Cin: 16, Cout: 24, KH: 3, KW: 3, Stride: 1, PadW: 1},
	{N: 1, H: 6, W: 13, Cin: 16, Cout: 24, KH: 3, KW: 3, Stride: 1, PadH: 2, PadW: 2},
	{N: 1, H: 5, W: 5, Cin: 8, Cout: 8, KH: 3, KW: 3, Stride: 1, PadH: 4, PadW: 7},
	{N: 2, H: 16, W: 16, Cin: 96, Cout: 104, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 8, W: 8, Cin: 520, Cout: 40, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
}

// each level's micro-kernel, with the transforms that go with it.
func eachTiler(t *testing.T, f func(t *testing.T, tl tiler)) {
	for l := Generic; l <= Best(); l++ {
		t.Run(l.String(), func(t *testing.T) {
			defer SetLevel(l)()
			f(t, currentTiler())
		})
	}
}

// banded returns n floats within bands of guards, and a check that these are whole.
func banded(n int) ([]float32, func() bool) {
	const band, guard = 64, float32(-77.25)
	whole := make([]float32, n+2*band)
	for i := range whole {
		whole[i] = guard
	}
	return whole[band : band+n : band+n], func() bool {
		for i := range band {
			if whole[i] != guard || whole[band+n+i] != guard {
				return false
			}
		}
		return true
	}
}

func normals(rng *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(rng.NormFloat64())
	}
	return s
}

// winogradError bounds the L2 error relative to the result. It was measured as 4e-7 to 7e-7 for 8 channels, 7e-7 for 64 and 1.5e-6 for 256, of
// which sums of 9·Cin products in order have 4e-7 and 8e-7 for 64 and 256.
func winogradError(cin int) float64 { return 1e-7 * (7 + math.Sqrt(float64(cin))) }

// TestWinograd: the method agrees with sums in float64, with and without bias, overwriting and adding, and writes nothing else.
func TestWinograd(t *testing.T) {
	eachTiler(t, func(t *testing.T, tl tiler) {
		for _, g := range winogradShapes {
			s := g.shape("test")
			rng := rand.New(rand.NewPCG(uint64(g.H), uint64(g.Cin)))
			x, w, bias, start := normals(rng, s.inputs()), normals(rng, s.weights()), normals(rng, g.Cout), normals(rng, s.outputs())
			p := tl.panelsOf(w, 9*s.cin, s.cout, s.cout, false, s.n*s.ho*s.wo)
			init := make([]float32, p.count*tl.nr)
			copy(init, bias)
			want := reference(x, w, &s)
			y, whole := banded(s.outputs())
			for _, c := range []struct {
				name string
				epilogue
			}{{"plain", epilogue{}}, {"bias", epilogue{init: init}}, {"added", epilogue{accumulate: true}}, {"rectified", epilogue{init: init, rectify: true}}} {
				copy(y, start)
				tl.winograd(y, x, p, s, c.epilogue)
				var e, n float64
				for i, v := range y {
					r := want[i]
					if c.accumulate {
						r += float64(start[i])
					}
					if c.init != nil {
						r += float64(bias[i%g.Cout])
					}
					if c.rectify {
						r = max(r, 0)
					}
					d := float64(v) - r
					e, n = e+d*d, n+r*r
				}
				if got, most := math.Sqrt(e/n), winogradError(g.Cin); !(got <= most) {
					t.Errorf("%+v %s: relative error %.2g, at most %.2g", g, c.name, got, most)
				}
				if !whole() {
					t.Fatalf("%+v %s: guard band overwritten", g, c.name)
				}
			}
			p.release()
		}
	})
}

// reference is the convolution in float64.
func reference(x, w []float32, s *convShape) []float64 {
	y := make([]float64, s.outputs())
	for p := range s.n * s.ho * s.wo {
		n, i, j := p/(s.ho*s.wo), p/s.wo%s.ho, p%s.wo
		for tap := range 9 {
			yy, xx := i+tap/3-s.padH, j+tap%3-s.padW
			if yy < 0 || yy >= s.h || xx < 0 || xx >= s.w {
				continue
			}
			for c, v := range x[((n*s.h+yy)*s.w+xx)*s.cin:][:s.cin] {
				for o, u := range w[(tap*s.cin+c)*s.cout:][:s.cout] {
					y[p*s.cout+o] += float64(v) * float64(u)
				}
			}
		}
	}
	return y
}

// TestWinogradTwins holds each transform's assembly against its twin, within guards: the same sums, rounded a few times more or less.
func TestWinogradTwins(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	src := normals(rng, 1<<14)
	compare := func(what string, size int, fast, plain func(dst []float32)) {
		t.Helper()
		got, whole := banded(size)
		want := append([]float32(nil), got...)
		fast(got)
		plain(want)
		for i, v := range want {
			if d := math.Abs(float64(got[i] - v)); !(d <= 64*math.Exp2(-24)*(8+math.Abs(float64(v)))) {
				t.Fatalf("%s: [%d] = %g, want %g", what, i, got[i], v)
			}
		}
		if !whole() {
			t.Fatalf("%s: guard band overwritten", what)
		}
	}
	eachTiler(t, func(t *testing.T, tl tiler) {
		for _, n := range []int{8, 16, 24, 40} {
			for _, gap := range []int{0, 3, 8} {
				pix, row, step := n+gap, 7*(n+gap)+1, n+2*gap
				what := fmt.Sprintf("n=%d gap=%d ", n, gap)
				compare(what+"input", 35*step+n,
					func(dst []float32) { winogradInput(dst, src, step, row, pix, n) },
					func(dst []float32) { winogradInputGeneric(dst, src, step, row, pix, n) })
				compare(what+"output", 3*(row+pix)+n,
					func(dst []float32) { winogradOutput(dst, src, src[9000:], row, pix, step, n) },
					func(dst []float32) { winogradOutputGeneric(dst, src, src[9000:], row, pix, step, n) })
				tap, rows := 5*row, 5
				compare(what+"output gradient", 35*step+n,
					func(dst []float32) { winogradOutputGrad(dst, src, step, row, pix, n) },
					func(dst []float32) { winogradOutputGradGeneric(dst, src, step, row, pix, n) })
				compare(what+"weights gradient", 8*step+n,
					func(dst []float32) { winogradWeightsGrad(dst, src, step, tap/20, n) },
					func(dst []float32) { winogradWeightsGradGeneric(dst, src, step, tap/20, n) })
				compare(what+"weights", 35*rows*n+rows*n,
					func(dst []float32) { winogradWeights(dst, src, rows*n, tap, pix, rows, n) },
					func(dst []float32) { winogradWeightsGeneric(dst, src, rows*n, tap, pix, rows, n) })
			}
		}
	})
}

// TestWinogradWeightGrad: the weight gradient agrees with sums in float64, is added to what is there, and does not depend on threads.
func TestWinogradWeightGrad(t *testing.T) {
	eachTiler(t, func(t *testing.T, tl tiler) {
		for _, g := range winogradShapes {
			s := g.shape("test")
			rng := rand.New(rand.NewPCG(uint64(g.H), uint64(g.Cout)))
			x, dy, start := normals(rng, s.inputs()), normals(rng, s.outputs()), normals(rng, s.weights())
			want := referenceGrad(x, dy, &s)
			dw, whole := banded(s.weights())
			copy(dw, start)
			tl.winogradWeightGrad(dw, dy, x, s)
			var e, n float64
			for i, v := range dw {
				r := want[i] + float64(start[i])
				d := float64(v) - r
				e, n = e+d*d, n+r*r
			}
			if got, most := math.Sqrt(e/n), winogradError(g.N*g.H*g.W/9); !(got <= most) {
				t.Errorf("%+v: relative error %.2g, at most %.2g", g, got, most)
			}
			if !whole() {
				t.Fatalf("%+v: guard band overwritten", g)
			}
			old := runtime.GOMAXPROCS(3)
			again := append([]float32(nil), start...)
			tl.winogradWeightGrad(again, dy, x, s)
			runtime.GOMAXPROCS(old)
			for i, v := range again {
				if math.Float32bits(v) != math.Float32bits(dw[i]) {
					t.Fatalf("%+v: [%d] = %g on three threads, %g before", g, i, v, dw[i])
				}
			}
		}
	})
}

// referenceGrad is the weight gradient in float64.
func referenceGrad(x, dy []float32, s *convShape) []float64 {
	dw := make([]float64, s.weights())
	for p := range s.n * s.ho * s.wo {
		n, i, j := p/(s.ho*s.wo), p/s.wo%s.ho, p%s.wo
		for tap := range 9 {
			yy, xx := i+tap/3-s.padH, j+tap%3-s.padW
			if yy < 0 || yy >= s.h || xx < 0 || xx >= s.w {
				continue
			}
			for c, v := range x[((n*s.h+yy)*s.w+xx)*s.cin:][:s.cin] {
				for o, u := range dy[p*s.cout:][:s.cout] {
					dw[(tap*s.cin+c)*s.cout+o] += float64(v) * float64(u)
				}
			}
		}
	}
	return dw
}

// TestWinogradBytes: a picture's bytes are the same alone, in any place of a batch, and on any number of threads.
func TestWinogradBytes(t *testing.T) {
	eachTiler(t, func(t *testing.T, tl tiler) {
		for _, g := range []Conv{
			winogradShapes[3], winogradShapes[4], winogradShapes[9],
			{N: 40, H: 16, W: 16, Cin: 96, Cout: 80, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1}, // in phases together, by panel alone
		} {
			s := g.shape("test")
			rng := rand.New(rand.NewPCG(7, 8))
			x, w := normals(rng, s.inputs()), normals(rng, s.weights())
			p := tl.panelsOf(w, 9*s.cin, s.cout, s.cout, false, 1)
			want, got := make([]float32, s.outputs()), make([]float32, s.outputs())
			tl.winograd(want, x, p, s, epilogue{})
			for _, procs := range []int{1, 2, 4} {
				old := runtime.GOMAXPROCS(procs)
				one := s
				one.n = 1
				for n := range s.n {
					tl.winograd(got[n*one.outputs():][:one.outputs()], x[n*one.inputs():], p, one, epilogue{})
				}
				runtime.GOMAXPROCS(old)
				for i, v := range got {
					if math.Float32bits(v) != math.Float32bits(want[i]) {
						t.Fatalf("%+v on %d threads: [%d] = %g alone, %g in the batch", g, procs, i, v, want[i])
					}
				}
			}
			p.release()
		}
	})
}

// BenchmarkWinograd compares the method with the direct convolution, for shapes of the fashion network, of EDM's for CIFAR-10 and
// of Inception.
func BenchmarkWinograd(b *testing.B) {
	for _, g := range []Conv{
		{N: 16, H: 14, W: 14, Cin: 64, Cout: 64, PadH: 1, PadW: 1}, {N: 16, H: 7, W: 7, Cin: 64, Cout: 64, PadH: 1, PadW: 1},
		{N: 1, H: 32, W: 32, Cin: 256, Cout: 256, PadH: 1, PadW: 1}, {N: 4, H: 16, W: 16, Cin: 256, Cout: 256, PadH: 1, PadW: 1},
		{N: 1, H: 16, W: 16, Cin: 512, Cout: 256, PadH: 1, PadW: 1}, {N: 16, H: 16, W: 16, Cin: 512, Cout: 256, PadH: 1, PadW: 1},
		{N: 1, H: 8, W: 8, Cin: 256, Cout: 256, PadH: 1, PadW: 1}, {N: 16, H: 8, W: 8, Cin: 256, Cout: 256, PadH: 1, PadW: 1}, {N: 1, H: 149, W: 149, Cin: 32, Cout: 32},
		{N: 1, H: 73, W: 73, Cin: 80, Cout: 192}, {N: 4, H: 35, W: 35, Cin: 96, Cout: 96, PadH: 1, PadW: 1},
	} {
		g.KH, g.KW, g.Stride = 3, 3, 1
		s, tl, rng := g.shape("bench"), currentTiler(), rand.New(rand.NewPCG(9, 9))
		x, w, y := normals(rng, s.inputs()), normals(rng, s.weights()), make([]float32, s.outputs())
		direct := tl.correlateColumns
		if s.wo%(tl.mr/2) == 0 {
			direct = tl.correlateRows
		}
		for name, f := range map[string]func(y, x []float32, p *panels, s convShape, e epilogue){
			"direct": direct, "winograd": tl.winograd,
		} {
			b.Run(fmt.Sprintf("N=%d/%dx%dx%d->%d/%s", g.N, g.H, g.W, g.Cin, g.Cout, name), func(b *testing.B) {
				for b.Loop() {
					p := tl.panelsOf(w, 9*s.cin, s.cout, s.cout, false, s.n*s.ho*s.wo)
					f(y, x, p, s, epilogue{})
					p.release()
				}
				b.ReportMetric(2*float64(s.outputs()*9*s.cin)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
