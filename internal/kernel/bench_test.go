package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"diffuse/internal/kernel"
)

var benchConvs = []kernel.Conv{
	{N: 32, H: 28, W: 28, Cin: 32, Cout: 32, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 32, H: 14, W: 14, Cin: 64, Cout: 64, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 32, H: 14, W: 14, Cin: 128, Cout: 64, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 32, H: 7, W: 7, Cin: 128, Cout: 128, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 1, H: 14, W: 14, Cin: 64, Cout: 64, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 1, H: 7, W: 7, Cin: 128, Cout: 128, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 32, H: 28, W: 28, Cin: 32, Cout: 1, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 32, H: 28, W: 28, Cin: 1, Cout: 32, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 32, H: 28, W: 28, Cin: 32, Cout: 32, KH: 3, KW: 3, Stride: 2, PadH: 1, PadW: 1},
	{N: 32, H: 14, W: 14, Cin: 128, Cout: 64, KH: 1, KW: 1, Stride: 1},
	{N: 8, H: 32, W: 32, Cin: 128, Cout: 128, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 8, H: 8, W: 8, Cin: 256, Cout: 256, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
}

func convName(g kernel.Conv) string {
	return fmt.Sprintf("N=%d/%dx%dx%d->%d/k%ds%d", g.N, g.H, g.W, g.Cin, g.Cout, g.KH, g.Stride)
}

// benchConv reports useful products only (taps that fall into the padding count, as everywhere).
func benchConv(b *testing.B, f func(d *convData)) {
	for _, g := range benchConvs {
		b.Run(convName(g), func(b *testing.B) {
			d := newConvData(g)
			f(d)
			b.ReportAllocs()
			for b.Loop() {
				f(d)
			}
			flop := 2 * float64(g.N*g.OutH()*g.OutW()*g.Cout) * float64(g.KH*g.KW*g.Cin)
			b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}

func BenchmarkConvForward(b *testing.B) {
	benchConv(b, func(d *convData) { kernel.ConvForward(d.y, d.x, d.w, d.bias, d.g) })
}

func BenchmarkConvInputGrad(b *testing.B) {
	benchConv(b, func(d *convData) { kernel.ConvInputGrad(d.dx, d.dy, d.w, d.g) })
}

func BenchmarkConvWeightGrad(b *testing.B) {
	benchConv(b, func(d *convData) { kernel.ConvWeightGrad(d.dw, d.db, d.dy, d.x, d.g) })
}

func BenchmarkGemm(b *testing.B) {
	for _, s := range []struct {
		m, n, k        int
		transA, transB bool
	}{
		{512, 512, 512, false, false}, {512, 512, 512, true, false}, {512, 512, 512, false, true},
		{49, 49, 64, false, true}, {49, 64, 49, false, false}, {1, 512, 256, false, false}, {32, 512, 256, false, false},
		{128, 512, 128, false, false},
	} {
		b.Run(fmt.Sprintf("%dx%dx%d/transA=%v/transB=%v", s.m, s.n, s.k, s.transA, s.transB), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			x, y, c := randoms(rng, s.m*s.k), randoms(rng, s.k*s.n), make([]float32, s.m*s.n)
			lda, ldb := s.k, s.n
			if s.transA {
				lda = s.m
			}
			if s.transB {
				ldb = s.k
			}
			b.ReportAllocs()
			for b.Loop() {
				kernel.Gemm(c, x, y, s.m, s.n, s.k, lda, ldb, s.n, s.transA, s.transB, false)
			}
			b.ReportMetric(2*float64(s.m*s.n*s.k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
