package sampler

import (
	"iter"
	"math"
)

// Variants of [DDPM]: the variance of its reverse step.
const (
	ddpmSmall = "fixed-small"
	ddpmLarge = "fixed-large"
)

// DDPM is the ancestral sampler of Ho et al. (arXiv 2006.11239, algorithm 2) over any levels: the mean of the posterior
// q(x'|x, D), and noise of one of two fixed variances. With a = 1/(1+sigma²), as variances of x/sqrt(1+sigma²),
//
//	"fixed-small" (default): (1-a')/(1-a)·(1 - a/a'),   "fixed-large": 1 - a/a'.
//
// The first is [DDIM] with Eta 1, step for step; diffusers' fixed_small_log is the same number. Eta (usually 1) scales the noise as in
// DDIM; a last step to 0 has none, where diffusers adds that of fixed-large to the picture when its last training step is not 0.
// Order 1, one evaluation a step, one draw. Options: Variant, Eta, NoiseScale, Noise, Clip.
func DDPM(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DDPM", d, x, sigmas, o)
	o.Churn = 0
	if o.Clip > 0 {
		d = StaticThreshold(d, -o.Clip, o.Clip) // also in the noise: the posterior knows D and x only
	}
	split := ancestral
	switch o.Variant {
	case "", ddpmSmall:
	case ddpmLarge:
		split = func(sigma, next, eta float64) (up, down float64) {
			up, down = ancestral(sigma, next, eta)
			if up > 0 {
				up = eta * math.Sqrt((sigma*sigma-next*next)*(1+next*next)/(1+sigma*sigma))
			}
			return up, down
		}
	default:
		panic("sampler: DDPM has no variant " + o.Variant)
	}
	return euler(d, x, sigmas, o, split, DDIMRules{})
}
