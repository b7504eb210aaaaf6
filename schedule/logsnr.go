package schedule

import (
	"fmt"
	"math"
)

// LogSNR is a noise schedule of time: ln(alpha²/sigma²) at t in [0, 1], with t = 0 the clean end and t = 1 the
// noisy one.
type LogSNR func(t float64) float64

// Sigma converts a logSNR into the noise level of x = y + sigma*n, exp(-logsnr/2).
func Sigma(logsnr float64) float64 { return math.Exp(-logsnr / 2) }

// AlphaSigma converts a logSNR into the variance preserving pair of z = alpha*y + sigma*n:
// alpha² = sigmoid(logsnr), sigma² = sigmoid(-logsnr), so alpha² + sigma² = 1.
func AlphaSigma(logsnr float64) (alpha, sigma float64) {
	return math.Sqrt(1 / (1 + math.Exp(-logsnr))), math.Sqrt(1 / (1 + math.Exp(logsnr)))
}

// Clip says what happens to the bounds of a cosine schedule when it is shifted for another resolution.
type Clip int

const (
	// ClipA shifts the bounded schedule as a whole: its ends become Min+shift and Max+shift. The default.
	ClipA Clip = iota
	// ClipB moves the bounds against the shift first, so the ends stay at Min and Max (k-diffusion's way). Values
	// in the middle hardly differ from ClipA.
	ClipB
)

// Direction says which reference size governs which end of an interpolated schedule.
type Direction int

const (
	// LowAtNoisy lets the low reference size govern the noisy end (t = 1) and the high one the clean end, as both
	// published implementations do; it widens the range of logSNR. The default.
	LowAtNoisy Direction = iota
	// LowAtClean is the equation as printed: the low reference size governs the clean end (t = 0).
	LowAtClean
)

// Cosine is the bounded cosine schedule of simple diffusion, logsnr(t) = -2 ln tan(a + t(b-a)) with a and b set
// so that it runs from Max at t = 0 to Min at t = 1 (arXiv 2301.11093).
type Cosine struct{ Min, Max float64 }

// DefaultCosine returns the bounds of the paper, logSNR from 15 (clean) down to -15 (noisy).
func DefaultCosine() Cosine { return Cosine{Min: -15, Max: 15} }

// LogSNR is the schedule at the reference resolution; the method value c.LogSNR is a [LogSNR].
func (c Cosine) LogSNR(t float64) float64 {
	a, b := math.Atan(math.Exp(-c.Max/2)), math.Atan(math.Exp(-c.Min/2))
	return -2 * math.Log(math.Tan(a+t*(b-a)))
}

// Shifted returns the schedule for images of imageSize pixels a side that keeps the noise of the coarse
// structure as it is at noiseSize pixels: logsnr(t) + 2 ln(noiseSize/imageSize) (arXiv 2301.11093, eq. 5;
// noiseSize 64 in the text).
func (c Cosine) Shifted(noiseSize, imageSize float64, clip Clip) LogSNR {
	shift := 2 * math.Log(noiseSize/imageSize)
	if clip == ClipB {
		c.Min -= shift
		c.Max -= shift
	}
	return func(t float64) float64 { return c.LogSNR(t) + shift }
}

// Interpolated returns the schedule for images of imageSize pixels a side that moves, linearly in t, between
// the schedules shifted for two reference sizes low < high (arXiv 2301.11093, eq. 6; 32 and 256 at 512).
// With LowAtClean and high/low above exp(pi) = 23 the result no longer falls everywhere.
func (c Cosine) Interpolated(low, high, imageSize float64, clip Clip, d Direction) LogSNR {
	clean, noisy := c.Shifted(high, imageSize, clip), c.Shifted(low, imageSize, clip)
	if d == LowAtClean {
		clean, noisy = noisy, clean
	}
	return func(t float64) float64 { return (1-t)*clean(t) + t*noisy(t) }
}

