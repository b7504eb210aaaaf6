package sampler

import (
	"iter"
	"math"
)

// Consistency is multistep sampling from consistency models (Song et al., arXiv 2303.01469, algorithm 1), and the gamma-sampling of
// consistency trajectory models (Kim et al., arXiv 2310.02279, algorithm 3) with gamma = Eta: denoise, then add noise again,
//
//	x' = D + sqrt(1 - eta²)·sigma'·e + eta·sqrt(sigma'² - sigma_n²)·n,  e = (x - D)/sigma.
//
// Eta 1 is usual and forgets e; 0 is Euler; above 1 counts as 1. sigma_n is the last level: 0 for diffusers' LCM, sigma_min for consistency models,
// whose pictures are clean there. One evaluation a step; no draw in a last step. Options: Eta, NoiseScale, Noise.
func Consistency(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("Consistency", d, x, sigmas, o)
	o.Churn, o.Eta = 0, min(o.Eta, 1)
	end := sigmas[len(sigmas)-1]
	return euler(d, x, sigmas, o, func(_, next, eta float64) (up, down float64) {
		return eta * math.Sqrt(next*next-end*end), math.Sqrt(1-eta*eta) * next
	}, DDIMRules{})
}

// TCD is strategic stochastic sampling of trajectory consistency distillation (Zheng et al., arXiv 2402.19159, algorithm 4): Euler down to
// the level (1-eta)·sigma', then noise up to sigma'. Eta 0.3 is usual; above 1 counts as 1. One evaluation a step. Options: Eta, NoiseScale,
// Noise. diffusers takes the share 1 - eta in training steps, not in noise levels: [TCDOver].
func TCD(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return TCDOver(func(next, eta float64) float64 { return (1 - min(eta, 1)) * next })(d, x, sigmas, o)
}

// TCDOver returns [TCD] with a rule of one's own for the level to step down to, at most next; for Eta 0 it is not asked.
func TCDOver(level func(next, eta float64) float64) Sampler {
	return func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
		check("TCD", d, x, sigmas, o)
		o.Churn = 0
		return euler(d, x, sigmas, o, func(_, next, eta float64) (up, down float64) {
			if eta == 0 || next == 0 {
				return 0, next
			}
			down = level(next, eta)
			return math.Sqrt(next*next - down*down), down
		}, DDIMRules{})
	}
}
