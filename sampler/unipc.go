package sampler

import (
	"iter"
	"math"

	"gonum.org/v1/gonum/mat"
)

// UniPC is the unified predictor-corrector of Zhao et al. (arXiv 2302.04867) of orders 1 to 3, one evaluation a step. Its corrector uses
// the output at the predicted state, which is then kept as that level's output, and is left out in the last step. With h = lambda' -
// lambda, lambda = -ln sigma, the other outputs at r_k = (lambda_k - lambda)/h and E_k = (D_k - D)/r_k,
//
//	x' = (sigma'/sigma) x + (1 - exp(-h)) D + B·Σ rho_k E_k,
//
// where rho solves Σ_k rho_k r_k^(i-1) = i!·phi_(i+1)/B, so that polynomials in lambda are integrated exactly; for the corrector the
// output at the end joins with r = 1. Where one rho is left (predictor of order 2, corrector of order 1) it is 1/2. Variants: "bh2" (the
// default) has B = 1 - exp(-h), "bh1" B = h; "bh2-noise" and "bh1-noise" do the same on slopes, in noise prediction.
//
// The reference runs in the variance preserving state and corrects at the beginning of the next step; the numbers are the same. Where it
// divides infinities, in a last step to 0, x' is D. Options: Order (default 3, as diff-sampler; diffusers' is 2), Variant, Final (default
// "lower"), Uncorrected.
func UniPC(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	c := corrector{
		method: method{name: "UniPC", usual: 3, max: 3, variants: unipcVariants, final: FinalLower, slopes: unipcNoise(o.Variant), weigh: predictUniPC},
		extra:  1, correct: correctUniPC,
		orders: func(i, n int, o Options) (int, int) {
			p := lowered(i, n, o.Order, o.Final)
			return p, p
		},
		eta: func(float64, Options) float64 { return 0 },
	}
	return c.sampler()(d, x, sigmas, o)
}

var unipcVariants = []string{"bh2", "bh1", "bh2-noise", "bh1-noise"}

func unipcNoise(variant string) bool { return variant == "bh2-noise" || variant == "bh1-noise" }

func predictUniPC(l *linear, at []float64, o Options) {
	u := newUniPC(l, at[0], at[1], o)
	order := len(at) - 1
	r := make([]float64, order-1)
	for k := range r {
		r[k] = math.Log(at[1]/at[k+2]) / u.h
	}
	rho := u.rho(r, order == 2)
	for k, v := range rho {
		e := u.b * v / r[k]
		l.weights[k+1] = e
		l.weights[0] -= e
	}
}

func correctUniPC(l *linear, at []float64, from float64, o Options) {
	u := newUniPC(l, at[0], from, o)
	order := len(at) - 1
	r := make([]float64, order)
	for k := range order - 1 {
		r[k] = math.Log(from/at[k+2]) / u.h
	}
	r[order-1] = 1
	rho := u.rho(r, order == 1)
	base := l.weights[0]
	l.weights[0], l.weights[1] = u.b*rho[order-1], base-u.b*rho[order-1]
	for k, v := range rho[:order-1] {
		e := u.b * v / r[k]
		l.weights[k+2] = e
		l.weights[1] -= e
	}
}

// unipcStep is what predictor and corrector share.
type unipcStep struct {
	h  float64 // lambda' - lambda
	hh float64 // h in noise prediction, -h in data prediction
	b  float64 // -B, or -sigma'·B in noise prediction
	bh float64 // the peer's B(h)
}

// newUniPC sets scale and the weight of the output at the start as if it were the only one.
func newUniPC(l *linear, next, sigma float64, o Options) unipcStep {
	u := unipcStep{h: math.Log(sigma / next)}
	f := 1.0
	l.scale = next / sigma
	u.hh = -u.h
	if unipcNoise(o.Variant) {
		f, l.scale, u.hh = next, 1, u.h
	}
	e := math.Expm1(u.hh)
	u.bh = e
	if o.Variant == "bh1" || o.Variant == "bh1-noise" {
		u.bh = u.hh
	}
	u.b = -f * u.bh
	l.weights[0] = -f * e
	return u
}

// rho solves for the weights of outputs at the places r, in units of h. half is the case that has 1/2 by definition.
func (u unipcStep) rho(r []float64, half bool) []float64 {
	n := len(r)
	if n == 0 {
		return nil
	}
	if half {
		return []float64{0.5}
	}
	a, b := mat.NewDense(n, n, nil), mat.NewVecDense(n, nil)
	phi, factorial := math.Expm1(u.hh)/u.hh-1, 1.0
	for i := range n {
		for k, v := range r {
			a.Set(i, k, math.Pow(v, float64(i)))
		}
		b.SetVec(i, phi*factorial/u.bh)
		factorial *= float64(i + 2)
		phi = phi/u.hh - 1/factorial
	}
	var x mat.VecDense
	if err := x.SolveVec(a, b); err != nil && x.Len() != n { // ill-conditioned is solved all the same, as by the peer
		panic("sampler: UniPC: " + err.Error())
	}
	return x.RawVector().Data
}