// Sigmoid is the schedule alpha_bar(t) = (s(end/tau) - s(x/tau)) / (s(end/tau) - s(start/tau)) with the logistic function s
// and x = start + t(end-start); start -3, end 3 and tau 1 in the paper (Jabri et al. 2022, arXiv 2212.11972; Chen 2023, arXiv
// 2301.10972, algorithm 1). alpha_bar ends at 1e-9 as there. It panics unless start < end and tau > 0.
func Sigmoid(start, end, tau float64) LogSNR {
	if !(start < end && tau > 0) {
		panic(fmt.Sprintf("schedule: Sigmoid: start %v, end %v, tau %v", start, end, tau))
	}
	a, b := start/(2*tau), end/(2*tau)
	// s(p) - s(q) = sinh((p-q)/2) / (2 cosh(p/2) cosh(q/2)) does not cancel; cosh of x falls out of the quotient.
	offset := math.Log(math.Cosh(a)) - math.Log(math.Cosh(b))
	return func(t float64) float64 {
		return floorLogSNR(math.Log(math.Sinh((1-t)*(b-a))) - math.Log(math.Sinh(t*(b-a))) + offset)
	}
}

// CosineGamma is the schedule alpha_bar(t) = (c(end) - c(x)) / (c(end) - c(start)) with c(x) = cos(pi x/2)^(2 tau) and x = start +
// t(end-start) (Chen 2023, arXiv 2301.10972, algorithm 1; start 0.2, end 1, tau 1 there). alpha_bar ends at 1e-9 as there. It
// panics unless 0 <= start < end <= 1 and tau > 0.
func CosineGamma(start, end, tau float64) LogSNR {
	if !(0 <= start && start < end && end <= 1 && tau > 0) {
		panic(fmt.Sprintf("schedule: CosineGamma: start %v, end %v, tau %v", start, end, tau))
	}
	c := func(x float64) float64 { return math.Pow(math.Abs(math.Cos(math.Pi/2*x)), 2*tau) }
	first, last := c(start), c(end)
	return func(t float64) float64 {
		v := c(start + t*(end-start))
		return floorLogSNR(math.Log(v-last) - math.Log(first-v))
	}
}

// floorLogSNR keeps alpha_bar at 1e-9 or more. A NaN is a difference that rounding made negative at the noisy end.
func floorLogSNR(l float64) float64 {
	if floor := math.Log(1e-9) - math.Log1p(-1e-9); !(l >= floor) {
		return floor
	}
	return l
}

// Laplace is the schedule whose logSNR has a Laplace density of mean mu and scale b when t is uniform: mu - b·sign(1/2-t)·
// ln(1-2|t-1/2|) (Hang et al. 2024, arXiv 2407.03297; mu 0, b 0.5 there). Its ends are infinite. It panics unless b > 0.
func Laplace(mu, b float64) LogSNR {
	if !(b > 0) {
		panic(fmt.Sprintf("schedule: Laplace: scale %v must be positive", b))
	}
	return func(t float64) float64 {
		if t < 0.5 {
			return mu - b*math.Log(2*t)
		}
		return mu + b*math.Log(2*(1-t))
	}
}

// Flow is the schedule of straight paths (1-t)·y + t·n, whose noise level is sigma = t/(1-t), with its times moved to t' =
// shift·t/(1+(shift-1)t) for larger pictures (Esser et al. 2024, arXiv 2403.03206, eq. 23). That multiplies sigma by shift. It
// panics unless shift > 0.
func Flow(shift float64) LogSNR {
	if !(shift > 0) {
		panic(fmt.Sprintf("schedule: Flow: shift %v must be positive", shift))
	}
	return func(t float64) float64 { return 2 * (math.Log1p(-t) - math.Log(t) - math.Log(shift)) }
}

// FlowShift moves a time of straight paths, shift·t/(1+(shift-1)t) (arXiv 2403.03206, eq. 23).
func FlowShift(t, shift float64) float64 { return shift * t / (1 + (shift-1)*t) }

// FlowMatchTimes returns the n times that diffusers' FlowMatchEulerDiscreteScheduler visits, and a final 0: evenly spaced
// from 1 down to the shifted 1/T and then shifted once more, so that the shift acts twice. n = 1 gives [1, 0]. It panics unless n and T
// are at least 1 and shift > 0.
func FlowMatchTimes(n int, shift float64, T int) []float64 {
	if n < 1 || T < 1 || !(shift > 0) {
		panic(fmt.Sprintf("schedule: FlowMatchTimes: %d steps, shift %v, %d timesteps", n, shift, T))
	}
	last := FlowShift(1/float64(T), shift)
	return spaced(n, FlowShift(last, shift), 1, func(u float64) float64 { return FlowShift(1+u*(last-1), shift) })
}
