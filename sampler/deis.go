package sampler

import (
	"iter"
	"math"

	"gonum.org/v1/gonum/integrate/quad"
)

// Variants of [DEIS]: the variable in which the slopes are interpolated.
const (
	deisTab    = "tab"
	deisLogRho = "log-rho"
)

// DEIS is the exponential integrator of Zhang and Chen (arXiv 2204.13902) of orders 1 to 4, one evaluation a step: the slope
// d = (x - D)/sigma is extrapolated by the Lagrange polynomial through the last outputs and integrated over sigma,
//
//	x' = x + Σ_j d_j ∫ L_j dsigma  from sigma to sigma'.
//
// Variant "tab" (the default, diff-sampler's) has polynomials in the time t of the VP curve sigma² = exp(beta_d t²/2 + beta_min t) - 1
// through the points t = 0.001 at 0.002 and t = 1 at 80, whatever the range of the run. Variant "log-rho" (diffusers', there up to order
// 3) has them in ln sigma. Polynomials in sigma itself, the paper's rhoAB, are k-diffusion's lms. The integrals are exact here; the
// reference sums 10,000 points, which is 6e-5 off. Options: Order (default 4; diffusers' is 2), Variant, Final (default "full" for tab and "few"
// for log-rho, as in the peers).
func DEIS(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	m := method{name: "DEIS", usual: 4, max: 4, variants: []string{deisTab, deisLogRho}, final: FinalFull, slopes: true, weigh: weighDEIS}
	if o.Variant == deisLogRho {
		m.final = FinalFew
	}
	return m.sampler(false)(d, x, sigmas, o)
}

// betaD and betaMin are the curve of variant tab.
var betaD, betaMin = func() (float64, float64) {
	const eps, lo, hi = 1e-3, 0.002, 80
	a, b := math.Log1p(lo*lo), math.Log1p(hi*hi)
	d := 2 * (a/eps - b) / (eps - 1)
	return d, b - d/2
}()

func vpTime(sigma float64) float64 {
	return (math.Sqrt(betaMin*betaMin+2*betaD*math.Log1p(sigma*sigma)) - betaMin) / betaD
}

func weighDEIS(l *linear, at []float64, o Options) {
	l.scale = 1
	if len(at) == 2 {
		l.weights[0] = at[0] - at[1]
		return
	}
	time := math.Log
	if o.Variant == deisTab {
		time = vpTime
	}
	var nodes [maxOutputs]float64
	for k, s := range at[1:] {
		nodes[k] = time(s)
	}
	integrateLagrange(l.weights[:len(at)-1], nodes[:], at[1], at[0], time)
}

// integrateLagrange sets weights[j] to the integral over sigma of the j-th Lagrange polynomial in time(sigma). The substitution
// u = ln sigma makes the integrand smooth on scales of 1, so 32 points on pieces of at most 2 are exact to rounding.
func integrateLagrange(weights, nodes []float64, from, to float64, time func(float64) float64) {
	const points = 32
	clear(weights)
	a, b := math.Log(from), math.Log(to)
	pieces := max(1, int(math.Ceil(math.Abs(b-a)/2)))
	var u, w [points]float64
	for i := range pieces {
		lo, hi := a+(b-a)*float64(i)/float64(pieces), a+(b-a)*float64(i+1)/float64(pieces)
		quad.Legendre{}.FixedLocations(u[:], w[:], min(lo, hi), max(lo, hi))
		for k := range u {
			sigma := math.Exp(u[k])
			t := time(sigma)
			for j := range weights {
				p := w[k] * sigma
				for m, node := range nodes[:len(weights)] {
					if m != j {
						p *= (t - node) / (nodes[j] - node)
					}
				}
				if b < a {
					p = -p
				}
				weights[j] += p
			}
		}
	}
}
