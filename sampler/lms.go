package sampler

import (
	"iter"
	"math"
)

// maxLMSOrder is the highest order whose coefficients two Gauss points give exactly.
const maxLMSOrder = 4

// LMS is k-diffusion's "lms", the linear multistep method of Adams and Bashforth for any spacing of levels: the slope
// d = (x - D)/sigma of the last k evaluations is interpolated by a polynomial in sigma, which is integrated over the step,
//
//	x' = x + Σ_j c_j d_j,  c_j = ∫ from sigma_i to sigma_{i+1} of Π_{k≠j} (s - sigma_{i-k})/(sigma_{i-j} - sigma_{i-k}) ds.
//
// Option: Order, 1 to 4, by default 4; order 1 is Euler's. The first steps have the orders 1, 2, … that their history
// allows. There is nothing special about a last step to 0: it has full order, unlike that of every other solver. One evaluation a
// step.
func LMS(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("LMS", d, x, sigmas, o)
	order := o.orderUpTo("LMS", maxLMSOrder, maxLMSOrder)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den := make([]float64, len(x))
		slopes := make([][]float64, 0, order) // newest first
		for i := range len(sigmas) - 1 {
			d(den, x, sigmas[i])
			var slope []float64
			if len(slopes) < order {
				slope = make([]float64, len(x))
				slopes = append(slopes, nil)
			} else {
				slope = slopes[order-1]
			}
			copy(slopes[1:], slopes)
			slopes[0] = slope
			for j, v := range x {
				slope[j] = (v - den[j]) / sigmas[i]
			}
			for k, s := range slopes {
				c := adamsBashforth(sigmas[:i+2], len(slopes), k)
				for j, v := range s {
					x[j] += c * v
				}
			}
			if len(slopes) == 1 && sigmas[i+1] == 0 {
				copy(x, den) // what the sum is, but for rounding
			}
			if !yield(State{i + 1, sigmas[i+1], x, den}) {
				return
			}
		}
	}
}

// adamsBashforth returns the weight of the slope j evaluations back, for a step between the last two of levels with order
// slopes: the integral of a Lagrange polynomial of degree order-1 <= 3, which Gauss's rule with two points gives exactly.
func adamsBashforth(levels []float64, order, j int) float64 {
	last := len(levels) - 2
	from, to := levels[last], levels[last+1]
	sum := 0.0
	for _, g := range []float64{-1 / math.Sqrt(3), 1 / math.Sqrt(3)} {
		s, p := (from+to)/2+g*(to-from)/2, 1.0
		for k := range order {
			if k != j {
				p *= (s - levels[last-k]) / (levels[last-j] - levels[last-k])
			}
		}
		sum += p
	}
	return sum * (to - from) / 2
}
