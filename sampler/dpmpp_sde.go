package sampler

import (
	"iter"
	"math"
)

// DPMPPSDE is k-diffusion's "dpmpp_sde", a stochastic form of [DPMPP2S]: two half steps that share their start, each with noise of
// its own. From sigma a step goes down to the part of the level mid that [EulerAncestral] calls sigma_down, and noise fills
// it up to mid; there the second evaluation is made. Then a step of the full length, with
//
//	(1 - 1/(2r)) D(x; sigma) + 1/(2r) D(u; mid),  mid = sigma^(1-r)·sigma'^r,
//
// in place of D, goes from x down to sigma_down of sigma', and noise fills it up. The two draws are for the passages from
// sigma to mid and from sigma to sigma': with [BrownianNoise] the first is a part of the second, with [White] they are independent,
// which is another law. Two evaluations and two draws a step, on a last step to 0 one and none, so 2n-1 for n steps. Eta = 1 is what
// its users expect; Eta = 0 is DPMPP2S, order 2. Options: Eta, R, NoiseScale, Noise.
func DPMPPSDE(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMPPSDE", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den, den2, u := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		var noise []float64
		for i := range len(sigmas) - 1 {
			sigma, next := sigmas[i], sigmas[i+1]
			d(den, x, sigma)
			if next == 0 {
				copy(x, den)
			} else {
				r := o.r(i)
				w := 1 / (2 * r)
				mid := sigma * math.Exp(-r*math.Log(sigma/next))
				up, down := ancestral(sigma, mid, o.Eta)
				toward(u, x, den, down/sigma, math.Expm1(-math.Log(sigma/down)))
				if up > 0 {
					addNoise(u, &noise, up*o.NoiseScale, sigma, mid, o)
				}
				d(den2, u, mid)
				up, down = ancestral(sigma, next, o.Eta)
				ratio, e := down/sigma, math.Expm1(-math.Log(sigma/down))
				for j := range x {
					x[j] = ratio*x[j] - e*((1-w)*den[j]+w*den2[j])
				}
				if up > 0 {
					addNoise(x, &noise, up*o.NoiseScale, sigma, next, o)
				}
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}

// dpmpp2MSDEVariants are how [DPMPP2MSDE] weighs the difference of two denoised pictures.
func dpmpp2MSDEVariants() []string { return []string{"midpoint", "heun"} }

// DPMPP2MSDE is the multistep SDE-DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, appendix) with k-diffusion's eta. With
// lambda = -ln sigma, h = lambda' - lambda, a = (1 + eta)h and r = h_prev/h,
//
//	x' = exp(-a) x + (1 - exp(-a)) D + c·(D - D_prev)/r + sigma' sqrt(1 - exp(-2·eta·h)) n.
//
// Variant: "midpoint", c = (1 - exp(-a))/2, or "heun", c = 1 - (1 - exp(-a))/a. The first step has no predecessor: c = 0. A last step
// to 0 becomes D. One evaluation and one draw a step. Eta = 1 is what its users expect; with Eta = 0 "midpoint" is [DPMPP2M].
// Options: Eta, Variant, NoiseScale, Noise.
func DPMPP2MSDE(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMPP2MSDE", d, x, sigmas, o)
	weight := halfStep
	if o.variantOf("DPMPP2MSDE", dpmpp2MSDEVariants()) == "heun" {
		weight = phi2
	}
	return multistepSDE(d, x, sigmas, o, 2, func(x []float64, past pastPictures, a float64) { past.addFirst(x, weight(a)) })
}

// dpmpp3MVariants are the forms of [DPMPP3M] and [DPMPP3MSDE].
func dpmpp3MVariants() []string { return []string{"published", "third-order"} }

// DPMPP3MSDE is k-diffusion's "dpmpp_3m_sde", DPM-Solver++ with two steps of history. With a = (1 + eta)h as in [DPMPP2MSDE],
// r0 = h_prev/h, r1 = h_prevprev/h and the divided differences
//
//	e0 = (D - D_1)/r0,  e1 = (D_1 - D_2)/r1,  f1 = e0 + (e0 - e1)·r0/(r0 + r1),  f2 = (e0 - e1)/(r0 + r1),
//	x' = exp(-a) x + (1 - exp(-a)) D + phi2·f1 - k·phi3·f2 + sigma' sqrt(1 - exp(-2·eta·h)) n,
//
// phi2 = 1 - (1 - exp(-a))/a, phi3 = phi2/a - 1/2. Variant: "published" has k = 1, as k-diffusion, diffusers and diff-sampler
// do; but h²D” is 2·f2, so that this form is of order 2 on the probability flow. "third-order" has the missing factor, k = 2, and is
// of order 3; it is not always the better one at few steps. The first steps have less history and order. A last
// step to 0 becomes D. One evaluation and one draw a step. Eta = 1 is what its users expect. Options: Eta, Variant, NoiseScale, Noise.
func DPMPP3MSDE(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMPP3MSDE", d, x, sigmas, o)
	return dpmpp3m("DPMPP3MSDE", d, x, sigmas, o, phi2)
}

// DPMPP3M is DPM-Solver++(3M) as diffusers and diff-sampler have it, the multistep method with two steps of history on the
// probability flow: [DPMPP3MSDE] with Eta 0 and the same two variants, but its second step, which has one step of history, is that
// of [DPMPP2M]. One evaluation a step. Option: Variant.
func DPMPP3M(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMPP3M", d, x, sigmas, o)
	o.Eta = 0
	return dpmpp3m("DPMPP3M", d, x, sigmas, o, halfStep)
}

// dpmpp3m is both; second weighs the difference in the second step.
func dpmpp3m(name string, d Denoiser, x, sigmas []float64, o Options, second func(a float64) float64) iter.Seq[State] {
	k := 1.0
	if o.variantOf(name, dpmpp3MVariants()) == "third-order" {
		k = 2
	}
	return multistepSDE(d, x, sigmas, o, 3, func(x []float64, past pastPictures, a float64) {
		if past.den[2] == nil {
			past.addFirst(x, second(a))
			return
		}
		past.addBoth(x, phi2(a), -k*phi3(a))
	})
}

// pastPictures is what a multistep method of DPM-Solver++ remembers: denoised pictures, newest first, nil where there is none yet, and the
// lengths in -ln sigma of the steps between them, in units of the coming step.
type pastPictures struct {
	den [3][]float64
	r   [2]float64
}

// addFirst adds c times the first divided difference to x.
func (p pastPictures) addFirst(x []float64, c float64) {
	for j, v := range p.den[0] {
		x[j] += c * ((v - p.den[1][j]) / p.r[0])
	}
}

// addBoth adds c1·f1 + c2·f2 of [DPMPP3MSDE] to x.
func (p pastPictures) addBoth(x []float64, c1, c2 float64) {
	r0, r1 := p.r[0], p.r[1]
	for j, v := range p.den[0] {
		e0, e1 := (v-p.den[1][j])/r0, (p.den[1][j]-p.den[2][j])/r1
		x[j] += c1*(e0+(e0-e1)*(r0/(r0+r1))) + c2*((e0-e1)/(r0+r1))
	}
}

// multistepSDE is the loop of [DPMPP2MSDE] and [DPMPP3MSDE]: memory denoised pictures are kept, and from the second step on correct adds
// to x what they say about how D changes over a step of length a = (1 + eta)h.
func multistepSDE(d Denoiser, x0, sigmas []float64, o Options, memory int, correct func(x []float64, past pastPictures, a float64)) iter.Seq[State] {
	return func(yield func(State) bool) {
		x := append([]float64(nil), x0...)
		var noise []float64
		var past pastPictures
		var lengths [2]float64 // of the last steps
		for i := range len(sigmas) - 1 {
			sigma, next := sigmas[i], sigmas[i+1]
			den := past.den[memory-1]
			if den == nil {
				den = make([]float64, len(x))
			}
			copy(past.den[1:memory], past.den[:memory-1])
			past.den[0] = den
			d(den, x, sigma)
			if next == 0 {
				copy(x, den)
			} else {
				h := math.Log(sigma / next)
				a := (1 + o.Eta) * h
				toward(x, x, den, next/sigma*math.Exp(-o.Eta*h), math.Expm1(-a))
				if i > 0 {
					past.r = [2]float64{lengths[0] / h, lengths[1] / h}
					correct(x, past, a)
				}
				if o.Eta > 0 {
					addNoise(x, &noise, next*math.Sqrt(-math.Expm1(-2*o.Eta*h))*o.NoiseScale, sigma, next, o)
				}
				lengths = [2]float64{h, lengths[0]}
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}

// halfStep is (1 - exp(-a))/2, the weight of a first derivative if D at the middle of the step stands for the whole.
func halfStep(a float64) float64 { return -math.Expm1(-a) / 2 }

// phi2 is 1 - (1 - exp(-a))/a, the weight of a first derivative in an exponential integrator; near 0 by its series.
func phi2(a float64) float64 {
	if a < 0.1 {
		return a * (phi3(a) + 0.5)
	}
	return 1 + math.Expm1(-a)/a
}

// phi3 is phi2/a - 1/2, the weight of a second derivative, likewise: Σ_k (-a)^k/(k+2)! from k = 1.
func phi3(a float64) float64 {
	if a >= 0.1 {
		return phi2(a)/a - 0.5
	}
	sum, term := 0.0, 0.5
	for k := 1.0; k < 12; k++ {
		term *= -a / (k + 2)
		sum += term
	}
	return sum
}
