package schedule

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// Ways to place n steps in a table of T timesteps. All are whole numbers unless Like says otherwise.
const (
	SpacingTrailing = "trailing" // the last of each of n equal parts: round(T - i·T/n) - 1, which begins at pure noise
	SpacingLeading  = "leading"  // the first of each of n parts of whole length: i·(T div n), plus StepsOffset
	SpacingLinspace = "linspace" // both ends and what lies evenly between; one step alone begins at T-1
	SpacingLCM      = "lcm"      // of the 50 trailing ones that latent consistency models are trained on, every (50/n)th
)

// Whose rules hold in the details of [Discrete].
const (
	LikeDDPM       = "ddpm"        // n timesteps (DDPM, DDIM, PNDM)
	LikeDPMSolver  = "dpm-solver"  // n+1 timesteps of which the smallest is left out (DPM-Solver, UniPC, DEIS)
	LikeEuler      = "euler"       // linspace is not rounded; levels are linear in sigma between timesteps (diffusers' Euler, Heun, LMS)
	LikeKDiffusion = "k-diffusion" // linspace is not rounded; levels are linear in ln sigma between timesteps (get_sigmas)
)

// Which levels a table's steps have.
const (
	SigmasTable       = "table"       // those of the timesteps
	SigmasKarras      = "karras"      // [Karras]
	SigmasExponential = "exponential" // [Exponential], also what diffusers calls lu_lambdas
	SigmasBeta        = "beta"        // [BetaQuantiles]
)

// What the last step leads to.
const (
	FinalZero     = "zero"      // no noise
	FinalSigmaMin = "sigma-min" // the table's lowest level
)

// lcmSteps is the number of steps of a latent consistency model's teacher (diffusers: original_inference_steps).
const lcmSteps = 50

// Discrete is a way through a [Table], in the terms of diffusers' schedulers. Empty words stand for the first of
// their lists.
type Discrete struct {
	Table       Table
	Spacing     string
	Like        string
	StepsOffset int // added to the timesteps of "leading"
	Sigmas      string
	Rho         float64 // exponent of [Karras]; 0 stands for 7
	Final       string
}

// Steps returns n+1 noise levels and the timesteps of the first n, both falling. Levels above sigmaMax or below sigmaMin are cut
// off the table before it is divided; 0 and +Inf cut nothing. A grid in place of the table's levels lies between the highest and the
// lowest one that the spacing chose, or, like "dpm-solver", of the table; timesteps are then those of [Table.Timestep], whole ones
// unless like "euler" or "k-diffusion". An infinite level stands as 4096. It is an error if the table has too few timesteps for n steps.
func (d Discrete) Steps(n int, sigmaMin, sigmaMax float64) (sigmas, timesteps []float64, err error) {
	if n < 1 {
		return nil, nil, fmt.Errorf("%d steps; at least 1 is needed", n)
	}
	table := d.Table.Sigma
	first, _ := slices.BinarySearch(table, sigmaMin)
	end, exact := slices.BinarySearch(table, sigmaMax)
	if exact {
		end++
	}
	if first >= end || !(sigmaMin <= sigmaMax) {
		return nil, nil, fmt.Errorf("the wanted noise levels %v to %v do not overlap with the table's, %.6g to %.6g",
			sigmaMin, sigmaMax, table[0], table[len(table)-1])
	}
	if timesteps, err = d.space(n, end-first); err != nil {
		return nil, nil, err
	}
	for i := range timesteps {
		timesteps[i] += float64(first)
	}
	if d.Sigmas == "" || d.Sigmas == SigmasTable {
		sigmas, err = d.At(timesteps)
		return sigmas, timesteps, err
	}
	high, low := d.level(timesteps[0]), d.level(timesteps[n-1])
	if d.Like == LikeDPMSolver {
		high, low = d.level(float64(end-1)), table[first]
	}
	if sigmas, err = d.replace(n, low, high); err != nil {
		return nil, nil, err
	}
	for i, s := range sigmas {
		if timesteps[i] = d.Table.Timestep(s); !d.fractional() {
			timesteps[i] = math.RoundToEven(timesteps[i])
		}
	}
	sigmas, err = d.finish(sigmas)
	return sigmas, timesteps, err
}

// At returns the noise levels of the given falling timesteps, which may be fractional, and the final level.
func (d Discrete) At(timesteps []float64) ([]float64, error) {
	last := len(d.Table.Sigma) - 1
	sigmas := make([]float64, len(timesteps), len(timesteps)+1)
	for i, t := range timesteps {
		if !(t >= 0 && t <= float64(last)) {
			return nil, fmt.Errorf("timestep %g lies outside the table's, 0 to %d", t, last)
		}
		if i > 0 && !(t < timesteps[i-1]) {
			return nil, fmt.Errorf("timestep %g comes after %g; they must fall", t, timesteps[i-1])
		}
		sigmas[i] = d.level(t)
	}
	if len(sigmas) == 0 {
		return nil, fmt.Errorf("no timesteps")
	}
	return d.finish(sigmas)
}

