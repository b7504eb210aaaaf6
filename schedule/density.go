package schedule

import "math"

// Density is a distribution of noise levels to train on, as its quantile function: u uniform in [0, 1] gives a level. Unless
// its constructor says otherwise the level rises with u.
type Density func(u float64) float64

// LogNormal turns a standard normal draw into a training noise level, exp(pMean + pStd*normal) (EDM table 1;
// pMean -1.2 and pStd 1.2 for images).
func LogNormal(pMean, pStd, normal float64) float64 { return math.Exp(pMean + pStd*normal) }

// LogNormalDensity is [LogNormal] as a quantile function; u is kept within 1e-7 of its ends, where the level would be 0 or
// infinite, by shrinking it a little (k-diffusion's stratified form of EDM table 1).
func LogNormalDensity(mean, std float64) Density {
	return func(u float64) float64 { return LogNormal(mean, std, normalQuantile(u*(1-2e-7)+1e-7)) }
}

// normalQuantile inverts the distribution function of the unit normal, without cancellation in the lower tail.
func normalQuantile(p float64) float64 {
	if p < 0.5 {
		return -math.Sqrt2 * math.Erfcinv(2*p)
	}
	return math.Sqrt2 * math.Erfcinv(2*(1-p))
}

// LogLogistic is the distribution whose ln sigma is logistic with mean loc and the given scale, cut to [min, max]; min 0 and max
// +Inf cut nothing (k-diffusion).
func LogLogistic(loc, scale, min, max float64) Density {
	cdf := func(sigma float64) float64 { return 1 / (1 + math.Exp((loc-math.Log(sigma))/scale)) }
	lo, hi := cdf(min), cdf(max)
	return func(u float64) float64 {
		p := lo + u*(hi-lo)
		return math.Exp(loc + scale*(math.Log(p)-math.Log1p(-p)))
	}
}

// LogUniform is the distribution whose ln sigma is uniform between ln min and ln max (k-diffusion).
func LogUniform(min, max float64) Density {
	a, b := math.Log(min), math.Log(max)
	return func(u float64) float64 { return math.Exp(a + u*(b-a)) }
}

// VDiffusion is the distribution that a cosine schedule at uniform times has, for data of standard deviation sigmaData: the angle
// atan(sigma/sigmaData) is uniform, cut to [min, max]; min 0 and max +Inf cut nothing (Salimans and Ho 2022, arXiv 2202.00512;
// k-diffusion's v-diffusion).
func VDiffusion(sigmaData, min, max float64) Density {
	a, b := math.Atan(min/sigmaData), math.Atan(max/sigmaData)
	return func(u float64) float64 { return sigmaData * math.Tan(a+u*(b-a)) }
}

// OfSchedule is the distribution of noise levels that a logSNR schedule has at uniform times, for data of standard deviation
// sigmaData; it falls with u, u = 0 being the noisy end. With [Cosine.Interpolated], [ClipB] and [LowAtNoisy] it is k-diffusion's
// cosine-interpolated.
func OfSchedule(l LogSNR, sigmaData float64) Density {
	return func(u float64) float64 { return sigmaData * Sigma(l(1-u)) }
}

// SplitLogNormal is the distribution whose ln sigma has the mode loc, falls below it like a normal of standard deviation below
// and above it like one of standard deviation above (k-diffusion).
func SplitLogNormal(loc, below, above float64) Density {
	left := below / (below + above) // the mass under loc
	return func(u float64) float64 {
		if u < left {
			return math.Exp(loc + below*normalQuantile(u/left/2))
		}
		return math.Exp(loc - above*normalQuantile((1-u)/(1-left)/2))
	}
}
