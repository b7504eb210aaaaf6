package schedule

import "math"

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
