package main

import (
	"math"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/sampler"
	"diffuse/schedule"
)

// gridOptions choose the noise levels of a run. They are shared by the commands that sample and the one that prints.
type gridOptions struct {
	schedule           string
	steps              int
	sigmaMin, sigmaMax float64
	rho                float64
	list               string // --sigmas: the levels themselves
}

// defaultGrid is EDM's: 18 levels on the Karras curve from 80 to 0.002.
func defaultGrid() gridOptions {
	return gridOptions{schedule: schedule.Names()[0][0], steps: 18, sigmaMin: 0.002, sigmaMax: 80, rho: 7}
}

// bind adds the flags that describe a grid by its range.
func (g *gridOptions) bind(f *pflag.FlagSet) {
	f.IntVar(&g.steps, "steps", g.steps, "solver steps")
	f.Float64Var(&g.sigmaMin, "sigma-min", g.sigmaMin, "lowest noise level above 0")
	f.Float64Var(&g.sigmaMax, "sigma-max", g.sigmaMax, "highest noise level, where sampling starts")
	f.Float64Var(&g.rho, "rho", g.rho, "exponent of the karras schedule")
}

// maxSteps bounds a grid, so that a slip of the finger is a message and not a day's work.
const maxSteps = 100_000

// sigmas returns the noise levels, kept within what the network supports and rounded to what it was trained on.
func (g gridOptions) sigmas(p schedule.Precond) ([]float64, error) {
	if g.list != "" {
		sigmas, err := parseSigmas(g.list)
		if err != nil {
			return nil, usagef("--sigmas: %w", err)
		}
		if g.steps = len(sigmas) - 1; g.steps > maxSteps {
			return nil, usagef("--sigmas has %d levels; at most %d make sense", len(sigmas), maxSteps)
		}
		sigmas = p.RoundAll(sigmas)
		if err := sampler.Validate(sigmas); err != nil {
			return nil, usagef("--sigmas, rounded to the levels that the network knows: %w", err)
		}
		return sigmas, nil
	}
	if g.steps < 1 || g.steps > maxSteps {
		return nil, usagef("--steps is %d, want 1 to %d", g.steps, maxSteps)
	}
	if !(g.sigmaMin >= 0) || !(g.sigmaMax > g.sigmaMin) || math.IsInf(g.sigmaMax, 0) {
		return nil, usagef("--sigma-min is %g and --sigma-max %g: want 0 < min < max", g.sigmaMin, g.sigmaMax)
	}
	build, err := schedule.Parse(g.schedule)
	if err != nil {
		return nil, usageError{err}
	}
	lo, hi := p.Limit(g.sigmaMin, g.sigmaMax)
	sigmas, err := build(g.steps, lo, hi, g.rho)
	if err != nil {
		return nil, usageError{err} // it begins with the schedule's name
	}
	sigmas = p.RoundAll(sigmas)
	if err := sampler.Validate(sigmas); err != nil {
		return nil, usagef("schedule %s with %d steps: %w (fewer steps may help)", g.schedule, g.steps, err)
	}
	return sigmas, nil
}

// scheduleNames lists what --schedule completes to.
func scheduleNames() []string {
	var names []string
	for _, n := range schedule.Names() {
		names = append(names, n[0]+"\t"+n[1])
	}
	return names
}

// completeWith offers a fixed list in shell completion, for arguments and flags alike.
func completeWith(names []string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
