package schedule

import (
	"fmt"
	"math"
	"strings"
)

// Scaling gives the four coefficients that wrap a network F into a denoiser at noise level sigma > 0,
// D(x; sigma) = skip*x + out*F(in*x, noise) (EDM eq. 7). The values are unitless except noise, which is the
// number handed to the network's embedding.
type Scaling func(sigma float64) (skip, out, in, noise float64)

// Precond is a named preconditioning: the coefficients, the range of noise levels the network was made for
// (SigmaMax may be +Inf), and the rounding of noise levels to those the network has seen.
type Precond struct {
	Name     string                      // such as "edm"; see PrecondByName, Consistency, Score and Trained
	Scaling  Scaling                     // never nil
	SigmaMin float64                     // smallest level the network supports, 0 if any
	SigmaMax float64                     // largest level the network supports, +Inf if any
	Round    func(sigma float64) float64 // nearest trained level; nil stands for the identity
}

// Limit returns the tighter of the wanted range [min, max] and the network's own, as EDM's sampler does before
// it builds its step grid.
func (p Precond) Limit(min, max float64) (float64, float64) {
	return math.Max(min, p.SigmaMin), math.Min(max, p.SigmaMax)
}

// RoundAll returns a copy of sigmas rounded to levels the network was trained on (EDM rounds a grid before it
// is used); without a Round function it is a plain copy. Neighbours of a fine grid may become equal.
func (p Precond) RoundAll(sigmas []float64) []float64 {
	r := append([]float64(nil), sigmas...)
	if p.Round != nil {
		for i, s := range r {
			r[i] = p.Round(s)
		}
	}
	return r
}

// EDM is the paper's own preconditioning for data of standard deviation sigmaData (0.5 for images in [-1, 1]):
// skip = sd²/(s²+sd²), out = s·sd/sqrt(s²+sd²), in = 1/sqrt(s²+sd²), noise = ln(s)/4 (EDM table 1, last column).
func EDM(sigmaData float64) Precond {
	v := sigmaData * sigmaData
	return Precond{
		Name:     "edm",
		SigmaMax: math.Inf(1),
		Scaling: func(s float64) (float64, float64, float64, float64) {
			t := s*s + v
			r := math.Sqrt(t)
			return v / t, s * sigmaData / r, 1 / r, math.Log(s) / 4
		},
	}
}

// EDMVelocity is [EDM] for a network that returns the negative: diffusers' EDM schedulers with prediction_type v_prediction.
func EDMVelocity(sigmaData float64) Precond {
	p := EDM(sigmaData)
	edm := p.Scaling
	p.Name = "edm-v"
	p.Scaling = func(s float64) (float64, float64, float64, float64) {
		skip, out, in, noise := edm(s)
		return skip, -out, in, noise
	}
	return p
}

// Consistency is the preconditioning of consistency models, whose D at sigmaMin is x itself (Song et al. 2023, arXiv 2303.01469, appendix C):
// skip = sd²/((s-sigmaMin)²+sd²), out = (s-sigmaMin)·sd/sqrt(s²+sd²), in = 1/sqrt(s²+sd²), noise = 250 ln(s). With sigmaMin 0 it is that of
// their teachers, EDM's but for the scale of the label.
func Consistency(sigmaMin, sigmaMax, sigmaData float64) Precond {
	v := sigmaData * sigmaData
	return Precond{
		Name: "consistency", SigmaMin: sigmaMin, SigmaMax: sigmaMax,
		Scaling: func(s float64) (float64, float64, float64, float64) {
			d, r := s-sigmaMin, math.Sqrt(s*s+v)
			return v / (d*d + v), d * sigmaData / r, 1 / r, 250 * math.Log(s)
		},
	}
}

// Score is the preconditioning of a network that returns the gradient of the log density of x (Song et al. 2021, arXiv 2011.13456, for
// variance exploding noise; diffusers' ScoreSdeVeScheduler): skip = 1, out = s², in = 1, noise = s, by Tweedie's formula.
func Score(sigmaMin, sigmaMax float64) Precond {
	return Precond{
		Name: "score", SigmaMin: sigmaMin, SigmaMax: sigmaMax,
		Scaling: func(s float64) (float64, float64, float64, float64) { return 1, s * s, 1, s },
	}
}

// V is the preconditioning of a network that is given the variance preserving state z = x/sqrt(1+s²) and returns
// v = (n - s·y)/sqrt(1+s²) (Salimans and Ho 2022, arXiv 2202.00512, appendix D): skip = 1/(1+s²), out = -s/sqrt(1+s²). The label is EDM's,
// ln(s)/4, an eighth of the negative logSNR.
func V() Precond { return preserving("v", vMix) }

// Eps is that of a network which returns the noise n behind z (Ho et al. 2020, arXiv 2006.11239): skip = 1, out = -s.
func Eps() Precond { return preserving("eps", epsMix) }

