package schedule

import (
	"fmt"
	"math"
)

// Curve is a noise schedule in time, for solvers that step in a time other than sigma: a state at time t is
// s(t)·(y + sigma(t)·n) (EDM eq. 4 and table 1, rows "schedule" and "scaling"). Time is unitless, 0 is the clean
// end, sigma(0) = 0, s(0) = 1, and sigma rises. The fields are those of sampler.Curve, so that
// sampler.Curve(c) converts one.
type Curve struct {
	Sigma      func(t float64) float64     // sigma(t), the noise level of x = y + sigma·n
	SigmaDeriv func(t float64) float64     // dsigma/dt, for t > 0
	SigmaInv   func(sigma float64) float64 // the time at which the level is sigma, for sigma > 0
	Scale      func(t float64) float64     // s(t); nil stands for 1
	ScaleDeriv func(t float64) float64     // ds/dt, for t > 0; nil stands for 0
}

// LinearCurve is EDM's own choice, sigma(t) = t and s(t) = 1 (EDM table 1, last column).
func LinearCurve() Curve {
	same := func(v float64) float64 { return v }
	return Curve{Sigma: same, SigmaDeriv: func(float64) float64 { return 1 }, SigmaInv: same}
}

// VECurve is the variance exploding diffusion, sigma(t) = sqrt(t) and s(t) = 1 (EDM table 1, column VE).
func VECurve() Curve {
	return Curve{
		Sigma:      math.Sqrt,
		SigmaDeriv: func(t float64) float64 { return 0.5 / math.Sqrt(t) },
		SigmaInv:   func(sigma float64) float64 { return sigma * sigma },
	}
}

// VPCurve is the noise level of the variance preserving diffusion, sigma(t) = sqrt(exp(betaD·t²/2 + betaMin·t) - 1)
// for t in [0, 1] (EDM table 1, column VP), with s(t) = 1; [Curve.VariancePreserving] adds its scaling. 19.9
// and 0.1 are the constants of the released models. betaMin may be slightly negative, as [VPBetas] finds it for a tiny
// smallest level; the curve then rises from t = -betaMin/betaD on only.
func VPCurve(betaD, betaMin float64) Curve {
	sigma := func(t float64) float64 { return math.Sqrt(math.Expm1(t * (betaD*t/2 + betaMin))) }
	return Curve{
		Sigma: sigma,
		SigmaDeriv: func(t float64) float64 {
			v := sigma(t)
			return (betaMin + betaD*t) * (v + 1/v) / 2
		},
		SigmaInv: func(sigma float64) float64 {
			l := math.Log1p(sigma * sigma)
			root := math.Sqrt(betaMin*betaMin + 2*betaD*l)
			if betaMin > 0 { // the same root without its cancellation
				return 2 * l / (root + betaMin)
			}
			return (root - betaMin) / betaD
		},
	}
}

// VariancePreserving returns c with the scaling s(t) = 1/sqrt(1 + sigma(t)²), which keeps the state's variance at
// that of data of unit variance (EDM table 1, column VP). Its derivative is -sigma·sigma'·s³.
func (c Curve) VariancePreserving() Curve {
	sigma, deriv := c.Sigma, c.SigmaDeriv
	s := func(t float64) float64 { v := sigma(t); return 1 / math.Sqrt(1+v*v) }
	c.Scale = s
	c.ScaleDeriv = func(t float64) float64 { r := s(t); return -sigma(t) * deriv(t) * r * r * r }
	return c
}

// VPBetas returns the constants with which [VPCurve] reaches sigmaMax at t = 1 and sigmaMin at t = epsilonS (1e-3
// in EDM). With L = ln(1+sigma²), betaD = 2(L_min/epsilonS - L_max)/(epsilonS - 1) and betaMin = L_max - betaD/2.
func VPBetas(sigmaMin, sigmaMax, epsilonS float64) (betaD, betaMin float64) {
	lo, hi := math.Log1p(sigmaMin*sigmaMin), math.Log1p(sigmaMax*sigmaMax)
	betaD = 2 * (lo/epsilonS - hi) / (epsilonS - 1)
	return betaD, hi - betaD/2
}

// CurveByName returns the curve that EDM's generator calls by a schedule, "vp", "ve" or "linear", and a scaling,
// "vp" or "none". The constants of "vp" are fitted to the range of noise levels in use ([VPBetas] with epsilon_s
// 1e-3), which the other schedules ignore. Unknown names are errors that list the valid ones.
func CurveByName(schedule, scaling string, sigmaMin, sigmaMax float64) (Curve, error) {
	var c Curve
	switch schedule {
	case "vp":
		if err := checkRange(2, sigmaMin, sigmaMax); err != nil {
			return Curve{}, fmt.Errorf("schedule: curve vp: %w", err)
		}
		c = VPCurve(VPBetas(sigmaMin, sigmaMax, epsilonS))
	case "ve":
		c = VECurve()
	case "linear":
		c = LinearCurve()
	default:
		return Curve{}, fmt.Errorf("schedule: unknown curve %q; valid names: vp, ve, linear", schedule)
	}
	switch scaling {
	case "vp":
		return c.VariancePreserving(), nil
	case "none":
		return c, nil
	}
	return Curve{}, fmt.Errorf("schedule: unknown scaling %q; valid names: vp, none", scaling)
}
