package main

import (
	"bufio"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/sampler"
)

// solverFlags are the flags of the solvers' options, by the options' names in JSON.
var solverFlags = map[string]string{
	"eta": "eta", "churn": "s-churn", "churn_min": "s-min", "churn_max": "s-max", "noise_scale": "s-noise",
	"order": "order", "variant": "variant", "r": "r", "scale_dir": "scale-dir", "scale_time": "scale-time",
	"final": "final", "corrector": "corrector", "uncorrected": "uncorrected", "clip": "clip", "clip_noise": "clip-noise", "restart": "restart",
	"rtol": "rtol", "atol": "atol", "h_init": "h-init", "pcoeff": "pcoeff", "icoeff": "icoeff", "dcoeff": "dcoeff",
}

// lookupSampler is sampler.Lookup with a hint for slips.
func lookupSampler(name string) (sampler.Info, error) {
	info, err := sampler.Lookup(name)
	if err == nil {
		return info, nil
	}
	var names []string
	for _, i := range sampler.All() {
		names = append(append(names, i.Name), i.Aliases...)
	}
	return info, hintNearest(usageError{err}, name, names)
}

// flagsOf lists the flags that have an effect on a solver.
func flagsOf(i sampler.Info) []string {
	flags := []string{}
	for _, name := range i.Effects() {
		flags = append(flags, solverFlags[name])
	}
	if i.UsesEta {
		flags = append(flags, "step-noise")
	}
	if i.Adaptive {
		flags = append(flags, "share-steps")
	}
	return flags
}

// drawsNoise says whether a solver adds noise unless told otherwise; restart does, by the interval that we give it.
func drawsNoise(i sampler.Info) bool { return i.Stochastic || slices.Contains(flagsOf(i), "restart") }

// usersOf lists the samplers that a solver flag has an effect on.
func usersOf(flag string) string {
	var names []string
	for _, i := range sampler.All() {
		if slices.Contains(flagsOf(i), flag) {
			names = append(names, i.Name)
		}
	}
	return strings.Join(names, ", ")
}

// stepNoises are the values of --step-noise.
var stepNoises = []string{"white\tindependent draws", "brownian\tone path per picture, so that pictures converge as steps grow"}

// finals are the values of --final.
var finals = []string{
	sampler.FinalFull + "\tnever lowered", sampler.FinalLower + "\tno higher than the steps left",
	sampler.FinalFew + "\tthe same in runs of fewer than 15 steps", sampler.FinalEuler + "\torder 1 in the last step",
}

