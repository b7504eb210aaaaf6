package schedule

import "math"

// Weight is a weight on the squared error of the denoised picture at noise level sigma. [OnEps], [OnV] and [OnF] say what it is
// on the error of what a network predicts in its place.
type Weight func(sigma float64) float64

// EDMWeight is EDM's weight on the squared error of the denoised image at noise level sigma,
// (sigma² + sd²)/(sigma·sd)², which makes the error of the raw network output weigh 1 at every level (EDM
// table 1, lambda(sigma)).
func EDMWeight(sigma, sigmaData float64) float64 {
	p := sigma * sigmaData
	return (sigma*sigma + sigmaData*sigmaData) / (p * p)
}

// OnEps returns w as a weight on the squared error of the noise n in x = y + sigma·n.
func OnEps(w Weight) Weight { return func(sigma float64) float64 { return w(sigma) * sigma * sigma } }

// OnV returns w as a weight on the squared error of v = (n - sigma·y)/sqrt(1+sigma²) (Salimans and Ho 2022, arXiv 2202.00512).
func OnV(w Weight) Weight {
	return func(sigma float64) float64 { return w(sigma) * sigma * sigma / (1 + sigma*sigma) }
}

// OnF returns w as a weight on the squared error of the raw output of a network with EDM's preconditioning.
func OnF(w Weight, sigmaData float64) Weight {
	return func(sigma float64) float64 { return w(sigma) / EDMWeight(sigma, sigmaData) }
}

// SNRWeight is 1/sigma², the weight of a plain error of the noise (Ho et al. 2020, arXiv 2006.11239, L_simple).
func SNRWeight(sigma float64) float64 { return 1 / (sigma * sigma) }

// SNRPlusOneWeight is 1 + 1/sigma², the weight of a plain error of v (arXiv 2202.00512).
func SNRPlusOneWeight(sigma float64) float64 { return 1 + 1/(sigma*sigma) }

// TruncatedSNRWeight is max(1/sigma², 1) (arXiv 2202.00512).
func TruncatedSNRWeight(sigma float64) float64 { return math.Max(1/(sigma*sigma), 1) }

// MinSNR is min(1/sigma², gamma); gamma 5 in the paper (Hang et al. 2023, arXiv 2303.09556).
func MinSNR(gamma float64) Weight {
	return func(sigma float64) float64 { return math.Min(1/(sigma*sigma), gamma) }
}

// SoftMinSNR is 1/(sigma² + sigmaData²), a smooth minimum of 1/sigma² and 1/sigmaData² (Crowson et al. 2024, arXiv 2401.11605;
// k-diffusion's soft-min-snr).
func SoftMinSNR(sigmaData float64) Weight {
	return func(sigma float64) float64 { return 1 / (sigma*sigma + sigmaData*sigmaData) }
}

// SigmoidWeight is the weight that puts logistic(bias - logSNR) on the error of the noise: 1/(sigma² + exp(-bias)), which is
// [SoftMinSNR] by another name; bias -3 in the paper (Hoogeboom et al. 2024, arXiv 2410.19324).
func SigmoidWeight(bias float64) Weight { return SoftMinSNR(math.Exp(-bias / 2)) }
