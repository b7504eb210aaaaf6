package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/internal/kernel"
)

// softmax64 is one row's softmax in float64.
func softmax64(x []float32, scale float64) []float64 {
	top, sum := math.Inf(-1), 0.0
	for _, v := range x {
		top = math.Max(top, scale*f64(v))
	}
	p := make([]float64, len(x))
	for i, v := range x {
		p[i] = math.Exp(scale*f64(v) - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

func TestSoftmaxRows(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for cols := 1; cols <= 70; cols++ {
			for _, scale := range []float32{0.125, -1.5, 4} {
				const rows = 3
				x, d := randomFenced(r, rows*cols, 1, 2), newFenced(rows*cols, 2)
				var w want
				for i := range rows {
					for j, p := range softmax64(x.v[i*cols:(i+1)*cols], f64(scale)) {
						// An error of one rounding in scale*x is one of its size in the exponent.
						w.add(p, p*(2+math.Abs(f64(scale)*f64(x.v[i*cols+j]))))
					}
				}
				what := fmt.Sprintf("SoftmaxRows cols=%d scale=%g", cols, scale)
				kernel.SoftmaxRows(d.v, x.v, rows, cols, scale)
				w.compare(t, what, d.v, 4e-7) // the exponential 2.5e-7, sum and quotient the rest
				d.intact(t, what)
				kernel.SoftmaxRows(x.v, x.v, rows, cols, scale)
				sameBits(t, what+" onto x", x.v, d.v)
				x.intact(t, what)
			}
		}
	})
}

// Large logits do not overflow, -Inf is a mask, far values are 0, and a NaN spoils its row alone.
func TestSoftmaxExtremes(t *testing.T) {
	inf := float32(math.Inf(1))
	eachLevel(t, func(t *testing.T) {
		for _, cols := range []int{2, 7, 8, 9, 16, 17, 33} {
			for at := range cols {
				x := make([]float32, 3*cols)
				for i := range x {
					x[i] = -inf
				}
				x[at], x[cols+at], x[cols+(at+1)%cols] = 1e30, 7, 7-200
				for j := range cols {
					x[2*cols+j] = float32(j)
				}
				x[2*cols+at] = float32(math.NaN())
				kernel.SoftmaxRows(x, x, 3, cols, 1)
				for j := range 2 * cols {
					ref := float32(0)
					if j%cols == at {
						ref = 1
					}
					if !(x[j] == ref) {
						t.Fatalf("cols=%d: element %d is %g, want %g", cols, j, x[j], ref)
					}
				}
				onlyNaN(t, "row with a NaN", x[2*cols:], func(int) bool { return true })
			}
			all := make([]float32, cols)
			for i := range all {
				all[i] = -inf
			}
			kernel.SoftmaxRows(all, all, 1, cols, 1)
			onlyNaN(t, "row of -Inf", all, func(int) bool { return true })
		}
	})
}

func TestSoftmaxRowsGrad(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for cols := 1; cols <= 70; cols++ {
			const rows, scale = 3, float32(0.35)
			p, dy, d := randomFenced(r, rows*cols, 1, 1), randomFenced(r, rows*cols, 3, 1), newFenced(rows*cols, 2)
			kernel.SoftmaxRows(p.v, p.v, rows, cols, 1)
			var w want
			for i := range rows {
				mean, size := 0.0, 0.0
				for j := range cols {
					v := f64(p.v[i*cols+j]) * f64(dy.v[i*cols+j])
					mean += v
					size += math.Abs(v)
				}
				for j := range cols {
					q := f64(scale) * f64(p.v[i*cols+j])
					w.add(q*(f64(dy.v[i*cols+j])-mean), q*f64(dy.v[i*cols+j]), q*size)
				}
			}
			what := fmt.Sprintf("SoftmaxRowsGrad cols=%d", cols)
			kernel.SoftmaxRowsGrad(d.v, dy.v, p.v, rows, cols, scale)
			w.compare(t, what, d.v, 8*ulp) // up to ten roundings in a lane's sum, three after it
			d.intact(t, what)
			kernel.SoftmaxRowsGrad(dy.v, dy.v, p.v, rows, cols, scale)
			sameBits(t, what+" onto dy", dy.v, d.v)
			dy.intact(t, what)
			dy.v[cols] = float32(math.NaN())
			kernel.SoftmaxRowsGrad(d.v, dy.v, p.v, rows, cols, scale)
			onlyNaN(t, what, d.v, func(i int) bool { return i/cols == 1 })
		}
	})
}
