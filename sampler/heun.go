package sampler

import "iter"

// Heun is EDM's sampler, algorithms 1 and 2 of arXiv 2206.00364: an Euler step, then the average of the slopes at
// both ends. Order 2; two evaluations a step, but one on a last step to 0, which stays Euler, so 2n-1 for n
// steps. Options: Churn, ChurnMin, ChurnMax, NoiseScale, Noise.
//
// With Churn > 0 each step starting at a level inside [ChurnMin, ChurnMax], both ends included, first raises it to
// sigma(1 + gamma), gamma = min(Churn/n, sqrt(2)-1), by adding noise. The reference draws noise in every step and
// multiplies it by 0 where gamma is 0; here nothing is drawn then.
func Heun(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("Heun", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den, den2, pred := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		var noise []float64
		n := len(sigmas) - 1
		for i := range n {
			next := sigmas[i+1]
			sigma := churn(x, &noise, sigmas[i], n, o)
			d(den, x, sigma)
			if next == 0 {
				copy(x, den) // Euler to 0 lands on the denoised picture
			} else {
				heunStep(d, x, den, den2, pred, sigma, next)
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}

// HeunFlow is Heun's method in the time of flow matching, t = sigma/(1 + sigma), on the straight paths (1 - t)y + t·n (Lipman et al.,
// arXiv 2210.02747): diffusers' FlowMatchHeunDiscreteScheduler, from any level below infinity. Euler's method there is [DDIM]. Order 2, two
// evaluations a step, but one on a last step to 0. Options: Churn, ChurnMin, ChurnMax, NoiseScale, Noise, as in [Heun].
func HeunFlow(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("HeunFlow", d, x, sigmas, o)
	steps := HeunOver(FlowCurve(), 1)(d, x, sigmas, o)
	return func(yield func(State) bool) {
		for s := range steps {
			if s.Sigma == 0 {
				s.X = s.Denoised // Euler's step to 0 lands there but for rounding
			}
			if !yield(s) {
				return
			}
		}
	}
}

// FlowCurve returns the curve of flow matching: sigma = t/(1 - t), s = 1 - t, for t below 1.
func FlowCurve() Curve {
	return Curve{
		Sigma:      func(t float64) float64 { return t / (1 - t) },
		SigmaDeriv: func(t float64) float64 { return 1 / ((1 - t) * (1 - t)) },
		SigmaInv:   func(sigma float64) float64 { return sigma / (1 + sigma) },
		Scale:      func(t float64) float64 { return 1 - t },
		ScaleDeriv: func(float64) float64 { return -1 },
	}
}

// heunStep takes x from level sigma to next > 0, where den is the estimate at the start; den2 and pred are scratch space.
func heunStep(d Denoiser, x, den, den2, pred []float64, sigma, next float64) {
	h := next - sigma
	for j := range x {
		pred[j] = x[j] + h*((x[j]-den[j])/sigma)
	}
	d(den2, pred, next)
	for j := range x {
		x[j] += h * (0.5*((x[j]-den[j])/sigma) + 0.5*((pred[j]-den2[j])/next))
	}
}
