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
