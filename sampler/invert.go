package sampler

import (
	"iter"
	"math"
)

// DDIMInverse runs DDIM backwards, from a picture to noise, as diffusers' DDIMInverseScheduler does: x is the state at the last of sigmas and
// the states that are yielded climb to sigmas[0], so State.Sigma is sigmas[n-Step]. A step from sigma up to sigma' takes the network's noise e
// at the upper level but for the variance preserving state of the lower one, which is D's argument in
//
//	x' = x + (sigma' - sigma) e,  e = (z - D(z; sigma'))/sigma',  z = x·sqrt((1 + sigma'²)/(1 + sigma²)).
//
// Order 1, one evaluation a step, also from a picture at level 0. Sampling again does not give that picture back exactly: see the tests for how far
// it comes. Options: none.
func DDIMInverse(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DDIMInverse", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den, z := make([]float64, len(x)), make([]float64, len(x))
		n := len(sigmas) - 1
		for i := range n {
			low, high := sigmas[n-i], sigmas[n-i-1]
			scale, slope := math.Hypot(1, high)/math.Hypot(1, low), (high-low)/high
			for j, v := range x {
				z[j] = scale * v
			}
			d(den, z, high)
			for j, y := range den {
				x[j] += slope * (z[j] - y)
			}
			if !yield(State{i + 1, high, x, den}) {
				return
			}
		}
	}
}

// HeunInverse runs [Heun] backwards, from a picture to noise: x is the state at the last of sigmas and the states that are yielded climb to sigmas[0], so
// State.Sigma is sigmas[n-Step]. Each step is the average of the slopes at both ends, the lower one taken first, as in EDM (arXiv 2206.00364) with
// rising levels; a step from level 0, where there is no slope, is Euler's with the estimate at its upper end. Sampling again comes back to the
// picture with an error of order 3, since the leading ones of the ways up and down cancel. Two evaluations a step, one from level 0. Options: none.
func HeunInverse(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("HeunInverse", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		den, den2, pred := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		n := len(sigmas) - 1
		for i := range n {
			low, high := sigmas[n-i], sigmas[n-i-1]
			if low == 0 {
				d(den, x, high)
				for j, y := range den {
					x[j] += x[j] - y
				}
			} else {
				d(den, x, low)
				heunStep(d, x, den, den2, pred, low, high)
			}
			if !yield(State{i + 1, high, x, den}) {
				return
			}
		}
	}
}
