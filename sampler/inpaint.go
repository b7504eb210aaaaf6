package sampler

import (
	"fmt"
	"iter"
	"math"
)

// Inpaint returns d with its estimate replaced by picture wherever redraw is false. Started from picture + sigma·noise, every solver of the
// probability flow then stays on that very path there, since the slope (x - picture)/sigma is the noise of the start, and every stochastic one
// at picture plus noise of its level; the rest is drawn to fit. This is the data consistency of DDNM (Wang et al. 2022, arXiv 2212.00490:
// its range-null space decomposition with the mask as operator). RePaint ([Resampled]) replaces the state instead, with new noise at every level.
//
// picture and redraw have one picture's length and hold for each of a batch; they are kept, not copied. It panics if the lengths do not fit.
func Inpaint(d Denoiser, picture []float64, redraw []bool) Denoiser {
	if len(picture) == 0 || len(picture) != len(redraw) {
		panic(fmt.Sprintf("sampler: Inpaint: a mask of %d values for a picture of %d", len(redraw), len(picture)))
	}
	return func(dst, x []float64, sigma float64) {
		if len(x)%len(picture) != 0 {
			panic(fmt.Sprintf("sampler: %d values are no whole number of pictures of %d", len(x), len(picture)))
		}
		d(dst, x, sigma)
		for lo := 0; lo < len(dst); lo += len(picture) {
			for i, anew := range redraw {
				if !anew {
					dst[lo+i] = picture[i]
				}
			}
		}
	}
}

// Resampled returns the solver that makes every step of s, but a last one to 0, times more often: noise brings the state back from the next level to the
// present one, and the step is done again. Drawn and kept parts of a picture come to agree by that: RePaint (Lugmayr et al. 2022, arXiv 2201.09865,
// algorithm 1 with jumps of one step). NFE grows by the factor times + 1. noise is drawn from once a repetition; what s draws comes from
// Options.Noise. s must take each step by itself (see [Info.OneStep]).
func Resampled(s Sampler, times int, noise Noise) Sampler {
	return func(d Denoiser, x0, sigmas []float64, o Options) iter.Seq[State] {
		check("Resampled", d, x0, sigmas, o)
		return func(yield func(State) bool) {
			x, den := append([]float64(nil), x0...), make([]float64, len(x0))
			var buf []float64
			n := len(sigmas) - 1
			for i, next := range sigmas[1:] {
				sigma, one := sigmas[i], o.ofStep(i, n)
				for again := 0; ; again++ {
					for state := range s(d, x, sigmas[i:i+2], one) {
						copy(den, state.Denoised)
						copy(x, state.X)
					}
					if again == times || next == 0 {
						break
					}
					addNoise(x, &buf, math.Sqrt(sigma*sigma-next*next), next, sigma, Options{Noise: noise})
				}
				if !yield(State{i + 1, next, x, den}) {
					return
				}
			}
		}
	}
}

// ofStep are the options with which step i of n, counted from 0, can be run by itself.
func (o Options) ofStep(i, n int) Options {
	o.Churn /= float64(n) // which is spread over the steps of a run
	for _, list := range []*[]float64{&o.R, &o.ScaleDir, &o.ScaleTime} {
		if len(*list) > 1 {
			*list = (*list)[i : i+1]
		}
	}
	return o
}
