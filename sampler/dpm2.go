package sampler

import (
	"iter"
	"math"
)

// DPM2 is k-diffusion's "dpm_2": DPM-Solver-2 (Lu et al., arXiv 2206.00927, algorithm 1) in the form of Karras et al.
// (EDM, arXiv 2206.00364), whose steps are straight in sigma. The second slope is taken at the level that divides the step
// at the share r in ln sigma, and with d(x, sigma) = (x - D)/sigma
//
//	x' = x + (sigma' - sigma)((1 - 1/(2r)) d(x, sigma) + 1/(2r) d(x + (mid - sigma)·d(x, sigma), mid)),
//
// mid = sigma^(1-r)·sigma'^r. r = 1/2 is k-diffusion's, others are diff-sampler's. Order 2; two evaluations a step, but
// one on a last step to 0, which is Euler's, so 2n-1 for n steps. Options: R; Churn, ChurnMin, ChurnMax, NoiseScale, Noise
// as in [Heun].
func DPM2(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPM2", d, x, sigmas, o)
	o.Eta = 0
	return dpm2(d, x, sigmas, o)
}

// DPM2Ancestral is k-diffusion's "dpm_2_ancestral": the step of [DPM2] from sigma down to sigma_down, then fresh noise of
// strength sigma_up, both as in [EulerAncestral]; the level of the second slope lies between sigma and sigma_down. Evaluations as
// DPM2; one draw a step, none on a last step to 0. Eta = 1 is what its users expect. Options: Eta, R, NoiseScale, Noise.
//
// Where an eta above 1 makes sigma_down 0, the peer adds no noise and so leaves the level; here the noise is added.
func DPM2Ancestral(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPM2Ancestral", d, x, sigmas, o)
	o.Churn = 0
	return dpm2(d, x, sigmas, o)
}

func dpm2(d Denoiser, x0, sigmas []float64, o Options) iter.Seq[State] {
	return func(yield func(State) bool) {
		x := append([]float64(nil), x0...)
		den, den2, pred := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		var noise []float64
		n := len(sigmas) - 1
		for i := range n {
			sigma := churn(x, &noise, sigmas[i], n, o)
			d(den, x, sigma)
			up, down := ancestral(sigma, sigmas[i+1], o.Eta)
			if down == 0 {
				copy(x, den) // Euler to 0 lands on the denoised picture
			} else {
				r := o.r(i)
				w := 1 / (2 * r)
				mid := math.Pow(sigma, 1-r) * math.Pow(down, r)
				for j, v := range x {
					pred[j] = v + (mid-sigma)*((v-den[j])/sigma)
				}
				d(den2, pred, mid)
				for j, v := range x {
					x[j] += (down - sigma) * ((1-w)*((v-den[j])/sigma) + w*((pred[j]-den2[j])/mid))
				}
			}
			if up > 0 {
				addNoise(x, &noise, up*o.NoiseScale, sigma, sigmas[i+1], o)
			}
			if !yield(State{i + 1, sigmas[i+1], x, den}) {
				return
			}
		}
	}
}

// Midpoint is the explicit midpoint rule with lambda = -ln sigma as time, in which the probability flow (EDM eq. 1, arXiv
// 2206.00364) is dx/dlambda = D - x. With h = ln(sigma/sigma') and mid = sqrt(sigma·sigma'),
//
//	u = x + h/2 (D(x; sigma) - x),  x' = x + h (D(u; mid) - u).
//
// It is what [DPM2] and [DPMPP2S] become when they treat the linear part of the equation by finite differences too, and so
// shows what their exact treatment is worth: it needs h well below 2. Order 2, evaluations as DPM2. No options.
func Midpoint(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("Midpoint", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den, den2, u := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		for i := range len(sigmas) - 1 {
			sigma, next := sigmas[i], sigmas[i+1]
			d(den, x, sigma)
			if next == 0 {
				copy(x, den)
			} else {
				h := math.Log(sigma / next)
				for j, v := range x {
					u[j] = v + h/2*(den[j]-v)
				}
				d(den2, u, math.Sqrt(sigma*next))
				for j, v := range u {
					x[j] += h * (den2[j] - v)
				}
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}
