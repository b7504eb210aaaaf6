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

// DPMPP2S is DPM-Solver++(2S) (Lu et al., arXiv 2211.01095, algorithm 1), the singlestep method of order 2: with
// lambda = -ln sigma, h = lambda' - lambda and mid the level at lambda + r·h,
//
//	u = (mid/sigma) x - (exp(-r·h) - 1) D(x; sigma),
//	x' = (sigma'/sigma) x - (exp(-h) - 1)((1 - 1/(2r)) D(x; sigma) + 1/(2r) D(u; mid)).
//
// Two evaluations a step, but one on a last step to 0, which becomes D, so 2n-1 for n steps. Option: R, by default 1/2, where the
// first D drops out.
func DPMPP2S(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMPP2S", d, x, sigmas, o)
	o.Eta = 0
	return dpmpp2s(d, x, sigmas, o)
}

// DPMPP2SAncestral is k-diffusion's "dpmpp_2s_ancestral": the step of [DPMPP2S] from sigma down to sigma_down, then fresh
// noise of strength sigma_up, both as in [EulerAncestral]; mid lies between sigma and sigma_down. Evaluations as DPMPP2S;
// one draw a step, none on a last step to 0. Eta = 1 is what its users expect. Options: Eta, R, NoiseScale, Noise.
func DPMPP2SAncestral(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMPP2SAncestral", d, x, sigmas, o)
	return dpmpp2s(d, x, sigmas, o)
}

func dpmpp2s(d Denoiser, x0, sigmas []float64, o Options) iter.Seq[State] {
	return func(yield func(State) bool) {
		x := append([]float64(nil), x0...)
		den, den2, u := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		var noise []float64
		for i := range len(sigmas) - 1 {
			sigma, next := sigmas[i], sigmas[i+1]
			d(den, x, sigma)
			up, down := ancestral(sigma, next, o.Eta)
			if down == 0 {
				copy(x, den)
			} else {
				r, h := o.r(i), math.Log(sigma/down)
				w := 1 / (2 * r)
				mid := sigma * math.Exp(-r*h)
				toward(u, x, den, mid/sigma, math.Expm1(-r*h))
				d(den2, u, mid)
				ratio, e := down/sigma, math.Expm1(-h)
				for j := range x {
					x[j] = ratio*x[j] - e*((1-w)*den[j]+w*den2[j])
				}
			}
			if up > 0 {
				addNoise(x, &noise, up*o.NoiseScale, sigma, next, o)
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}

// toward writes ratio·x - e·den into dst: the exact solution of the probability flow from x over a step through which the
// denoised picture stays den, ratio being the quotient of the levels and e = ratio - 1 computed without cancellation.
func toward(dst, x, den []float64, ratio, e float64) {
	for j, v := range x {
		dst[j] = ratio*v - e*den[j]
	}
}
