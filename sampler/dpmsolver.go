package sampler

import (
	"iter"
	"math"
)

// Variants of the DPM-Solver family. The first four are diffusers' algorithm_type and solver_type.
const (
	dpmMidpoint      = "midpoint"       // DPM-Solver++, the default
	dpmHeun          = "heun"           // DPM-Solver++, second order by Heun's form
	dpmNoise         = "noise"          // DPM-Solver in noise prediction, midpoint form
	dpmNoiseHeun     = "noise-heun"     // DPM-Solver in noise prediction, Heun's form
	dpmThird         = "third-order"    // DPM-Solver++ whose third order is one
	dpmDiffusersSDE3 = "diffusers-sde3" // third order with noise as diffusers has it
)

// DPMSolver is the multistep DPM-Solver (Lu et al., arXiv 2206.00927) and DPM-Solver++ (arXiv 2211.01095) of orders 1 to 3, one
// evaluation a step; order 2 never lowered is [DPMPP2M]. With lambda = -ln sigma, h = lambda' - lambda, a = (1 + eta)h and divided
// differences D1, D2 of the stored D over lambda in units of h,
//
//	x' = (sigma'/sigma)exp(-eta·h) x + c0·D + c1·D1 + c2·D2 + sigma' sqrt(1 - exp(-2·eta·h)) n,
//	c0 = 1 - exp(-a),  c1 = c0/2 or 1 - c0/a,  c2 = 1/2 - c1/a.
//
// c1 is c0/2 in second order by variant "midpoint" (the default), the other in "heun" and in third order. The variants "noise" and
// "noise-heun" keep slopes in place of D, the first DPM-Solver. Eta 1 is the reference's SDE-DPM-Solver(++), eta 0 (the default) the
// ODE solver. As published, D2 lacks a factor 2, so "third order" converges with order 2; variant "third-order" has it. diffusers' third
// order with noise has D2 with a wrong sign of the 1/2; variant "diffusers-sde3" repeats that.
//
// Options: Order (default 3), Variant, Final (default "lower", diff-sampler's; diffusers' is "few"), Eta, NoiseScale, Noise.
func DPMSolver(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return dpmMethod("DPMSolver", o).sampler(false)(d, x, sigmas, o)
}

// DPMSolverSinglestep is the singlestep DPM-Solver(++) as diffusers spreads it over a grid: steps come in groups of orders 1, 2, 3;
// the higher ones start again from the state at the beginning of their group, with the outputs found on the way. One evaluation a
// step. Options and coefficients are those of [DPMSolver], with variants "midpoint", "heun", "noise" and "noise-heun"; here
// "midpoint" third order has no D2 and the others the full one. Final "full" leaves the last group as it falls; the default "lower"
// ends on a step of order 1 where a group would end with the run, which is what diffusers does. With Eta the outputs inside a group carry noise that
// its last step does not, so the law of the pictures is right for many steps only.
func DPMSolverSinglestep(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	m := dpmMethod("DPMSolverSinglestep", o)
	m.single, m.variants, m.weigh = true, dpmVariants[:4], weighSinglestep
	return m.sampler(false)(d, x, sigmas, o)
}

var dpmVariants = []string{dpmMidpoint, dpmHeun, dpmNoise, dpmNoiseHeun, dpmThird, dpmDiffusersSDE3}

func dpmMethod(name string, o Options) method {
	return method{name: name, usual: 3, max: 3, variants: dpmVariants, final: FinalLower, slopes: noisePrediction(o.Variant), weigh: weighDPM}
}

func noisePrediction(variant string) bool { return variant == dpmNoise || variant == dpmNoiseHeun }

// dpmCoefficients sets scale and noise for a step from level s to next and returns h and the factors on D, D1 and D2. secondOrder
// asks for the midpoint form of c1, where the variant has one.
func dpmCoefficients(l *linear, next, s float64, secondOrder bool, o Options) (h, c0, c1, c2 float64) {
	h = math.Log(s / next)
	midpoint := secondOrder && (o.Variant != dpmHeun && o.Variant != dpmNoiseHeun)
	if noisePrediction(o.Variant) {
		l.scale = 1
		l.noise = next * math.Sqrt(o.Eta*math.Expm1(2*h))
		f := -(1 + o.Eta) * next
		c0 = math.Expm1(h)
		c1 = c0/h - 1
		c2 = c1/h - 0.5
		if midpoint {
			c1 = c0 / 2
		}
		return h, f * c0, f * c1, f * c2
	}
	a := (1 + o.Eta) * h
	l.scale = next / s * math.Exp(-o.Eta*h)
	l.noise = next * math.Sqrt(-math.Expm1(-2*o.Eta*h))
	c0 = -math.Expm1(-a)
	c1 = 1 - c0/a
	c2 = 0.5 - c1/a
	if o.Variant == dpmDiffusersSDE3 && o.Eta > 0 {
		c2--
	}
	if midpoint {
		c1 = c0 / 2
	}
	return h, c0, c1, c2
}

func weighDPM(l *linear, at []float64, o Options) {
	h, c0, c1, c2 := dpmCoefficients(l, at[0], at[1], len(at) == 3, o)
	w := &l.weights
	switch len(at) - 1 {
	case 1:
		w[0] = c0
	case 2:
		r := math.Log(at[2]/at[1]) / h
		w[0], w[1] = c0+c1/r, -c1/r
	case 3:
		r0, r1 := math.Log(at[2]/at[1])/h, math.Log(at[3]/at[2])/h
		if o.Variant == dpmThird {
			c2 *= 2
		}
		// D1 = u + r0/(r0+r1)·(u - v), D2 = (u - v)/(r0+r1) with u = (m0 - m1)/r0, v = (m1 - m2)/r1
		v := -(c1*r0 + c2) / (r0 + r1)
		u := c1 - v
		w[0], w[1], w[2] = c0+u/r0, v/r1-u/r0, -v/r1
	}
}

func weighSinglestep(l *linear, at []float64, o Options) {
	order := len(at) - 1
	h, c0, c1, c2 := dpmCoefficients(l, at[0], at[order], order == 2, o)
	w := &l.weights
	switch order {
	case 1:
		w[0] = c0
	case 2:
		r := math.Log(at[2]/at[1]) / h
		w[0], w[1] = c1/r, c0-c1/r
	case 3: // m[2] is the oldest, where the group starts
		r0, r1 := math.Log(at[3]/at[1])/h, math.Log(at[3]/at[2])/h
		if o.Variant == dpmMidpoint || o.Variant == dpmNoise {
			w[0], w[2] = c1/r0, c0-c1/r0
			return
		}
		// D1 = (r0·u - r1·v)/(r0 - r1), D2 = 2(v - u)/(r0 - r1) with u = (m1 - m2)/r1, v = (m0 - m2)/r0
		u, v := (c1*r0-2*c2)/(r0-r1), (2*c2-c1*r1)/(r0-r1)
		w[0], w[1], w[2] = v/r0, u/r1, c0-v/r0-u/r1
	}
}

// singlestepOrder is the place of step i in its group, 1 to the order.
func singlestepOrder(i, n int, o Options) int {
	if i == n-1 && n%o.Order == 0 && o.Final != FinalFull {
		return 1
	}
	return i%o.Order + 1
}
