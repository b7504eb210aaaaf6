package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"diffuse/internal/kernel"
)

// eachProduct calls f with the flat indices of y, x and w of every product of the convolution.
func eachProduct(g kernel.Conv, f func(y, x, w int)) {
	ho, wo := g.OutH(), g.OutW()
	for n := range g.N {
		for i := range ho {
			for j := range wo {
				for ky := range g.KH {
					for kx := range g.KW {
						yy, xx := i*g.Stride+ky-g.PadH, j*g.Stride+kx-g.PadW
						if yy < 0 || yy >= g.H || xx < 0 || xx >= g.W {
							continue
						}
						for c := range g.Cin {
							for o := range g.Cout {
								f(((n*ho+i)*wo+j)*g.Cout+o, ((n*g.H+yy)*g.W+xx)*g.Cin+c, ((ky*g.KW+kx)*g.Cin+c)*g.Cout+o)
							}
						}
					}
				}
			}
		}
	}
}

var convShapes = []kernel.Conv{
	{N: 1, H: 1, W: 1, Cin: 1, Cout: 1, KH: 1, KW: 1, Stride: 1},
	{N: 2, H: 5, W: 4, Cin: 3, Cout: 37, KH: 1, KW: 1, Stride: 1},
	{N: 1, H: 1, W: 1, Cin: 5, Cout: 3, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 3, H: 7, W: 7, Cin: 4, Cout: 33, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 1, H: 7, W: 7, Cin: 16, Cout: 32, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 28, W: 28, Cin: 1, Cout: 8, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 28, W: 28, Cin: 8, Cout: 1, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 14, W: 14, Cin: 20, Cout: 24, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 9, W: 21, Cin: 3, Cout: 40, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 14, W: 14, Cin: 6, Cout: 10, KH: 2, KW: 2, Stride: 2},
	{N: 2, H: 28, W: 28, Cin: 3, Cout: 5, KH: 3, KW: 3, Stride: 2, PadH: 1, PadW: 1},
	{N: 2, H: 8, W: 8, Cin: 17, Cout: 19, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 5, H: 4, W: 4, Cin: 37, Cout: 3, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 1, H: 16, W: 16, Cin: 40, Cout: 65, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 11, W: 5, Cin: 2, Cout: 3, KH: 3, KW: 3, Stride: 2, PadH: 1, PadW: 1},
	{N: 2, H: 11, W: 13, Cin: 2, Cout: 3, KH: 2, KW: 5, Stride: 3, PadH: 4, PadW: 4},
	{N: 2, H: 6, W: 9, Cin: 3, Cout: 4, KH: 4, KW: 3, Stride: 1, PadH: 0, PadW: 0},
	{N: 1, H: 5, W: 6, Cin: 3, Cout: 2, KH: 2, KW: 2, Stride: 1, PadH: 3, PadW: 3},
	{N: 1, H: 3, W: 3, Cin: 2, Cout: 2, KH: 1, KW: 1, Stride: 2, PadH: 1, PadW: 1},
	{N: 2, H: 6, W: 6, Cin: 5, Cout: 4, KH: 1, KW: 1, Stride: 2},
	{N: 1, H: 2, W: 20, Cin: 3, Cout: 4, KH: 5, KW: 7, Stride: 1, PadH: 2, PadW: 2},
	{N: 9, H: 1, W: 1, Cin: 2, Cout: 3, KH: 1, KW: 1, Stride: 1, PadH: 1, PadW: 1},
	{N: 40, H: 1, W: 1, Cin: 2, Cout: 1, KH: 3, KW: 3, Stride: 2, PadH: 1, PadW: 1},
	{N: 0, H: 4, W: 4, Cin: 2, Cout: 3, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 3, H: 28, W: 28, Cin: 12, Cout: 36, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 4, H: 14, W: 14, Cin: 30, Cout: 50, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	// Winograd's method, with tiles that are cut off and that are not.
	{N: 2, H: 15, W: 18, Cin: 16, Cout: 24, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 1, H: 18, W: 18, Cin: 40, Cout: 32, KH: 3, KW: 3, Stride: 1},
	// Rows and columns of their own: kernels that lie or stand, with and without padding on their short side.
	{N: 2, H: 17, W: 17, Cin: 5, Cout: 33, KH: 1, KW: 7, Stride: 1, PadW: 3},
	{N: 2, H: 17, W: 17, Cin: 5, Cout: 33, KH: 7, KW: 1, Stride: 1, PadH: 3},
	{N: 3, H: 8, W: 8, Cin: 20, Cout: 24, KH: 1, KW: 3, Stride: 1, PadW: 1},
	{N: 3, H: 8, W: 8, Cin: 20, Cout: 24, KH: 3, KW: 1, Stride: 1, PadH: 1},
	{N: 2, H: 5, W: 12, Cin: 6, Cout: 19, KH: 1, KW: 7, Stride: 1, PadW: 3},
	{N: 2, H: 12, W: 28, Cin: 6, Cout: 19, KH: 7, KW: 1, Stride: 1, PadH: 3},
	{N: 2, H: 6, W: 14, Cin: 8, Cout: 1, KH: 7, KW: 1, Stride: 1, PadH: 3},
	{N: 2, H: 6, W: 14, Cin: 8, Cout: 1, KH: 1, KW: 7, Stride: 1, PadW: 3},
	{N: 2, H: 9, W: 11, Cin: 3, Cout: 10, KH: 3, KW: 3, Stride: 2, PadW: 2},
	{N: 2, H: 9, W: 12, Cin: 3, Cout: 10, KH: 3, KW: 5, Stride: 1, PadH: 3, PadW: 1},
	{N: 1, H: 35, W: 35, Cin: 4, Cout: 12, KH: 5, KW: 5, Stride: 1, PadH: 2, PadW: 2},
	{N: 2, H: 1, W: 9, Cin: 3, Cout: 4, KH: 1, KW: 1, Stride: 1, PadH: 2},
}

// convData is one convolution's operands and results.
type convData struct {
	g                     kernel.Conv
	x, w, bias, dy        []float32
	y, dx, dw, db         []float32
	checkY, checkX        func(*testing.T)
	checkW, checkB        func(*testing.T)
	startX, startW, bias0 []float32 // what the gradients are added to
}

func newConvData(g kernel.Conv) *convData {
	rng := rand.New(rand.NewPCG(uint64(g.H*100+g.W), uint64(g.Cin*100+g.Cout)))
	nx, nw, ny := g.N*g.H*g.W*g.Cin, g.KH*g.KW*g.Cin*g.Cout, g.N*g.OutH()*g.OutW()*g.Cout
	d := &convData{g: g, x: randoms(rng, nx), w: randoms(rng, nw), bias: randoms(rng, g.Cout), dy: randoms(rng, ny)}
	d.startX, d.startW, d.bias0 = randoms(rng, nx), randoms(rng, nw), randoms(rng, g.Cout)
	d.y, d.checkY = guarded(ny)
	d.dx, d.checkX = guarded(nx)
	d.dw, d.checkW = guarded(nw)
	d.db, d.checkB = guarded(g.Cout)
	return d
}

// run computes everything, the gradients on top of their start values.
func (d *convData) run() {
	copy(d.dx, d.startX)
	copy(d.dw, d.startW)
	copy(d.db, d.bias0)
	kernel.ConvForward(d.y, d.x, d.w, d.bias, d.g)
	kernel.ConvInputGrad(d.dx, d.dy, d.w, d.g)
	kernel.ConvWeightGrad(d.dw, d.db, d.dy, d.x, d.g)
}

func starts(n int, v func(i int) float32) []sum {
	s := make([]sum, n)
	for i := range s {
		s[i].add(v(i), 1)
	}
	return s
}

func TestConv(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, g := range convShapes {
			d := newConvData(g)
			d.run()
			what := fmt.Sprintf("%+v ", g)
			y := starts(len(d.y), func(i int) float32 { return d.bias[i%g.Cout] })
			bare := make([]sum, len(d.y))
			dx := starts(len(d.dx), func(i int) float32 { return d.startX[i] })
			dw := starts(len(d.dw), func(i int) float32 { return d.startW[i] })
			db := starts(len(d.db), func(i int) float32 { return d.bias0[i] })
			eachProduct(g, func(iy, ix, iw int) {
				y[iy].add(d.x[ix], d.w[iw])
				bare[iy].add(d.x[ix], d.w[iw])
				dx[ix].add(d.dy[iy], d.w[iw])
				dw[iw].add(d.x[ix], d.dy[iy])
			})
			for i, v := range d.dy {
				db[i%g.Cout].add(v, 1)
			}
			closeTo(t, what+"y", d.y, y)
			closeTo(t, what+"dx", d.dx, dx)
			closeTo(t, what+"dw", d.dw, dw)
			closeTo(t, what+"dbias", d.db, db)
			kernel.ConvForward(d.y, d.x, d.w, nil, g)
			closeTo(t, what+"y without bias", d.y, bare)
			db0 := append([]float32(nil), d.db...)
			kernel.ConvWeightGrad(nil, d.db, d.dy, d.x, g)
			kernel.ConvWeightGrad(d.dw, nil, d.dy, d.x, g)
			if g.N > 0 && db0[0] == d.db[0] {
				t.Errorf("%sdbias alone: nothing added", what)
			}
			d.checkY(t)
			d.checkX(t)
			d.checkW(t)
			d.checkB(t)
		}
	})
}

