package schedule

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// epsilonS is the smallest time of EDM's VP step grid (EDM table 1, epsilon_s).
const epsilonS = 1e-3

// Discretization is one of the step grids that EDM compares (EDM table 1, row "time steps"): a [Grid] and the
// range of noise levels that it has unless the user or the network asks for another. The grid gives noise levels;
// a solver over a [Curve] steps between the times of these levels.
type Discretization struct {
	Name               string  // "vp", "ve", "iddpm" or "edm"
	SigmaMin, SigmaMax float64 // the usual range; narrow it by [Precond.Limit]
	Grid               Grid    // n levels and a final 0; only "edm" uses rho
}

// Discretizations returns EDM's four step grids: "vp" is [VPSteps], "ve" is [Exponential] (even in the logarithm
// of t = sigma²), "iddpm" is [IDDPMSteps] with the released constants C_1 0.001, C_2 0.008, M 1000, and "edm" is [Karras].
func Discretizations() []Discretization {
	vp := VPCurve(19.9, 0.1)
	return []Discretization{
		{"vp", vp.Sigma(epsilonS), vp.Sigma(1), ranged("vp", func(n int, min, max float64) []float64 {
			return VPSteps(n, min, max, epsilonS)
		})},
		{"ve", 0.02, 100, ranged("ve", Exponential)},
		{"iddpm", 0.002, 81, func(n int, min, max, _ float64) ([]float64, error) {
			return IDDPMSteps(n, min, max, 0.001, 0.008, 1000)
		}},
		{"edm", 0.002, 80, karrasGrid("edm", 0)},
	}
}

// DiscretizationByName finds one of [Discretizations]. An unknown name is an error that lists the valid ones.
func DiscretizationByName(name string) (Discretization, error) {
	var names []string
	for _, d := range Discretizations() {
		if d.Name == name {
			return d, nil
		}
		names = append(names, d.Name)
	}
	return Discretization{}, fmt.Errorf("schedule: unknown discretization %q; valid names: %s", name, strings.Join(names, ", "))
}

// VPSteps is [TimeUniform] with rho 1 (EDM table 1, column VP).
func VPSteps(n int, min, max, epsilonS float64) []float64 {
	return TimeUniform(n, min, max, epsilonS, 1)
}

// TimeUniform returns n+1 noise levels: the n that the VP diffusion has at times evenly spaced in t^(1/rho) from 1 down to
// epsilonS, its constants fitted so that the first is max and the last positive one min ([VPBetas]), then 0 (diff-sampler's
// time_uniform, without the 0). n = 1 gives [max, 0]. It panics on the arguments that [Karras] panics on, and unless
// 0 < epsilonS < 1.
func TimeUniform(n int, min, max, epsilonS, rho float64) []float64 {
	check("TimeUniform", n, min, max)
	if !(epsilonS > 0 && epsilonS < 1) {
		panic(fmt.Sprintf("schedule: TimeUniform: epsilon_s %v must lie between 0 and 1", epsilonS))
	}
	if !(rho > 0) || math.IsInf(rho, 0) {
		panic(fmt.Sprintf("schedule: TimeUniform: rho %v must be positive and finite", rho))
	}
	c, last := VPCurve(VPBetas(min, max, epsilonS)), math.Pow(epsilonS, 1/rho)
	return spaced(n, min, max, func(u float64) float64 { return c.Sigma(math.Pow(1+u*(last-1), rho)) })
}

// IDDPMSteps returns n+1 noise levels: n taken evenly by index, both ends included, from those of improved DDPM's
// M levels that lie between min and max, then 0 (EDM table 1, column iDDPM). The levels follow the recursion of
// [IDDPMLevels] in float64, as EDM's sampler computes them; use [Precond.RoundAll] to move them onto a network's float32
// table. An index half-way between two is rounded to the even one, as the reference does (the paper rounds
// up). Fewer than n levels in the range, or n < 1, are errors.
func IDDPMSteps(n int, min, max, c1, c2 float64, M int) ([]float64, error) {
	if err := checkRange(n, min, max); err != nil {
		return nil, fmt.Errorf("schedule iddpm: %w", err)
	}
	bar := func(j int) float64 {
		v := math.Sin(0.5 * math.Pi * float64(j) / float64(M) / (c2 + 1))
		return v * v
	}
	var in []float64 // levels in the range, rising
	u := 0.0
	for j := M; j > 0; j-- {
		u = math.Sqrt((u*u+1)/math.Max(bar(j-1)/bar(j), c1) - 1)
		if u >= min && u <= max {
			in = append(in, u)
		}
	}
	if len(in) < n {
		return nil, fmt.Errorf("schedule iddpm: %d steps, but only %d of its %d noise levels lie between %v and %v", n, len(in), M, min, max)
	}
	slices.Reverse(in)
	s := make([]float64, n+1)
	s[0] = in[0]
	for i := 1; i < n; i++ {
		s[i] = in[int(math.RoundToEven(float64(len(in)-1)/float64(n-1)*float64(i)))]
	}
	return s, nil
}
