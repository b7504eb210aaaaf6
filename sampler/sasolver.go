package sampler

import (
	"iter"
	"math"
)

// Variants of [SASolver].
const (
	saData  = "data"
	saNoise = "noise"
)

// SASolver is the stochastic Adams method of Xue et al. (arXiv 2309.05019): predictor and corrector of orders 1 to 4 on a diffusion
// with tau times the noise of the reverse SDE; one evaluation and one draw a step, which predictor and corrector share. With
// a = 1 + tau², h = lambda' - lambda, lambda = -ln sigma and L_j the Lagrange polynomials in lambda through the outputs,
//
//	x' = exp(-tau²h)(sigma'/sigma) x + Σ_j D_j ∫_0^h a·exp(-a(h-u)) L_j(u) du + sigma' sqrt(1 - exp(-2·tau²·h)) n,
//
// and of order 2 with the small terms that the reference adds. Variant "noise" does the same on slopes (noise prediction).
//
// tau is Eta (1 is usual) at levels from ChurnMin to ChurnMax, 0 elsewhere: diffusers' default has it at training steps 200 to 800, which is 0.72
// to 25 on its linear betas. Nothing is drawn where tau is 0. Options: Order (of the predictor, default 2), Corrector (its order, default that of
// the predictor), Variant, Final (default "lower"), Eta, ChurnMin, ChurnMax, NoiseScale, Noise, Uncorrected.
func SASolver(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	c := corrector{
		method: method{name: "SASolver", usual: 2, max: 4, variants: []string{saData, saNoise}, final: FinalLower, slopes: o.Variant == saNoise,
			weigh: predictSA},
		correct: correctSA,
		orders: func(i, n int, o Options) (int, int) {
			p, q := o.Order, o.Corrector
			if q == 0 {
				q = p
			}
			// The corrector has the output at its end too, so one more exists at the start and is left at the end.
			return lowered(i, n, p, o.Final), lowered(i+1, n+2, q, o.Final)
		},
		eta: func(sigma float64, o Options) float64 {
			if sigma >= o.ChurnMin && sigma <= o.ChurnMax {
				return o.Eta
			}
			return 0
		},
	}
	return c.sampler()(d, x, sigmas, o)
}

func predictSA(l *linear, at []float64, o Options) {
	order := len(at) - 1
	a, h := saStep(l, at[0], at[1], at[1:], o)
	if order == 2 && o.Variant == saData {
		e := saExtra(a, h) / math.Log(at[2]/at[1])
		l.weights[0] += e
		l.weights[1] -= e
	}
}

func correctSA(l *linear, at []float64, from float64, o Options) {
	a, h := saStep(l, at[0], from, at, o)
	if len(at) == 2 && o.Variant == saData {
		e := saExtra(a, h) / h
		l.weights[0] += e
		l.weights[1] -= e
	}
}

// saExtra is the term of third order in h that the reference adds in order 2.
func saExtra(a, h float64) float64 {
	return a * (h*h/2 - (a*h+math.Expm1(-a*h))/(a*a))
}

// saStep fills in a step from level s to next with outputs at the given levels; it returns a = 1 + tau² and h.
func saStep(l *linear, next, s float64, levels []float64, o Options) (a, h float64) {
	tau := o.Eta
	h, a = math.Log(s/next), 1+tau*tau
	var moments [maxOutputs]float64 // of u^k with the kernel of the variant
	var f float64
	if o.Variant == saNoise {
		l.scale, l.noise = 1, tau*next*math.Sqrt(math.Expm1(2*h))
		f = -a * s
		moments[0] = -math.Expm1(-h)
		for k := 1; k < len(levels); k++ {
			moments[k] = float64(k)*moments[k-1] - math.Pow(h, float64(k))*math.Exp(-h)
		}
	} else {
		l.scale, l.noise = math.Exp(-tau*tau*h)*next/s, next*math.Sqrt(-math.Expm1(-2*tau*tau*h))
		f = 1
		moments[0] = -math.Expm1(-a * h)
		for k := 1; k < len(levels); k++ {
			moments[k] = math.Pow(h, float64(k)) - float64(k)/a*moments[k-1]
		}
	}
	for j, lj := range levels {
		// coefficients of L_j in powers of u = lambda - lambda(s)
		p := [maxOutputs]float64{1}
		uj := math.Log(s / lj)
		degree := 0
		for k, lk := range levels {
			if k == j {
				continue
			}
			uk := math.Log(s / lk)
			degree++
			for i := degree; i >= 0; i-- {
				v := -uk * p[i]
				if i > 0 {
					v += p[i-1]
				}
				p[i] = v / (uj - uk)
			}
		}
		for i := range degree + 1 {
			l.weights[j] += f * p[i] * moments[i]
		}
	}
	return a, h
}