// X0 is that of a network which returns the picture y behind z: skip = 0, out = 1.
func X0() Precond { return preserving("x0", x0Mix) }

// preserving is the preconditioning of a network of variance preserving states at any noise level.
func preserving(name string, mix func(s float64) (skip, out float64)) Precond {
	return Precond{Name: name, SigmaMax: math.Inf(1), Scaling: func(s float64) (float64, float64, float64, float64) {
		skip, out := mix(s)
		return skip, out, 1 / math.Sqrt(s*s+1), math.Log(s) / 4
	}}
}

// What makes a denoised picture of the state and of the network's output: v, noise, or picture.
func vMix(s float64) (skip, out float64)   { return 1 / (s*s + 1), -s / math.Sqrt(s*s+1) }
func epsMix(s float64) (skip, out float64) { return 1, -s }
func x0Mix(float64) (skip, out float64)    { return 0, 1 }

// VE is the variance exploding preconditioning of NCSN++ (EDM table 1, column VE): skip = 1, out = s, in = 1,
// noise = ln(s/2), for levels 0.02 to 100.
func VE() Precond {
	return Precond{
		Name:     "ve",
		SigmaMin: 0.02,
		SigmaMax: 100,
		Scaling: func(s float64) (float64, float64, float64, float64) {
			return 1, s, 1, math.Log(0.5 * s)
		},
	}
}

// DefaultVP is the variance preserving preconditioning with the constants of all released models: beta_d 19.9,
// beta_min 0.1, M 1000, epsilon_t 1e-5.
func DefaultVP() Precond { return VP(19.9, 0.1, 1000, 1e-5) }

// VP is the variance preserving preconditioning of DDPM++ (EDM table 1, column VP): skip = 1, out = -s,
// in = 1/sqrt(s²+1), noise = (M-1)·t(s), where t inverts s(t) = sqrt(exp(betaD t²/2 + betaMin t) - 1). M only
// scales the noise label. The network was trained on t in [epsilonT, 1].
//
// The label and the limits are computed in float32, step by step, because the reference does so and its
// networks were trained on the result: ln(1+s²) loses digits at small s (label 0.4% off at s = 0.0021), and
// SigmaMin is 0.0009765625 rather than 0.0010005 for the default constants.
func VP(betaD, betaMin float64, M int, epsilonT float64) Precond {
	bd, bm := float32(betaD), float32(betaMin)
	return Precond{
		Name:     "vp",
		SigmaMin: vpSigma(betaD, betaMin, epsilonT),
		SigmaMax: vpSigma(betaD, betaMin, 1),
		Scaling: func(s float64) (float64, float64, float64, float64) {
			f := float32(s)
			l := log32(float32(1 + float32(f*f)))
			root := sqrt32(float32(float32(betaMin*betaMin) + float32(float32(2*betaD)*l)))
			t := float32(root-bm) / bd
			return 1, -s, 1 / math.Sqrt(s*s+1), float64(float32(float32(M-1) * t))
		},
	}
}

// vpSigma is s(t) of the VP process in float32.
func vpSigma(betaD, betaMin, t float64) float64 {
	f := float32(t)
	e := float32(float32(0.5*betaD)*float32(f*f)) + float32(float32(betaMin)*f)
	return float64(sqrt32(float32(exp32(e) - 1)))
}

func log32(x float32) float32  { return float32(math.Log(float64(x))) }
func exp32(x float32) float32  { return float32(math.Exp(float64(x))) }
func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }
func sin32(x float32) float32  { return float32(math.Sin(float64(x))) }

// PrecondByName returns the preconditioning called "edm", "edm-v", "v", "eps", "x0", "vp", "ve" or "iddpm" with its standard constants;
// EDM's class names ("EDMPrecond", "iDDPMPrecond", ...) are accepted in any case. sigmaData is used by "edm"
// only. An unknown name is an error that lists the valid ones.
func PrecondByName(name string, sigmaData float64) (Precond, error) {
	switch strings.TrimSuffix(strings.ToLower(name), "precond") {
	case "edm", "edm-v":
		if !(sigmaData > 0) || math.IsInf(sigmaData, 0) {
			return Precond{}, fmt.Errorf("schedule: sigma_data %v of preconditioning %q must be positive", sigmaData, name)
		}
		if strings.HasPrefix(strings.ToLower(name), "edm-v") {
			return EDMVelocity(sigmaData), nil
		}
		return EDM(sigmaData), nil
	case "v":
		return V(), nil
	case "eps":
		return Eps(), nil
	case "x0":
		return X0(), nil
	case "vp":
		return DefaultVP(), nil
	case "ve":
		return VE(), nil
	case "iddpm":
		return DefaultIDDPM(), nil
	}
	return Precond{}, fmt.Errorf("schedule: unknown preconditioning %q; valid names: edm, edm-v, v, eps, x0, vp, ve, iddpm", name)
}
