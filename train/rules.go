package train

import "math"

// LearningRate returns the rate of the step that starts after `images` images were shown: LR times a linear ramp
// images/LRRampup that ends at 1 (as in EDM the very first step therefore has rate 0), times the way down of LRDecay,
// which begins LRDecayFraction before the end, but not before the ramp has ended, and reaches 0 at Duration.
func (o Options) LearningRate(images int64) float64 {
	lr := o.LR
	if images < o.LRRampup {
		lr *= float64(images) / float64(o.LRRampup)
	}
	start, end := o.DecayStart(), o.Duration
	if o.LRDecay == DecayNone || images <= start { // always so if the ramp is longer than the run
		return lr
	}
	u := float64(images-start) / float64(end-start)
	switch {
	case u >= 1:
		return 0
	case o.LRDecay == DecayCosine:
		return lr * (1 + math.Cos(math.Pi*u)) / 2
	default:
		return lr * (1 - u)
	}
}

// DecayStart returns the count of images at which the rate begins to fall: the end of the run if it never does.
func (o Options) DecayStart() int64 {
	if o.LRDecay == DecayNone {
		return o.Duration
	}
	return min(max(int64(float64(o.Duration)*(1-o.LRDecayFraction)), o.LRRampup), o.Duration)
}

// EMABeta returns the share beta of the old average in ema = weights + beta·(ema − weights) for a step of `batch` images that
// starts after `images` images: 0.5^(batch/halfLife), where with rampup >= 0 the half-life (in images) is at most
// rampup·images, so that the average does not drag the random start along (EDM's training loop). The first step of a
// ramped average has beta 0: a copy.
func EMABeta(batch int, halfLife int64, rampup float64, images int64) float64 {
	h := float64(halfLife)
	if rampup >= 0 {
		h = min(h, rampup*float64(images))
	}
	return math.Pow(0.5, float64(batch)/max(h, 1e-8))
}
