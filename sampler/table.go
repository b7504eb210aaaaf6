package sampler

import (
	"fmt"
	"slices"
	"strings"
)

// Info describes a solver for tables, help texts and [Lookup].
type Info struct {
	Name       string              // the name shown to users
	Aliases    []string            // what other tools call it
	Sampler    Sampler             // the solver
	Order      int                 // order of convergence on the probability flow, without added noise
	NFE        func(steps int) int // evaluations for that many steps, the last of them to 0, with [Info.Options]; nil: they depend on the picture
	Stochastic bool                // whether it draws noise with its own usual options
	Eta        float64             // the Eta its users expect when they give none
	UsesEta    bool                // whether Options.Eta has an effect
	UsesChurn  bool                // whether Options.Churn, ChurnMin and ChurnMax have an effect
	MaxOrder   int                 // orders 1 to MaxOrder exist, Order is the default; 0: Options.Order has no effect
	MinOrder   int                 // the lowest order, if that is not 1
	Variants   []string            // values of Options.Variant, the default first; nil: it has no effect
	UsesR      bool                // whether Options.R has an effect
	About      string              // one line of help
	Source     string              // the paper or program that defines it
	Extra      []string            // further options that have an effect, by their names in JSON

	// Converges gives the order of convergence for values of Options.Order and Options.Variant where it is neither that
	// order nor Order; nil: it never is.
	Converges func(order int, variant string) int
	// Draws is how often it draws in one step, if that is not once; churn comes on top.
	Draws int
	// Brownian says that its users expect [BrownianNoise] rather than independent draws.
	Brownian bool
	// OwnLevels says that it steps between levels of its own, from the first of the list to the last.
	OwnLevels bool
	// OneStep says that a step depends on the state at its start and on the options alone, not on earlier steps, so that a run may be cut into
	// runs of one step and steps repeated ([Resampled]).
	OneStep bool
	// Adaptive says that it chooses its steps by the error over the whole batch it is given, so that pictures that are to be
	// independent of each other must be given one by one; Options.Adaptive and Attempt have an effect.
	Adaptive bool
}

// Options returns [DefaultOptions] with the Eta that users of this solver expect.
func (i Info) Options() Options {
	o := DefaultOptions()
	o.Eta = i.Eta
	return o
}

// ConvergenceOrder returns the order with which the result approaches the exact solution of the probability flow as steps grow, for
// the given options (of which Order and Variant matter).
func (i Info) ConvergenceOrder(o Options) int {
	order := i.Order
	if i.MaxOrder > 0 && o.Order > 0 {
		order = o.Order
	}
	if i.Converges != nil {
		return i.Converges(order, o.Variant)
	}
	return order
}

// Effects lists the options that make a difference, by their names in JSON.
func (i Info) Effects() []string {
	var names []string
	for _, e := range []struct {
		used  bool
		names []string
	}{
		{i.UsesEta, []string{"eta"}}, {i.UsesChurn, []string{"churn", "churn_min", "churn_max"}}, {i.UsesEta || i.UsesChurn, []string{"noise_scale"}},
		{i.MaxOrder > 0, []string{"order"}}, {i.Variants != nil, []string{"variant"}}, {i.UsesR, []string{"r"}},
		{i.Adaptive, []string{"rtol", "atol", "h_init", "pcoeff", "icoeff", "dcoeff"}},
	} {
		if e.used {
			names = append(names, e.names...)
		}
	}
	return append(names, i.Extra...)
}