// TestConvInto: a convolution between other channels, with ReLU, has the numbers of the plain one and writes to nothing else.
func TestConvInto(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, g := range append(convShapes, kernel.Conv{N: 2, H: 15, W: 17, Cin: 16, Cout: 24, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1}) {
			d := newConvData(g)
			kernel.ConvForward(d.y, d.x, d.w, d.bias, g)
			pixels, ldy := g.N*g.OutH()*g.OutW(), g.Cout+5
			for _, rectify := range []bool{false, true} {
				wide, check := guarded(max(0, (pixels-1)*ldy+g.Cout))
				want := make([]float32, len(wide))
				for i := range want {
					want[i] = guard
					if c := i % ldy; c < g.Cout {
						want[i] = d.y[i/ldy*g.Cout+c]
						if rectify {
							want[i] = max(0, want[i])
						}
					}
				}
				kernel.ConvForwardInto(wide, ldy, d.x, d.w, d.bias, rectify, g)
				sameNumbers(t, fmt.Sprintf("%+v rectify %v", g, rectify), wide, want)
				check(t)
			}
		}
	})
}

// TestConvBytes: a picture's bytes are the same alone, in any place of a batch, and on any number of threads; the
// weight gradient's do not depend on threads.
func TestConvBytes(t *testing.T) {
	shapes := []kernel.Conv{
		{N: 5, H: 28, W: 28, Cin: 8, Cout: 33, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
		{N: 5, H: 7, W: 7, Cin: 40, Cout: 64, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
		{N: 5, H: 8, W: 8, Cin: 24, Cout: 40, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
		{N: 5, H: 14, W: 14, Cin: 24, Cout: 40, KH: 3, KW: 3, Stride: 2, PadH: 1, PadW: 1},
		{N: 5, H: 16, W: 18, Cin: 16, Cout: 40, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1}, // Winograd
		{N: 5, H: 9, W: 9, Cin: 64, Cout: 96, KH: 1, KW: 1, Stride: 1},
		{N: 5, H: 17, W: 17, Cin: 24, Cout: 40, KH: 1, KW: 7, Stride: 1, PadW: 3},
		{N: 5, H: 12, W: 12, Cin: 24, Cout: 40, KH: 7, KW: 1, Stride: 1, PadH: 3},
	}
	eachLevel(t, func(t *testing.T) {
		for _, g := range shapes {
			what := fmt.Sprintf("%+v ", g)
			want := newConvData(g)
			want.run()
			for _, procs := range []int{1, 2, 4} {
				old := runtime.GOMAXPROCS(procs)
				got := newConvData(g)
				got.run()
				sameBits(t, what+"y", got.y, want.y)
				sameBits(t, what+"dx", got.dx, want.dx)
				sameBits(t, what+"dw", got.dw, want.dw)
				sameBits(t, what+"dbias", got.db, want.db)
				one := g
				one.N = 1
				px, py := len(want.x)/g.N, len(want.y)/g.N
				for n := range g.N {
					y, dx := make([]float32, py), append([]float32(nil), want.startX[n*px:(n+1)*px]...)
					kernel.ConvForward(y, want.x[n*px:], want.w, want.bias, one)
					kernel.ConvInputGrad(dx, want.dy[n*py:], want.w, one)
					sameBits(t, what+"y alone", y, want.y[n*py:(n+1)*py])
					sameBits(t, what+"dx alone", dx, want.dx[n*px:(n+1)*px])
				}
				runtime.GOMAXPROCS(old)
			}
		}
	})
}

func TestConvPanics(t *testing.T) {
	g := kernel.Conv{N: 1, H: 4, W: 4, Cin: 2, Cout: 3, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1}
	s := make([]float32, 1000)
	mustPanic(t, "short y", "y has 47 floats", func() { kernel.ConvForward(s[:47], s, s, nil, g) })
	mustPanic(t, "short x", "x has 31 floats", func() { kernel.ConvForward(s, s[:31], s, nil, g) })
	mustPanic(t, "short w", "w has 53 floats", func() { kernel.ConvInputGrad(s, s, s[:53], g) })
	mustPanic(t, "short bias", "bias has 2 floats", func() { kernel.ConvForward(s, s, s, s[:2], g) })
	mustPanic(t, "short dbias", "dbias has 2 floats", func() { kernel.ConvWeightGrad(s, s[:2], s, s, g) })
	mustPanic(t, "narrow y", "pixels of y 2 floats apart", func() { kernel.ConvForwardInto(s, 2, s, s, nil, false, g) })
	g.Stride = 0
	mustPanic(t, "stride 0", "impossible shape", func() { kernel.ConvForward(s, s, s, nil, g) })
	g.Stride, g.PadW = 1, -1
	mustPanic(t, "negative padding", "impossible shape", func() { kernel.ConvForward(s, s, s, nil, g) })
	g.PadW, g.KH = 1, 7
	mustPanic(t, "kernel too tall", "impossible shape", func() { kernel.ConvForward(s, s, s, nil, g) })
}

// TestConvPrecision: in every precision a convolution and its gradients are near enough to sums in float64, and weights packed before give the
// bits of those that were not.
func TestConvPrecision(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, p := range []kernel.Precision{kernel.Float32, kernel.BFloat16x3, kernel.BFloat16} {
			for _, g := range convShapes {
				if testing.Short() && (p == kernel.BFloat16x3 || g.N*g.H*g.W*g.Cin*g.Cout > 1<<16) {
					continue
				}
				g.Precision = p
				d := newConvData(g)
				d.run()
				y := starts(len(d.y), func(i int) float32 { return d.bias[i%g.Cout] })
				dx := starts(len(d.dx), func(i int) float32 { return d.startX[i] })
				dw := starts(len(d.dw), func(i int) float32 { return d.startW[i] })
				eachProduct(g, func(iy, ix, iw int) {
					y[iy].add(d.x[ix], d.w[iw])
					dx[ix].add(d.dy[iy], d.w[iw])
					dw[iw].add(d.x[ix], d.dy[iy])
				})
				what := fmt.Sprintf("%v %+v ", p, g)
				within(t, what+"y", d.y, y, p)
				within(t, what+"dx", d.dx, dx, p)
				within(t, what+"dw", d.dw, dw, p)
				again := make([]float32, len(d.y))
				w := slices.Clone(d.w)
				kernel.ConvForwardPacked(again, d.x, w, kernel.PackConv(w, g), d.bias, g)
				sameBits(t, what+"packed", again, d.y)
			}
		}
	})
}

// within is closeTo for products of precision p: each of two factors of bfloat16 is off by 2^-8 at most, of bf16x3 a product by 2^-16.
func within(t *testing.T, what string, got []float32, want []sum, p kernel.Precision) {
	t.Helper()
	product := map[kernel.Precision]float64{kernel.Float32: 0, kernel.BFloat16x3: 0x1p-16, kernel.BFloat16: 0x1.01p-7}[p]
	for i, w := range want {
		tol := (product + float64(3*w.n+2)*0x1p-24) * (w.abs + 1e-30)
		if d := math.Abs(float64(got[i]) - w.v); !(d <= tol) {
			t.Fatalf("%s: [%d] = %g, want %g (off by %g, allowed %g)", what, i, got[i], w.v, d, tol)
		}
	}
}
