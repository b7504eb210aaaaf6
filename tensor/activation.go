package tensor

import (
	"math"

	"diffuse/internal/kernel"
)

// ReLU returns max(x, 0) element by element; its slope at 0 is 0.
func ReLU(t *Tape, x *Tensor) *Tensor {
	return pointwise(t, x, func(v float64) float64 { return max(v, 0) }, func(v float64) float64 {
		if v > 0 {
			return 1
		}
		return 0
	})
}

// GELU returns x·Φ(x) element by element, Φ the distribution of a unit normal
// (Hendrycks & Gimpel 2016, arXiv 1606.08415), not its approximation by tanh.
func GELU(t *Tape, x *Tensor) *Tensor {
	phi := func(v float64) float64 { return 0.5 * math.Erfc(-v/math.Sqrt2) }
	return pointwise(t, x, func(v float64) float64 { return v * phi(v) },
		func(v float64) float64 { return phi(v) + v*math.Exp(-v*v/2)/math.Sqrt(2*math.Pi) })
}

// Mish returns x·tanh(ln(1+exp(x))) element by element (Misra 2019, arXiv
// 1908.08681).
func Mish(t *Tape, x *Tensor) *Tensor {
	// With e = exp(−|x|), tanh(ln(1+exp(x))) is a quotient that cannot overflow.
	gate := func(v float64) (tanh, e float64) {
		e = math.Exp(-math.Abs(v))
		if v > 0 {
			return (1 + 2*e) / (1 + 2*e + 2*e*e), e
		}
		return (e*e + 2*e) / (e*e + 2*e + 2), e
	}
	return pointwise(t, x, func(v float64) float64 {
		tanh, _ := gate(v)
		return v * tanh
	}, func(v float64) float64 {
		tanh, e := gate(v)
		sigmoid := 1 / (1 + e)
		if v < 0 {
			sigmoid = e / (1 + e)
		}
		return tanh + v*(1-tanh*tanh)*sigmoid
	})
}

// pointwise applies f, whose derivative is df, to every element in float64.
func pointwise(t *Tape, x *Tensor, f, df func(float64) float64) *Tensor {
	y := scratch(x.Shape...)
	kernel.For(len(y.Data), grain, func(i, j int) {
		for k, v := range x.Data[i:j] {
			y.Data[i+k] = float32(f(float64(v)))
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(len(dy), grain, func(i, j int) {
			for k, v := range x.Data[i:j] {
				dx[i+k] += dy[i+k] * float32(df(float64(v)))
			}
		})
	}, x)
	return y
}
