package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/sampler"
	"diffuse/schedule"
)

// gridOptions choose the noise levels of a run. They are shared by the commands that sample and the one that prints.
type gridOptions struct {
	schedule           string
	size               float64 // of the pictures, by which a schedule may be shifted; 0 = unknown
	steps              int
	sigmaMin, sigmaMax float64
	minGiven, maxGiven bool // an end that the user gave beats the schedule's own, any other gives way to it
	rho                float64
	list               string // --sigmas: the levels themselves
	timesteps          string // --timesteps: places in the schedule's table
	few                bool   // a student's levels, see unet.Sampling
}

// defaultGrid is EDM's: 18 levels on the Karras curve from 80 to 0.002.
func defaultGrid() gridOptions {
	return gridOptions{schedule: schedule.Names()[0][0], steps: 18, sigmaMin: 0.002, sigmaMax: 80, rho: 7}
}

// bind adds the flags that describe a grid by its range.
func (g *gridOptions) bind(f *pflag.FlagSet) {
	f.IntVar(&g.steps, "steps", g.steps, "solver steps")
	f.Float64Var(&g.sigmaMin, "sigma-min", g.sigmaMin, "lowest noise level above 0; schedules with a range of their own have their own default")
	f.Float64Var(&g.sigmaMax, "sigma-max", g.sigmaMax, "noise level where sampling starts; schedules with a range of their own have their own default")
	f.Float64Var(&g.rho, "rho", g.rho, "exponent of the karras schedule")
}

// bindLists adds the flags that take the place of a schedule or of its steps.
func (g *gridOptions) bindLists(f *pflag.FlagSet) {
	f.StringVar(&g.list, "sigmas", "", "`LIST` of falling noise levels in place of a schedule, such as 80,5,0.5,0, or @FILE of them")
	f.StringVar(&g.timesteps, "timesteps", "", "`LIST` of falling timesteps of a schedule with a table, such as 999,749,499,249, or @FILE of them")
}

// contradictions refuses flags that cannot both be meant.
func (g *gridOptions) contradictions(f *pflag.FlagSet) error {
	if err := conflicts(f, "sigmas", "steps", "schedule", "sigma-min", "sigma-max", "rho", "timesteps"); err != nil {
		return err
	}
	return conflicts(f, "timesteps", "steps", "sigma-min", "sigma-max", "rho")
}

// maxSteps bounds a grid, so that a slip of the finger is a message and not a day's work.
const maxSteps = 100_000

// sigmas returns the noise levels, kept within what the network supports and rounded to what it was trained on.
func (g gridOptions) sigmas(p schedule.Precond) ([]float64, error) {
	sigmas, _, err := g.levels(p)
	return sigmas, err
}

// levels is sigmas with the timesteps of all levels but the last, nil if the schedule has none.
func (g gridOptions) levels(p schedule.Precond) (sigmas, timesteps []float64, err error) {
	what, advice := fmt.Sprintf("schedule %s with %d steps", g.schedule, g.steps), " (fewer steps may help)"
	switch {
	case g.list != "":
		what, advice = "--sigmas, rounded to the levels that the network knows", ""
		sigmas, err = parseSigmas(g.list)
	case g.timesteps != "":
		what, advice = "--timesteps, rounded to the levels that the network knows", ""
		sigmas, timesteps, err = g.atTimesteps()
	default:
		sigmas, timesteps, err = g.build(p)
	}
	if err != nil {
		return nil, nil, err
	}
	if steps := len(sigmas) - 1; steps > maxSteps {
		return nil, nil, usagef("%d noise levels are too many; at most %d make sense", steps, maxSteps)
	}
	sigmas = p.RoundAll(sigmas)
	if err := sampler.Validate(sigmas); err != nil {
		return nil, nil, usagef("%s: %w%s", what, err, advice)
	}
	return sigmas, timesteps, nil
}

// lookup finds the schedule.
func (g gridOptions) lookup() (schedule.Schedule, error) {
	s, err := schedule.LookupAt(g.schedule, g.size)
	if err == nil {
		return s, nil
	}
	var names []string
	for _, n := range schedule.Names() {
		names = append(names, n[0])
	}
	name, _, _ := strings.Cut(g.schedule, ":")
	if !slices.Contains(names, name) {
		return s, hintNearest(usageError{err}, name, names)
	}
	return s, usageError{err}
}

// build makes the levels of a schedule.
func (g gridOptions) build(p schedule.Precond) (sigmas, timesteps []float64, err error) {
	if g.steps < 1 || g.steps > maxSteps {
		return nil, nil, usagef("--steps is %d, want 1 to %d", g.steps, maxSteps)
	}
	s, err := g.lookup()
	if err != nil {
		return nil, nil, err
	}
	lo, hi := g.sigmaMin, g.sigmaMax
	if g.few && 0 < lo && lo < hi && !math.IsInf(hi, 0) && g.rho > 0 {
		return append(schedule.Karras(g.steps+1, lo, hi, g.rho)[:g.steps], 0), nil, nil
	}
	if math.IsInf(hi, 0) {
		return nil, nil, usagef("--sigma-max is %g, want a finite number", hi)
	}
	if s.SigmaMax > 0 && !g.minGiven {
		lo = s.SigmaMin
	}
	if s.SigmaMax > 0 && !g.maxGiven {
		hi = s.SigmaMax
	}
	if !(lo >= 0) || !(hi > lo) {
		return nil, nil, usagef("--sigma-min is %g and --sigma-max %g: want 0 < min < max", lo, hi)
	}
	lo, hi = p.Limit(lo, hi)
	if d := s.Discrete; d == nil {
		sigmas, err = s.Grid(g.steps, lo, hi, g.rho)
	} else if sigmas, timesteps, err = d.Steps(g.steps, lo, hi); err != nil {
		err = fmt.Errorf("schedule %s: %w", g.schedule, err)
	}
	if err != nil {
		return nil, nil, usageError{err} // it begins with the schedule's name
	}
	return sigmas, timesteps, nil
}

// atTimesteps reads --timesteps and finds their levels.
func (g gridOptions) atTimesteps() (sigmas, timesteps []float64, err error) {
	s, err := g.lookup()
	if err != nil {
		return nil, nil, err
	}
	if s.Discrete == nil {
		return nil, nil, withHint(usagef("--timesteps: the schedule %s has no timesteps", g.schedule), "name one that has, such as linear or squaredcos")
	}
	if timesteps, err = readNumbers(g.timesteps); err == nil {
		sigmas, err = s.Discrete.At(timesteps)
	}
	if err != nil {
		return nil, nil, usagef("--timesteps: %w", err)
	}
	return sigmas, timesteps, nil
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
