package metric

import (
	"context"
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// A cloud is a set of rows prepared for comparing many pairs by distance: float32 copies of the rows, moved by the common centre, give
// |a|²+|b|²−2ab by fast matrix products with a known bound on the error, and only where that bound leaves a question open is the distance taken
// from float64 differences. Answers are those of the float64 differences, always.
type cloud struct {
	Features
	x32          []float32 // centred and rounded
	square, norm []float64 // |x32|² and |x32| of each row
	bound        errorBound
}

// An errorBound bounds how far |a|²+|b|²−2ab of float32 rows may be from the squared distance of float64 rows: with s = |a|+|b| it
// is s·(quadratic·s + linear) + constant.
type errorBound struct{ quadratic, linear, constant float64 }

// newClouds prepares two sets with the same centre, the mean of the first. Values whose squared distances leave float64's range are an error.
func newClouds(a, b Features) (*cloud, *cloud, error) {
	centre := make([]float64, a.D)
	largest := 0.0
	for i := range a.N {
		for j, v := range a.Row(i) {
			centre[j] += v / float64(a.N)
		}
	}
	for _, f := range []Features{a, b} {
		for _, v := range f.X {
			largest = max(largest, math.Abs(v))
		}
	}
	if largest*math.Sqrt(float64(a.D)) > 1e153 {
		return nil, nil, fmt.Errorf("features as large as %g cannot be squared", largest)
	}
	ca, cb := newCloud(a, centre), newCloud(b, centre)
	far := 0.0
	for _, v := range append(append([]float64(nil), ca.norm...), cb.norm...) {
		far = max(far, v)
	}
	d := float64(a.D)
	// u = 2⁻²⁴ is float32's rounding. A product of rows is off by d·u·|a||b| ≤ d·u·s²/4 and counts twice; the rounding of the rows moves a distance, at
	// most s, by u·s; twice as much is allowed. The centring in float64 and numbers below float32's normal range move it by e.
	e := math.Sqrt(d) * (largest*0x1p-50 + 0x1p-140)
	bound := errorBound{quadratic: (d + 16) * 0x1p-24, linear: 4 * e, constant: 4*e*e + d*0x1p-140}
	if !(far < 1e18) { // products would leave float32's range: leave every question open
		bound.constant = math.Inf(1)
	}
	ca.bound, cb.bound = bound, bound
	return ca, cb, nil
}

func newCloud(f Features, centre []float64) *cloud {
	c := &cloud{Features: f, x32: make([]float32, len(f.X)), square: make([]float64, f.N), norm: make([]float64, f.N)}
	for i := range f.N {
		for j, v := range f.Row(i) {
			r := float32(v - centre[j])
			c.x32[i*f.D+j] = r
			c.square[i] += float64(r) * float64(r)
		}
		c.norm[i] = math.Sqrt(c.square[i])
	}
	return c
}

// Rows and columns of one tile of products.
const tileRows, tileColumns = 128, 512

// scan calls visit for every row i of a and every stretch j0 … j0+len(low)−1 of rows of b, with bounds of their squared distances: they lie
// in low … high, or either is NaN. Rows run in parallel, the stretches of one row in order. When ctx ends, so does the scan, with its error.
func (a *cloud) scan(ctx context.Context, b *cloud, visit func(i, j0 int, low, high []float64)) error {
	kernel.For(a.N, tileRows, func(i0, i1 int) {
		dots := make([]float32, tileRows*tileColumns)
		low, high := make([]float64, tileColumns), make([]float64, tileColumns)
		for j0 := 0; j0 < b.N && ctx.Err() == nil; j0 += tileColumns {
			w := min(tileColumns, b.N-j0)
			kernel.Gemm(dots, a.x32[i0*a.D:], b.x32[j0*b.D:], i1-i0, w, a.D, a.D, b.D, w, false, true, false)
			for i := i0; i < i1; i++ {
				row := dots[(i-i0)*w : (i-i0+1)*w]
				for j, dot := range row {
					s := a.norm[i] + b.norm[j0+j]
					about := a.square[i] + b.square[j0+j] - 2*float64(dot)
					err := s*(a.bound.quadratic*s+a.bound.linear) + a.bound.constant
					low[j], high[j] = about-err, about+err
				}
				visit(i, j0, low[:w], high[:w])
			}
		}
	})
	return ctx.Err()
}
