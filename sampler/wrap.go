package sampler

import (
	"iter"
	"math"
)

// Counted returns d and adds 1 to *calls at every evaluation.
func Counted(d Denoiser, calls *int) Denoiser {
	return func(dst, x []float64, sigma float64) {
		*calls++
		d(dst, x, sigma)
	}
}

// AnalyticFirst returns d without its evaluation at the level first, normally the start of a run: there the slope is taken as
// x/sqrt(1 + sigma²), that of data with mean 0 and deviation 1. This is the analytical first step, AFS, of Dockhorn et al.
// (arXiv 2210.05475) as diff-sampler has it; it saves one evaluation with every solver, where noise hides the data anyway.
func AnalyticFirst(d Denoiser, first float64) Denoiser {
	return func(dst, x []float64, sigma float64) {
		if sigma != first {
			d(dst, x, sigma)
			return
		}
		keep := 1 - sigma/math.Sqrt(1+sigma*sigma)
		for i, v := range x {
			dst[i] = keep * v
		}
	}
}

// DenoiseToZero returns the solver that treats a last level of 0 as diff-sampler's denoise_to_zero does: s runs to the level before and
// takes it for the end, where orders are lowered and up to where churn is spread; the last state is the denoised picture there. Most solvers do the same by themselves.
func DenoiseToZero(s Sampler) Sampler {
	return func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
		check("DenoiseToZero", d, x, sigmas, o)
		n := len(sigmas) - 1
		if sigmas[n] > 0 {
			return s(d, x, sigmas, o)
		}
		return func(yield func(State) bool) {
			last := x
			if n > 1 {
				for state := range s(d, x, sigmas[:n], o) {
					if !yield(state) {
						return
					}
					last = state.X
				}
			}
			den := make([]float64, len(x))
			d(den, last, sigmas[n-1])
			yield(State{n, 0, den, den})
		}
	}
}