// Check reports options that [Options.Validate] refuses or that this solver does not have: an order above MaxOrder or an
// unknown variant, or either where it has no effect. The error lists what exists. Neither looks at Options.Noise, without which the solver panics
// at its first draw: give one if Stochastic, or where Eta or Churn are set.
func (i Info) Check(o Options) error {
	switch {
	case o.Order != 0 && i.MaxOrder == 0:
		return fmt.Errorf("sampler: %s has no orders to choose from, got order %d", i.Name, o.Order)
	case o.Order > i.MaxOrder || o.Order != 0 && o.Order < i.MinOrder:
		return fmt.Errorf("sampler: %s has orders %d to %d, got %d", i.Name, max(1, i.MinOrder), i.MaxOrder, o.Order)
	case o.Variant != "" && i.Variants == nil:
		return fmt.Errorf("sampler: %s has no variants, got %q", i.Name, o.Variant)
	case o.Variant != "" && !slices.Contains(i.Variants, o.Variant):
		return fmt.Errorf("sampler: %s has no variant %q; it has %s", i.Name, o.Variant, strings.Join(i.Variants, ", "))
	}
	for _, e := range []struct {
		name string
		set  bool
	}{
		{"final", o.Final != ""}, {"scale_dir", o.ScaleDir != nil}, {"scale_time", o.ScaleTime != nil}, {"clip", o.Clip != 0},
		{"clip_noise", o.ClipNoise}, {"corrector", o.Corrector != 0}, {"uncorrected", o.Uncorrected != 0}, {"restart", o.Restart != nil},
	} {
		if e.set && !slices.Contains(i.Extra, e.name) {
			return fmt.Errorf("sampler: option %s has no effect with %s", e.name, i.Name)
		}
	}
	switch {
	case o.Corrector > i.MaxOrder:
		return fmt.Errorf("sampler: %s has correctors of orders 1 to %d, got %d", i.Name, i.MaxOrder, o.Corrector)
	case slices.Contains(i.Extra, "churn_min") && o.ChurnMin > o.ChurnMax:
		return fmt.Errorf("sampler: churn_min %v is above churn_max %v", o.ChurnMin, o.ChurnMax)
	case o.ClipNoise && o.Clip == 0:
		return fmt.Errorf("sampler: option clip_noise has no effect without clip")
	}
	if i.Adaptive {
		if err := o.Adaptive.Validate(); err != nil {
			return err
		}
	}
	return o.Validate()
}

// All returns the table of solvers, in the order in which help texts show them. The slice is the caller's.
func All() []Info { return slices.Concat(kDiffusion(), multistep()) }

// Lookup finds a solver by its name or an alias. Case, "-", "_" and spaces do not matter, "++" is "pp", a leading "k-" or
// "sample-" and a trailing "scheduler" or "-gpu" are dropped, so "DPM++ 2M", "k_euler", "sample_dpmpp_2m" and
// "LMSDiscreteScheduler" all work. An unknown name is an error that lists the valid ones; if the name ends in that of a
// schedule, as in "DPM++ 2M Karras", it says so.
func Lookup(name string) (Info, error) {
	if i, ok := find(name); ok {
		return i, nil
	}
	for _, schedule := range []string{"karras", "exponential", "polyexponential"} {
		if i, ok := find(strings.TrimSuffix(canonical(name), schedule)); ok {
			return Info{}, fmt.Errorf("sampler: %q names a sampler, %s, and a schedule, %s; they are chosen apart", name, i.Name, schedule)
		}
	}
	var names []string
	for _, i := range All() {
		names = append(names, i.Name)
	}
	return Info{}, fmt.Errorf("sampler: unknown sampler %q; valid names: %s", name, strings.Join(names, ", "))
}

func find(name string) (Info, bool) {
	key := canonical(name)
	for _, i := range All() {
		for _, n := range append([]string{i.Name}, i.Aliases...) {
			if canonical(n) == key {
				return i, true
			}
		}
	}
	return Info{}, false
}

func canonical(name string) string {
	s := strings.NewReplacer("_", "-", " ", "-", "++", "pp").Replace(strings.ToLower(strings.TrimSpace(name)))
	s = strings.TrimPrefix(strings.TrimPrefix(s, "sample-"), "k-")
	s = strings.TrimSuffix(strings.TrimSuffix(s, "scheduler"), "-gpu")
	return strings.ReplaceAll(s, "-", "")
}