// bindSolver adds the flags of the solvers' options.
func (o *sampleOptions) bindSolver(c *cobra.Command) {
	f, s := c.Flags(), &o.solver
	f.Float64Var(&s.Eta, "eta", 0, "share of fresh noise in every step (default: the sampler's)")
	f.Float64Var(&s.Churn, "s-churn", 0, "EDM's S_churn: noise added and removed again over the run")
	f.Float64Var(&s.ChurnMin, "s-min", s.ChurnMin, "churn (sa-solver: noise) only at noise levels from here")
	f.Float64Var(&s.ChurnMax, "s-max", math.Inf(1), "churn (sa-solver: noise) only at noise levels up to here")
	f.Float64Var(&s.NoiseScale, "s-noise", s.NoiseScale, "factor on all fresh noise")
	f.IntVar(&s.Order, "order", 0, "order of a solver that comes in several (default: the sampler's)")
	f.StringVar(&s.Variant, "variant", "", "form of a solver that comes in several (default: the sampler's)")
	f.Float64SliceVar(&s.R, "r", nil, "`LIST` of places in the step, 0 to 1 in ln sigma, of the second evaluation: one number or one a step (default 0.5)")
	f.Float64SliceVar(&s.ScaleDir, "scale-dir", nil, "`LIST` of factors on the second half of a step of AMED: one number or one a step (default 1)")
	f.Float64SliceVar(&s.ScaleTime, "scale-time", nil, "`LIST` of factors on the noise level that the network is told in the middle of a step of AMED (default 1)")
	for _, list := range []string{"r", "scale-dir", "scale-time"} {
		f.Lookup(list).DefValue = "" // pflag would show an empty list beside the default that the text names
	}
	f.StringVar(&s.Final, "final", "", "order of multistep solvers towards the end: "+strings.Join(plainNames(finals), ", ")+" (default: the sampler's)")
	f.IntVar(&s.Corrector, "corrector", 0, "order of sa-solver's corrector (default: that of the predictor)")
	f.IntVar(&s.Uncorrected, "uncorrected", 0, "steps at the start that a corrector leaves alone")
	f.Float64Var(&s.Clip, "clip", 0, "limit of the denoised picture, as diffusers' clip_sample (1 there)")
	f.BoolVar(&s.ClipNoise, "clip-noise", false, "compute ddim's noise from the limited picture (use_clipped_model_output)")
	f.StringVar(&o.restart, "restart", "", "`LIST` of restart's intervals LEVELS,REPEATS,LOW,HIGH, separated by semicolons (default 3,2,0.06,0.3)")
	f.BoolVar(&o.afs, "afs", false, "analytic first step: take the first slope from the noise alone and save an evaluation")
	f.BoolVar(&o.toZero, "denoise-to-zero", false, "end the solver at the last level above 0 and denoise there, as diff-sampler's option")
	f.Float64Var(&s.Adaptive.Relative, "rtol", s.Adaptive.Relative, "allowed error of a step of an adaptive solver, relative to the state")
	f.Float64Var(&s.Adaptive.Absolute, "atol", s.Adaptive.Absolute, "allowed error of a step of an adaptive solver where --rtol allows less")
	f.Float64Var(&s.Adaptive.First, "h-init", s.Adaptive.First, "first step of an adaptive solver in ln sigma")
	f.Float64Var(&s.Adaptive.P, "pcoeff", s.Adaptive.P, "proportional part of an adaptive solver's step size controller")
	f.Float64Var(&s.Adaptive.I, "icoeff", s.Adaptive.I, "integral part of an adaptive solver's step size controller")
	f.Float64Var(&s.Adaptive.D, "dcoeff", s.Adaptive.D, "derivative part of an adaptive solver's step size controller")
	f.BoolVar(&o.shareSteps, "share-steps", false, "an adaptive solver chooses steps for a whole batch, so that pictures depend on their neighbours")
	f.BoolVar(&o.like, "like-diffusers", false, "step as the scheduler of diffusers that the model came with, whose ways docs/schedules.md lists (default: true for such models with their own solver)")
	f.StringVar(&o.stepNoise, "step-noise", "", "noise of stochastic steps: "+strings.Join(plainNames(stepNoises), ", ")+" (default: the sampler's)")
	c.RegisterFlagCompletionFunc("step-noise", completeWith(stepNoises))
	c.RegisterFlagCompletionFunc("final", completeWith(finals))
}

// planOptions takes the solver options that were given and refuses those that p.sampler does not have.
func (o *sampleOptions) planOptions(p *samplePlan) error {
	have := flagsOf(p.sampler)
	for _, flag := range append(sortedFlags(), "step-noise", "share-steps") {
		if o.given(flag) && !slices.Contains(have, flag) {
			err := usagef("--%s has no effect with --sampler %s", flag, p.sampler.Name)
			return withHint(err, "samplers that use it: %s", usersOf(flag))
		}
	}
	eta := p.sampler.Eta
	if o.given("eta") {
		eta = o.solver.Eta
	}
	p.options = o.solver
	p.options.Eta = eta
	// An upper limit of infinity is what people type for "no limit".
	p.options.ChurnMax = math.Min(o.solver.ChurnMax, math.MaxFloat64)
	var err error
	if p.options.Restart, err = parseRestart(o.restart); err != nil {
		return usagef("--restart: %w", err)
	}
	if p.options.Restart == nil && slices.Contains(have, "restart") {
		p.options.Restart = sampler.DefaultRestart()
	}
	if err := p.sampler.Check(p.options); err != nil {
		return usageError{err}
	}
	if n := len(p.options.R); n > 1 && n != p.steps() {
		return usagef("--r has %d numbers for %d steps", n, p.steps())
	}
	if err := p.options.ValidateFor(p.sigmas); err != nil {
		return usageError{err}
	}
	if err := o.planEnds(p); err != nil {
		return err
	}
	p.brownian = p.sampler.Brownian
	if o.given("step-noise") {
		if !slices.Contains(plainNames(stepNoises), o.stepNoise) {
			return unknownName("step noise", o.stepNoise, plainNames(stepNoises))
		}
		p.brownian = o.stepNoise == "brownian"
	}
	p.shareSteps = o.shareSteps
	if p.sampler.Adaptive && !p.shareSteps {
		p.batch = 1
	}
	return nil
}

