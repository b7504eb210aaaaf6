package schedule

import (
	"fmt"
	"math"
)

// LinearBetas returns T variances of the steps of a discrete diffusion, evenly spaced from start to end (DDPM, Ho et al. 2020,
// arXiv 2006.11239: T 1000, 1e-4 to 0.02). Step t multiplies the picture by sqrt(1-beta_t) and adds noise of variance beta_t. It
// panics unless T >= 1.
func LinearBetas(T int, start, end float64) []float64 {
	return betas(T, func(u float64) float64 { return start + u*(end-start) })
}

// ScaledLinearBetas returns T variances whose square roots are evenly spaced (latent diffusion, Rombach et al. 2022, arXiv
// 2112.10752: T 1000, 0.00085 to 0.012). It panics unless T >= 1.
func ScaledLinearBetas(T int, start, end float64) []float64 {
	a, b := math.Sqrt(start), math.Sqrt(end)
	return betas(T, func(u float64) float64 { r := a + u*(b-a); return r * r })
}

// SigmoidBetas returns T variances that rise from start to end like the logistic function between -6 and 6 (GeoDiff, Xu et
// al. 2022, arXiv 2203.02923; what diffusers calls "sigmoid"). It panics unless T >= 1.
func SigmoidBetas(T int, start, end float64) []float64 {
	return betas(T, func(u float64) float64 { return start + (end-start)/(1+math.Exp(6-12*u)) })
}

func betas(T int, f func(u float64) float64) []float64 {
	if T < 1 {
		panic(fmt.Sprintf("schedule: a table of %d timesteps", T))
	}
	b := make([]float64, T)
	for t := range b {
		b[t] = f(float64(t) / math.Max(1, float64(T-1)))
	}
	return b
}

// maxBeta is improved DDPM's bound on a variance, which keeps the last one below 1.
const maxBeta = 0.999

// BetasOf returns the T variances 1 - alphaBar((t+1)/T)/alphaBar(t/T), at most 0.999 and at least 0, of a schedule in time from 0
// (clean) to 1 (improved DDPM, Nichol and Dhariwal 2021, arXiv 2102.09672). It panics unless T >= 1.
func BetasOf(alphaBar func(t float64) float64, T int) []float64 {
	b := make([]float64, T)
	before := alphaBar(0)
	for t := range b {
		after := alphaBar(float64(t+1) / float64(T))
		b[t] = math.Min(math.Max(1-after/before, 0), maxBeta)
		before = after
	}
	return b
}

// SquaredCosine is improved DDPM's alpha_bar(t) = cos²((t+0.008)/1.008·pi/2), up to a factor that [BetasOf] has no use for
// (arXiv 2102.09672, eq. 17; "squaredcos_cap_v2" of diffusers).
func SquaredCosine(t float64) float64 {
	c := math.Cos((t + 0.008) / 1.008 * math.Pi / 2)
	return c * c
}

// laplaceDiffusers is what diffusers takes for the alpha_bar of a Laplace schedule: the square root of it.
func laplaceDiffusers(t float64) float64 {
	half := math.Copysign(0.5, 0.5-t)
	snr := math.Exp(-half * math.Log(1-2*math.Abs(0.5-t)+1e-6))
	return math.Sqrt(snr / (1 + snr))
}

// RescaleZeroSNR moves and stretches sqrt(alpha_bar) so that the first stays and the last becomes 0, and returns the new
// variances; the last is 1 (Lin et al. 2023, arXiv 2305.08891, algorithm 1). betas is left alone.
func RescaleZeroSNR(betas []float64) []float64 { return rescaleZeroSNR(betas, exactly) }

// rescaleZeroSNR is RescaleZeroSNR with every result rounded.
func rescaleZeroSNR(betas []float64, round func(float64) float64) []float64 {
	root := make([]float64, len(betas))
	product := 1.0
	for t, b := range betas {
		product *= round(1 - round(b))
		root[t] = round(math.Sqrt(round(product)))
	}
	first, last := root[0], root[len(root)-1]
	factor := round(first / round(first-last))
	r := make([]float64, len(betas))
	before := 1.0
	for t, v := range root {
		after := round(round(v-last) * factor)
		after = round(after * after)
		r[t] = round(1 - round(after/before))
		before = after
	}
	return r
}

// exactly and single are the two ways to round in a table.
func exactly(v float64) float64 { return v }
func single(v float64) float64  { return float64(float32(v)) }
