package schedule

import (
	"fmt"
	"math"
)

// Karras returns EDM's n+1 noise levels: n levels from max down to min, evenly spaced in sigma^(1/rho), then 0
// (EDM eq. 5; rho 7 and 0.002 to 80 for images). n = 1 gives [max, 0]. The first and last positive level are
// exactly max and min. It panics unless n >= 1, 0 < min < max (n = 1: 0 < max) and rho > 0, all finite.
func Karras(n int, min, max, rho float64) []float64 {
	check("Karras", n, min, max)
	if !(rho > 0) || math.IsInf(rho, 0) {
		panic(fmt.Sprintf("schedule: Karras: rho %v must be positive and finite", rho))
	}
	a, b := math.Pow(max, 1/rho), math.Pow(min, 1/rho)
	return spaced(n, min, max, func(u float64) float64 { return math.Pow(a+u*(b-a), rho) })
}

// Exponential returns n+1 noise levels: n levels from max down to min, evenly spaced in ln sigma (and so in
// logSNR), then 0. n = 1 gives [max, 0]. It panics on the arguments that [Karras] panics on.
func Exponential(n int, min, max float64) []float64 {
	check("Exponential", n, min, max)
	a, b := math.Log(max), math.Log(min)
	return spaced(n, min, max, func(u float64) float64 { return math.Exp(a + u*(b-a)) })
}

// PolyExponential returns n+1 noise levels: n levels from max down to min whose logarithms lie at the fractions r^rho of the
// way up from ln min, r evenly spaced from 1 to 0, then 0. rho 1 is [Exponential] (k-diffusion's get_sigmas_polyexponential).
// n = 1 gives [max, 0]. It panics on the arguments that [Karras] panics on.
func PolyExponential(n int, min, max, rho float64) []float64 {
	check("PolyExponential", n, min, max)
	if !(rho > 0) || math.IsInf(rho, 0) {
		panic(fmt.Sprintf("schedule: PolyExponential: rho %v must be positive and finite", rho))
	}
	a, b := math.Log(min), math.Log(max)
	return spaced(n, min, max, func(u float64) float64 { return math.Exp(a + math.Pow(1-u, rho)*(b-a)) })
}

// LinearSigma returns n+1 noise levels: n levels evenly spaced from max down to min, then 0. n = 1 gives [max, 0]. It
// panics on the arguments that [Karras] panics on.
func LinearSigma(n int, min, max float64) []float64 {
	check("LinearSigma", n, min, max)
	return spaced(n, min, max, func(u float64) float64 { return max + u*(min-max) })
}

// spaced fills a grid from a function of u in [0, 1], u = 0 at max; the ends are set, not computed.
func spaced(n int, min, max float64, f func(u float64) float64) []float64 {
	s := make([]float64, n+1)
	for i := 1; i < n-1; i++ {
		s[i] = f(float64(i) / float64(n-1))
	}
	if n > 1 {
		s[n-1] = min
	}
	s[0] = max
	return s
}

func check(name string, n int, min, max float64) {
	if err := checkRange(n, min, max); err != nil {
		panic(fmt.Sprintf("schedule: %s: %v", name, err))
	}
}

func checkRange(n int, min, max float64) error {
	switch {
	case n < 1:
		return fmt.Errorf("%d steps; at least 1 is needed", n)
	case !(max > 0) || math.IsInf(max, 0):
		return fmt.Errorf("largest noise level %v must be positive and finite", max)
	case n > 1 && !(min > 0 && min < max):
		return fmt.Errorf("smallest noise level %v must lie above 0 and below the largest, %v", min, max)
	}
	return nil
}

// FromLogSNR returns the n+1 noise levels that a logSNR schedule visits at n evenly spaced times, noisy end
// first, then 0. Time runs from t = 1 (noisy) to t = 0 (clean), both included, after it has been cut to the part
// where sigmaMin <= sigma(t) <= sigmaMax, so that no two levels collapse onto a limit; sigmaMin 0 and sigmaMax
// +Inf cut nothing. n = 1 gives the noisy end and 0. It is an error if n < 1, if no time lies in the range, if
// the schedule does not fall strictly (see [Cosine.Interpolated]), or if it begins at pure noise, as [Flow] and
// [Laplace] do, and sigmaMax does not cut that.
func FromLogSNR(l LogSNR, n int, sigmaMin, sigmaMax float64) ([]float64, error) {
	if n < 1 {
		return nil, fmt.Errorf("schedule: %d steps; at least 1 is needed", n)
	}
	sigma := func(t float64) float64 { return Sigma(l(t)) }
	if !(sigmaMin <= sigma(1) && sigmaMax >= sigma(0) && sigmaMin <= sigmaMax) {
		return nil, fmt.Errorf("schedule: the wanted noise levels %v to %v do not overlap with the schedule's, %.6g to %.6g",
			sigmaMin, sigmaMax, sigma(0), sigma(1))
	}
	first, last := sigma(1), sigma(0)
	t1, t0 := 1.0, 0.0
	if first > sigmaMax {
		first, t1 = sigmaMax, timeOf(sigma, sigmaMax)
	}
	if math.IsInf(first, 0) {
		return nil, fmt.Errorf("schedule: it begins at pure noise, an infinite level; the largest noise level wanted must be finite, and is %v", sigmaMax)
	}
	if last < sigmaMin {
		last, t0 = sigmaMin, timeOf(sigma, sigmaMin)
	}
	s := spaced(n, last, first, func(u float64) float64 { return sigma(t1 + u*(t0-t1)) })
	for i := range n {
		if !(s[i] > s[i+1]) {
			return nil, fmt.Errorf("schedule: level %d of %d is %v after %v: the schedule does not fall strictly between the wanted noise levels %v and %v",
				i+1, n, s[i+1], s[i], sigmaMin, sigmaMax)
		}
	}
	return s, nil
}

// timeOf finds the time at which a rising function reaches level, by bisection to the last bit.
func timeOf(sigma func(float64) float64, level float64) float64 {
	lo, hi := 0.0, 1.0
	for range 100 {
		if mid := lo + (hi-lo)/2; sigma(mid) < level {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}
