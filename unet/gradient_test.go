package unet_test

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Gradient's D is At's, and its gradient agrees with four-point differences of D·v to the project's bound for whole networks in float32, 1e-2.
func TestDenoiserGradient(t *testing.T) {
	m := tinyModel(t, tinyConfig())
	r := rand.New(rand.NewPCG(5, 6))
	for _, p := range m.Net.Params() { // away from the zero and the tiny initial weights
		for i := range p.Data {
			p.Data[i] += 0.1 * float32(r.NormFloat64())
		}
	}
	d, err := m.Denoiser([]int{0, -1})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2 * 64
	normals := func() []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		return x
	}
	x, v, along := normals(), normals(), normals()
	for _, sigma := range []float64{0.2, 2} {
		dst, plain, grad := make([]float64, n), make([]float64, n), make([]float64, n)
		d.Gradient(dst, grad, x, v, sigma)
		d.At(plain, x, sigma)
		for i := range dst {
			if dst[i] != plain[i] {
				t.Fatalf("sigma %v: value %d is %v, At's %v", sigma, i, dst[i], plain[i])
			}
		}
		// D(x + h·along)·v, whose slope at 0 is grad·along.
		dot := func(h float64) (sum float64) {
			moved := make([]float64, n)
			for i := range moved {
				moved[i] = x[i] + h*along[i]
			}
			d.At(plain, moved, sigma)
			for i := range plain {
				sum += plain[i] * v[i]
			}
			return sum
		}
		const step = 0.02
		want := (8*(dot(step)-dot(-step)) - (dot(2*step) - dot(-2*step))) / (12 * step)
		got := 0.0
		for i := range grad {
			got += grad[i] * along[i]
		}
		if !(math.Abs(got-want) <= 1e-2*math.Max(1, math.Abs(want))) {
			t.Errorf("sigma %v: gradient along a direction %v, by differences %v", sigma, got, want)
		}
	}
}
