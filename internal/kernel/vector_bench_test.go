package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"diffuse/internal/kernel"
)

// benchLevels runs f at every level; bytes is what it reads and writes.
func benchLevels(b *testing.B, name string, bytes int, f func()) {
	for l := kernel.Generic; l <= kernel.Best(); l++ {
		b.Run(fmt.Sprintf("%s/%v", name, l), func(b *testing.B) {
			defer kernel.SetLevel(l)()
			b.SetBytes(int64(bytes))
			for b.Loop() {
				f()
			}
		})
	}
}

func normals(n int) []float32 {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// BenchmarkNorm walks one 28×28 image of the channel counts of small U-Nets.
func BenchmarkNorm(b *testing.B) {
	const p = 784
	for _, c := range []int{3, 32, 64, 128} {
		n := p * c
		x, y, d := normals(n), normals(n), make([]float32, n)
		k, s1, s2 := normals(c), make([]float32, c), make([]float32, c)
		run := func(name string, arrays int, f func()) { benchLevels(b, fmt.Sprintf("%s/c%d", name, c), 4*n*arrays, f) }
		run("ChannelMoments", 1, func() { kernel.ChannelMoments(s1, s2, x, k, p, c) })
		run("SumChannels", 1, func() { clear(s1); kernel.SumChannels(s1, x, p, c) })
		run("AffineSiLU", 2, func() { kernel.AffineSiLU(d, x, k, k, p, c, true) })
		run("Affine", 2, func() { kernel.AffineSiLU(d, x, k, k, p, c, false) })
		run("AffineSiLUGrad", 3, func() { clear(s1); clear(s2); kernel.AffineSiLUGrad(d, y, x, k, k, s1, s2, p, c, true) })
		run("AffineAddGrad", 4, func() { clear(d); kernel.AffineAddGrad(d, y, x, k, k, k, p, c) })
		run("AddChannels", 2, func() { kernel.AddChannels(d, x, k, p, c) })
	}
}

// BenchmarkFlat runs the element-wise kernels in the second-level cache.
func BenchmarkFlat(b *testing.B) {
	const n = 1 << 16
	x, y, d := normals(n), normals(n), make([]float32, n)
	benchLevels(b, "Axpy", 12*n, func() { kernel.Axpy(d, 1e-9, x) })
	benchLevels(b, "ScaleTo", 8*n, func() { kernel.ScaleTo(d, 2, x) })
	benchLevels(b, "AddTo", 12*n, func() { kernel.AddTo(d, x, y, 2, 3) })
	benchLevels(b, "MulTo", 12*n, func() { kernel.MulTo(d, x, y) })
	benchLevels(b, "MaxTo", 12*n, func() { kernel.MaxTo(d, x, y) })
	benchLevels(b, "Lerp", 12*n, func() { kernel.Lerp(d, x, 0.5) })
	benchLevels(b, "Dot", 8*n, func() { kernel.Dot(x, y) })
	benchLevels(b, "SiLU", 8*n, func() { kernel.SiLU(d, x) })
	benchLevels(b, "SiLUGrad", 16*n, func() { clear(d); kernel.SiLUGrad(d, y, x) })
	benchLevels(b, "AddStrided32", 12*n/2, func() { kernel.AddStrided(d, 64, x, 64, n/64, 32, 1e-9) })
	benchLevels(b, "SoftmaxRows196", 8*n, func() { kernel.SoftmaxRows(d, x, n/196, 196, 0.125) })
	benchLevels(b, "SoftmaxRowsGrad196", 12*n, func() { kernel.SoftmaxRowsGrad(d, y, x, n/196, 196, 0.125) })
}

// BenchmarkAdamStep runs over a parameter set that fits no private cache.
func BenchmarkAdamStep(b *testing.B) {
	const n = 1 << 20
	w, m, v, g := normals(n), make([]float32, n), make([]float32, n), normals(n)
	benchLevels(b, "1M", 28*n, func() { kernel.AdamStep(w, m, v, g, adamOptions) })
}
