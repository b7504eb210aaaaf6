package sampler

import (
	"fmt"
	"iter"
)

// Curve says in which time a solver steps and how it scales its state: at time t the state is
// z = s(t)·x with x = y + sigma(t)·n, and the probability flow is (EDM eq. 4 with eq. 3, arXiv 2206.00364)
//
//	dz/dt = (sigma'/sigma + s'/s) z - (sigma'·s/sigma) D(z/s; sigma).
//
// All curves lead from the same start to the same end in the limit of small steps; they differ in what a finite
// step costs, which is what EDM's ablation measures. Time is unitless, t = 0 is the clean end with sigma(0) = 0
// and s(0) = 1, and sigma rises. Package schedule has the curves of EDM's table 1; its Curve has the same fields,
// so Curve(schedule.VECurve()) converts one.
type Curve struct {
	Sigma      func(t float64) float64     // sigma(t), the noise level of x = y + sigma·n
	SigmaDeriv func(t float64) float64     // dsigma/dt, for t > 0
	SigmaInv   func(sigma float64) float64 // the time at which the level is sigma, for sigma > 0
	Scale      func(t float64) float64     // s(t); nil stands for 1
	ScaleDeriv func(t float64) float64     // ds/dt, for t > 0; nil stands for 0
}

// EulerOver returns Euler's method in the time and scaling of c: EDM algorithm 1 without its correction, and with
// the churn of algorithm 2. Order 1, one evaluation a step. With sigma(t) = t and s = 1 it is [DDIM]. Options:
// Churn, ChurnMin, ChurnMax, NoiseScale, Noise; see [HeunOver] for what the sampler takes and yields.
func EulerOver(c Curve) Sampler { return over("EulerOver", c, 0) }

// HeunOver returns the second-order method of EDM algorithm 1 in the time and scaling of c, with the second slope
// taken at the fraction alpha of the step, 0 < alpha <= 1, and the churn of algorithm 2. With h = t' - t and
// the slope d = dz/dt of [Curve],
//
//	z' = z + h((1 - 1/(2·alpha)) d(z, t) + 1/(2·alpha) d(z + alpha·h·d(z, t), t + alpha·h)).
//
// alpha 1 is Heun's method, 1/2 the midpoint method, 2/3 Ralston's. Order 2; two evaluations a step, but one on a
// last step to 0, which stays Euler, so 2n-1 for n steps. With sigma(t) = t, s = 1 and alpha 1 it is [Heun].
// Options: Churn, ChurnMin, ChurnMax, NoiseScale, Noise; as in Heun, churn's limits compare noise levels and
// nothing is drawn where it is 0.
//
// The sampler speaks of x, not of z, like every other: it takes noise levels and a start at the first of them,
// steps between the times of these levels, and yields x = z/s(t). The reference's state is State.X times s(t). A last step
// to 0 ends on the denoised picture only where sigma is linear in t and s is 1; where sigma = sqrt(t) it ends half-way
// between x and that picture, as the reference does.
//
// It panics if alpha is out of range or c lacks a function.
func HeunOver(c Curve, alpha float64) Sampler {
	if !(alpha > 0 && alpha <= 1) {
		panic(fmt.Sprintf("sampler: HeunOver: alpha %v must lie above 0 and not above 1", alpha))
	}
	return over("HeunOver", c, alpha)
}

// over is both methods; alpha 0 stands for Euler's.
func over(name string, c Curve, alpha float64) Sampler {
	if c.Sigma == nil || c.SigmaDeriv == nil || c.SigmaInv == nil || (c.Scale == nil) != (c.ScaleDeriv == nil) {
		panic(fmt.Sprintf("sampler: %s: the curve lacks Sigma, SigmaDeriv, SigmaInv, or one of Scale and ScaleDeriv", name))
	}
	if c.Scale == nil {
		c.Scale, c.ScaleDeriv = func(float64) float64 { return 1 }, func(float64) float64 { return 0 }
	}
	return func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
		check(name, d, x, sigmas, o)
		return func(yield func(State) bool) { c.run(yield, alpha, d, x, sigmas, o) }
	}
}

// run steps x between the noise levels. It keeps x unscaled between steps, so that churn is that of [Heun], and
// slopes in the scaled z.
func (c Curve) run(yield func(State) bool, alpha float64, d Denoiser, x0, sigmas []float64, o Options) {
	x := append([]float64(nil), x0...)
	den, den2, pred, slope := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
	var noise []float64
	n := len(sigmas) - 1
	for i := range n {
		next := sigmas[i+1]
		sigma := churn(x, &noise, sigmas[i], n, o)
		t, s := c.at(sigma)
		end, sEnd := c.at(next)
		h := end - t
		d(den, x, sigma)
		a, b := c.slope(t, sigma)
		for j := range x {
			x[j] *= s
			slope[j] = a*x[j] - b*den[j]
		}
		if alpha > 0 && next > 0 {
			mid, sigmaMid, sMid := end, next, sEnd
			if alpha < 1 {
				mid = t + alpha*h
				sigmaMid, sMid = c.Sigma(mid), c.Scale(mid)
			}
			for j := range x {
				pred[j] = (x[j] + alpha*h*slope[j]) / sMid
			}
			d(den2, pred, sigmaMid)
			a, b := c.slope(mid, sigmaMid)
			for j := range x {
				slope[j] = (1-1/(2*alpha))*slope[j] + 1/(2*alpha)*(a*sMid*pred[j]-b*den2[j])
			}
		}
		for j := range x {
			x[j] = (x[j] + h*slope[j]) / sEnd
		}
		if !yield(State{i + 1, next, x, den}) {
			return
		}
	}
}

// at returns the time of a noise level and the scale there. 0 is the end of every curve, also of a VP curve with a
// negative beta_min, whose inverse has another time for it.
func (c Curve) at(sigma float64) (t, scale float64) {
	if sigma > 0 {
		t = c.SigmaInv(sigma)
	}
	return t, c.Scale(t)
}

// slope returns a and b of dz/dt = a·z - b·D at time t, where the level is sigma.
func (c Curve) slope(t, sigma float64) (a, b float64) {
	r, s := c.SigmaDeriv(t)/sigma, c.Scale(t)
	return r + c.ScaleDeriv(t)/s, r * s
}
