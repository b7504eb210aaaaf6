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
	NFE        func(steps int) int // evaluations for that many steps, the last of them to 0
	Stochastic bool                // whether it draws noise with its own usual options
	Eta        float64             // the Eta its users expect when they give none
	UsesEta    bool                // whether Options.Eta has an effect
	UsesChurn  bool                // whether Options.Churn, ChurnMin and ChurnMax have an effect
	MaxOrder   int                 // orders 1 to MaxOrder exist, Order is the default; 0: Options.Order has no effect
	Variants   []string            // values of Options.Variant, the default first; nil: it has no effect
	About      string              // one line of help
}

// Options returns [DefaultOptions] with the Eta that users of this solver expect.
func (i Info) Options() Options {
	o := DefaultOptions()
	o.Eta = i.Eta
	return o
}

// Check reports options that [Options.Validate] refuses or that this solver does not have: an order above MaxOrder or an
// unknown variant, or either where it has no effect. The error lists what exists.
func (i Info) Check(o Options) error {
	switch {
	case o.Order != 0 && i.MaxOrder == 0:
		return fmt.Errorf("sampler: %s has no orders to choose from, got order %d", i.Name, o.Order)
	case o.Order > i.MaxOrder:
		return fmt.Errorf("sampler: %s has orders 1 to %d, got %d", i.Name, i.MaxOrder, o.Order)
	case o.Variant != "" && i.Variants == nil:
		return fmt.Errorf("sampler: %s has no variants, got %q", i.Name, o.Variant)
	case o.Variant != "" && !slices.Contains(i.Variants, o.Variant):
		return fmt.Errorf("sampler: %s has no variant %q; it has %s", i.Name, o.Variant, strings.Join(i.Variants, ", "))
	}
	return o.Validate()
}

// All returns the table of solvers, in the order in which help texts show them. The slice is the caller's.
func All() []Info {
	once := func(steps int) int { return steps }
	return []Info{
		{
			Name: "ddim", Aliases: []string{"euler", "edm-euler", "dpmpp-1"}, Sampler: DDIM,
			Order: 1, NFE: once, UsesEta: true, UsesChurn: true,
			About: "Euler's method on the probability flow; eta and churn add noise",
		},
		{
			Name: "heun", Aliases: []string{"edm", "edm-heun"}, Sampler: Heun,
			Order: 2, NFE: func(steps int) int { return 2*steps - 1 }, UsesChurn: true,
			About: "EDM's sampler, two evaluations a step; churn adds noise",
		},
		{
			Name: "dpmpp-2m", Aliases: []string{"dpm++2m", "dpm-solver++", "dpm-solver++2m"}, Sampler: DPMPP2M,
			Order: 2, NFE: once,
			About: "DPM-Solver++(2M), multistep, one evaluation a step",
		},
		{
			Name: "euler-ancestral", Aliases: []string{"euler-a"}, Sampler: EulerAncestral,
			Order: 1, NFE: once, Stochastic: true, Eta: 1, UsesEta: true,
			About: "Euler with fresh noise at every step (eta 1)",
		},
	}
}

// Lookup finds a solver by its name or an alias. Case, "-", "_" and spaces do not matter, "++" is "pp", and a
// leading "k-" or "sample-" is dropped, so "DPM++ 2M", "k_euler" and "sample_dpmpp_2m" all work. An unknown name
// is an error that lists the valid ones.
func Lookup(name string) (Info, error) {
	key := canonical(name)
	var names []string
	for _, i := range All() {
		for _, n := range append([]string{i.Name}, i.Aliases...) {
			if canonical(n) == key {
				return i, nil
			}
		}
		names = append(names, fmt.Sprintf("%s (%s)", i.Name, strings.Join(i.Aliases, ", ")))
	}
	return Info{}, fmt.Errorf("sampler: unknown sampler %q; valid names (and aliases): %s", name, strings.Join(names, ", "))
}

func canonical(name string) string {
	s := strings.NewReplacer("_", "-", " ", "-", "++", "pp").Replace(strings.ToLower(strings.TrimSpace(name)))
	s = strings.TrimPrefix(strings.TrimPrefix(s, "sample-"), "k-")
	return strings.ReplaceAll(s, "-", "")
}