// planEnds takes the choices for the first and the last evaluation.
func (o *sampleOptions) planEnds(p *samplePlan) error {
	p.afs, p.toZero = o.afs, o.toZero
	last := p.sigmas[len(p.sigmas)-1]
	switch {
	case o.afs && p.options.Churn > 0:
		return usagef("--afs and --s-churn contradict each other: churn leaves the noise level that --afs is for")
	case o.toZero && last > 0:
		return usagef("--denoise-to-zero has no effect on noise levels that end at %g", last)
	case o.toZero && p.sampler.OwnLevels:
		return usagef("--denoise-to-zero has no effect with --sampler %s, which does so by itself", p.sampler.Name)
	}
	return nil
}

// sortedFlags lists the values of solverFlags.
func sortedFlags() []string {
	var flags []string
	for _, f := range solverFlags {
		flags = append(flags, f)
	}
	slices.Sort(flags)
	return flags
}

// samplerRow is one row of --list-samplers.
type samplerRow struct {
	Name       string   `json:"name"`
	Aliases    []string `json:"aliases"`
	Order      int      `json:"order"` // of convergence
	Orders     []int    `json:"orders,omitempty"`
	Variants   []string `json:"variants,omitempty"`
	NFE        int      `json:"nfe_per_step,omitempty"` // absent: by tolerance
	Stochastic bool     `json:"stochastic"`
	Flags      []string `json:"flags"`
	About      string   `json:"about"`
	Source     string   `json:"source"`
}

// listSamplers is --list-samplers.
func listSamplers(u *ui) error {
	var rows []samplerRow
	for _, i := range sampler.All() {
		r := samplerRow{Name: i.Name, Aliases: append([]string{}, i.Aliases...), Order: i.ConvergenceOrder(i.Options()), Variants: i.Variants,
			Stochastic: drawsNoise(i), Flags: flagsOf(i), About: i.About, Source: i.Source}
		for p := max(1, i.MinOrder); p <= i.MaxOrder; p++ {
			r.Orders = append(r.Orders, p)
		}
		if i.NFE != nil {
			r.NFE = i.NFE(1001) - i.NFE(1000)
		}
		rows = append(rows, r)
	}
	if u.json {
		return u.result(rows)
	}
	w := bufio.NewWriter(u.stdout)
	line := func(cells ...any) { fmt.Fprintf(w, "%-19s %-5v  %-12v  %-10s  %s\n", cells...) }
	line("name", "order", "NFE/step", "stochastic", "what it is")
	for _, r := range rows {
		nfe, stochastic := "by tolerance", "no"
		if r.NFE > 0 {
			nfe = fmt.Sprint(r.NFE)
		}
		if r.Stochastic {
			stochastic = "yes"
		}
		line(r.Name, r.Order, nfe, stochastic, r.About)
		if o := r.options(); o != "" {
			fmt.Fprintf(w, "    options: %s\n", o)
		}
		if len(r.Aliases) > 0 {
			fmt.Fprintf(w, "    also called: %s\n", strings.Join(r.Aliases, ", "))
		}
	}
	return w.Flush()
}

// options writes the flags with the values that can be chosen.
func (r samplerRow) options() string {
	var parts []string
	for _, f := range r.Flags {
		switch f {
		case "order":
			f += fmt.Sprintf("=%d-%d", r.Orders[0], r.Orders[len(r.Orders)-1])
		case "variant":
			f += "=" + strings.Join(r.Variants, "|")
		}
		parts = append(parts, f)
	}
	return strings.Join(parts, " ")
}
