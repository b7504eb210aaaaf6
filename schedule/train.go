package schedule

import "math"

// LogNormal turns a standard normal draw into a training noise level, exp(pMean + pStd*normal) (EDM table 1;
// pMean -1.2 and pStd 1.2 for images).
func LogNormal(pMean, pStd, normal float64) float64 { return math.Exp(pMean + pStd*normal) }

// EDMWeight is EDM's weight on the squared error of the denoised image at noise level sigma,
// (sigma² + sd²)/(sigma·sd)², which makes the error of the raw network output weigh 1 at every level (EDM
// table 1, lambda(sigma)).
func EDMWeight(sigma, sigmaData float64) float64 {
	p := sigma * sigmaData
	return (sigma*sigma + sigmaData*sigmaData) / (p * p)
}
