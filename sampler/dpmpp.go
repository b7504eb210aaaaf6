package sampler

import (
	"iter"
	"math"
)

// DPMPP2M is DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2) in k-diffusion's sigma form: a multistep
// method of order 2 at one evaluation a step. With lambda = -ln sigma, h = lambda' - lambda and r = h_prev/h,
//
//	x' = (sigma'/sigma) x - (exp(-h) - 1) (D + (D - D_prev)/(2r)).
//
// The first step has no predecessor and is first order (DDIM). A last step to 0 is first order too, and its
// limit is exact: x' = D. No options.
func DPMPP2M(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMPP2M", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den, prev := make([]float64, len(x)), make([]float64, len(x))
		hPrev := 0.0
		for i := range len(sigmas) - 1 {
			sigma, next := sigmas[i], sigmas[i+1]
			d(den, x, sigma)
			h := math.Log(sigma / next)
			c := 0.0 // weight of D - D_prev
			if i > 0 && next > 0 {
				c = h / (2 * hPrev)
			}
			if next == 0 {
				copy(x, den)
			} else {
				ratio, e := next/sigma, math.Expm1(-h)
				for j := range x {
					x[j] = ratio*x[j] - e*(den[j]+c*(den[j]-prev[j]))
				}
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
			hPrev = h
			den, prev = prev, den
		}
	}
}
