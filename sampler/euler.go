package sampler

import (
	"iter"
	"math"
	"slices"
)

// DDIM is Euler's method on the probability flow (order 1, one evaluation a step), with the two ways to add noise
// that exist for it. Options: Eta, Churn, ChurnMin, ChurnMax, NoiseScale, Noise, Clip, ClipNoise.
//
// Eta = 0, Churn = 0 is the deterministic DDIM (Song et al., arXiv 2010.02502) and k-diffusion's "euler" alike:
//
//	x' = D + (sigma'/sigma)(x - D),  equal to  x + (sigma' - sigma)(x - D)/sigma.
//
// Eta > 0 is the stochastic DDIM family. With a = 1/(1+sigma²) the paper's eq. 12 and 16,
//
//	z' = sqrt(a')·D + sqrt(1 - a' - s²)·e + s·n,  s = eta·sqrt((1-a')/(1-a))·sqrt(1 - a/a'),
//
// divided by sqrt(a') becomes, with e = (x - D)/sigma,
//
//	x' = D + down·e + up·n,  up² = eta²·sigma'²(sigma² - sigma'²)/sigma²,  down² = sigma'² - up²,
//
// the very step of [EulerAncestral]; up is cut at sigma', which matters for eta > 1 only.
//
// Churn > 0 first raises the level by fresh noise, as k-diffusion's "euler" and EDM algorithm 2 do (see [Heun]),
// and then steps down from the raised level.
//
// Clip > 0 limits D to [-Clip, Clip] in D + down·e but not in e, unless ClipNoise: diffusers' clip_sample and
// use_clipped_model_output.
func DDIM(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DDIM", d, x, sigmas, o)
	d, rules := clipped(d, o, DDIMRules{})
	return euler(d, x, sigmas, o, ancestral, rules)
}

// DDIMRules are ways in which a step may depart from [DDIM]'s; nil stands for DDIM's own.
type DDIMRules struct {
	// Land returns the level that the step from sigma leads to in place of next. The variance preserving state x/sqrt(1+sigma²) there then counts
	// as that of next: diffusers' DDIMScheduler goes a fixed number of timesteps down, whatever comes next in its list.
	Land func(sigma, next float64) float64
	// Limit is a limit of one's own, such as a dynamic threshold, on the estimates in D + down·e but not in e. It is given a copy of a whole
	// batch of estimates and changes it in place. Options.Clip has no effect beside it.
	Limit func(dst []float64)
	// Raise has the model evaluated before churn and not behind it. It turns den, the estimate for x at level sigma, into the one
	// that the same output of the network means for the state raised at level high.
	Raise func(den, x, raised []float64, sigma, high float64)
}

// DDIMOver returns [DDIM] with rules of one's own.
func DDIMOver(rules DDIMRules) Sampler {
	return func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
		check("DDIMOver", d, x, sigmas, o)
		d, rules := clipped(d, o, rules)
		return euler(d, x, sigmas, o, ancestral, rules)
	}
}

// clipped applies Options.Clip where the rules have no limit.
func clipped(d Denoiser, o Options, rules DDIMRules) (Denoiser, DDIMRules) {
	switch {
	case o.Clip == 0 || rules.Limit != nil:
	case o.ClipNoise:
		d = StaticThreshold(d, -o.Clip, o.Clip)
	default:
		rules.Limit = func(dst []float64) { clip(dst, -o.Clip, o.Clip) }
	}
	return d, rules
}

// EulerAncestral is k-diffusion's ancestral Euler: a step down to sigma_down, then noise of strength sigma_up,
// up = min(s', eta·sqrt(s'²(s² - s'²)/s²)) and down = sqrt(s'² - up²). Order 1, one evaluation and one draw a
// step, none on a last step to 0. Eta = 1 is what its users expect (see [Info.Options]); Eta = 0 is Euler. Options:
// Eta, NoiseScale, Noise; churn is ignored.
func EulerAncestral(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("EulerAncestral", d, x, sigmas, o)
	o.Churn = 0
	return euler(d, x, sigmas, o, ancestral, DDIMRules{})
}

// euler steps to the level down that split returns and adds fresh noise of strength up.
func euler(d Denoiser, x0, sigmas []float64, o Options, split func(sigma, next, eta float64) (up, down float64), rules DDIMRules) iter.Seq[State] {
	return func(yield func(State) bool) {
		x := append([]float64(nil), x0...)
		den := make([]float64, len(x))
		var noise, before []float64 // made when first needed
		n := len(sigmas) - 1
		for i := range n {
			sigma, next := sigmas[i], sigmas[i+1]
			if rules.Raise == nil {
				sigma = churn(x, &noise, sigma, n, o)
				d(den, x, sigma)
			} else {
				d(den, x, sigma)
				before = append(before[:0], x...)
				if sigma = churn(x, &noise, sigma, n, o); sigma > sigmas[i] {
					rules.Raise(den, before, x, sigmas[i], sigma)
				}
			}
			land := next
			if rules.Land != nil {
				land = rules.Land(sigma, next)
			}
			up, down := split(sigma, land, o.Eta)
			stepDown(x, den, down/sigma, rules.Limit)
			if up > 0 {
				addNoise(x, &noise, up*o.NoiseScale, sigma, next, o)
			}
			if land != next {
				scale(x, math.Hypot(1, next)/math.Hypot(1, land))
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}

// stepDown sets x to D + r(x - D), where limit, if any, changes the first D but not the second.
func stepDown(x, den []float64, r float64, limit func(dst []float64)) {
	if limit == nil {
		for j, y := range den {
			x[j] = y + r*(x[j]-y)
		}
		return
	}
	limited := slices.Clone(den)
	limit(limited)
	for j, y := range den {
		x[j] = limited[j] + r*(x[j]-y)
	}
}

func scale(x []float64, by float64) {
	for j := range x {
		x[j] *= by
	}
}

// ancestral splits a step from sigma to next into a deterministic step to down and fresh noise of strength up.
func ancestral(sigma, next, eta float64) (up, down float64) {
	if eta == 0 || next == 0 {
		return 0, next
	}
	up = min(next, eta*math.Sqrt(next*next*(sigma*sigma-next*next)/(sigma*sigma)))
	return up, math.Sqrt(next*next - up*up)
}

// churn raises x from level sigma by the factor 1 + gamma, gamma = min(Churn/n, sqrt(2)-1) inside
// [ChurnMin, ChurnMax] (EDM algorithm 2), and returns the new level; where gamma is 0 nothing is drawn.
func churn(x []float64, noise *[]float64, sigma float64, n int, o Options) float64 {
	gamma := min(o.Churn/float64(n), math.Sqrt2-1)
	if !(gamma > 0 && sigma >= o.ChurnMin && sigma <= o.ChurnMax) {
		return sigma
	}
	hat := sigma * (1 + gamma)
	addNoise(x, noise, math.Sqrt(hat*hat-sigma*sigma)*o.NoiseScale, hat, hat, o)
	return hat
}

// addNoise adds scale times unit normals for the passage from one level to another to x; buf is the solver's scratch space.
func addNoise(x []float64, buf *[]float64, scale, from, to float64, o Options) {
	if *buf == nil {
		*buf = make([]float64, len(x))
	}
	o.draw(*buf, from, to)
	for i, v := range *buf {
		x[i] += scale * v
	}
}