// PureNoise stands for the infinite level of a zero terminal signal-to-noise ratio: that of alpha_bar = 2^-24, as in diffusers.
var PureNoise = math.Sqrt(1<<24 - 1)

func (d Discrete) level(timestep float64) float64 {
	s := d.Table.At(timestep)
	if d.Like == LikeEuler {
		s = d.Table.atLinear(timestep)
	}
	if math.IsInf(s, 1) {
		return PureNoise
	}
	return s
}

func (d Discrete) fractional() bool { return d.Like == LikeEuler || d.Like == LikeKDiffusion }

// space returns n falling timesteps of a table of T.
func (d Discrete) space(n, T int) ([]float64, error) {
	points := n
	if d.Like == LikeDPMSolver && d.Spacing != SpacingLCM {
		points++
	}
	if d.Spacing == SpacingLinspace && d.fractional() && T > 1 {
		points = 0 // any number fits
	}
	if points > T || d.Spacing == SpacingLCM && (n > lcmSteps || T < lcmSteps) {
		return nil, fmt.Errorf("%d steps do not fit into the table: %d timesteps with spacing %s", n, T, cmp.Or(d.Spacing, SpacingTrailing))
	}
	ts := make([]float64, n)
	for i := range ts {
		switch d.Spacing {
		case SpacingLeading:
			ts[i] = float64((points-1-i)*(T/points) + d.StepsOffset)
		case SpacingLinspace:
			ts[i] = d.linspace(i, n, T)
		case SpacingLCM:
			ts[i] = float64((lcmSteps-i*lcmSteps/n)*(T/lcmSteps) - 1)
		default:
			ts[i] = math.RoundToEven(float64(T)-float64(i)*float64(T)/float64(n)) - 1
		}
	}
	return ts, nil
}

// linspace returns timestep i of n evenly spaced ones from T-1 to 0.
func (d Discrete) linspace(i, n, T int) float64 {
	intervals := n - 1
	if d.Like == LikeDPMSolver {
		intervals = n
	}
	if intervals == 0 {
		return float64(T - 1)
	}
	t := float64(intervals-i) * float64(T-1) / float64(intervals)
	if d.fractional() {
		return t
	}
	return math.RoundToEven(t)
}

// replace returns n levels of the grid d.Sigmas from high to low.
func (d Discrete) replace(n int, low, high float64) ([]float64, error) {
	if err := checkRange(n, low, high); err != nil {
		return nil, err
	}
	switch d.Sigmas {
	case SigmasKarras:
		return Karras(n, low, high, cmp.Or(d.Rho, 7))[:n], nil
	case SigmasExponential:
		return Exponential(n, low, high)[:n], nil
	case SigmasBeta:
		return BetaQuantiles(n, low, high, 0.6, 0.6)[:n], nil
	}
	return nil, fmt.Errorf("unknown grid %q over a table; valid names: karras, exponential, beta", d.Sigmas)
}

// BetaQuantiles returns n+1 noise levels: n whose places between min and max are the quantiles of a Beta(a, b) distribution at
// even probabilities from 1 to 0, then 0 (beta sampling, Lee et al. 2024, arXiv 2407.12173; diffusers takes a = b = 0.6). n = 1
// gives [max, 0]. It panics on the arguments that [Karras] panics on.
func BetaQuantiles(n int, min, max, a, b float64) []float64 {
	check("BetaQuantiles", n, min, max)
	return spaced(n, min, max, func(u float64) float64 { return min + (max-min)*mathext.InvRegIncBeta(a, b, 1-u) })
}

// finish appends the final level and sees that the levels fall.
func (d Discrete) finish(sigmas []float64) ([]float64, error) {
	final := 0.0
	if d.Final == FinalSigmaMin {
		final = d.Table.Sigma[0]
		if !(sigmas[len(sigmas)-1] > final) {
			return nil, fmt.Errorf("the last timestep has the lowest level, %.6g, already: final=sigma-min leaves no step to it", final)
		}
	}
	sigmas = append(sigmas, final)
	for i := range len(sigmas) - 1 {
		if !(sigmas[i] > sigmas[i+1]) {
			return nil, fmt.Errorf("levels %d and %d of %d are %v and %v: too many steps for the table", i, i+1, len(sigmas)-1, sigmas[i], sigmas[i+1])
		}
	}
	return sigmas, nil
}
