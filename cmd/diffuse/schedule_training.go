package main

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"diffuse/schedule"
	"diffuse/train"
)

// trainingLevels returns the noise levels that divide what training draws from a distribution into n equal shares, in the middle of each, falling.
func (o *scheduleOptions) trainingLevels(name string) ([]float64, error) {
	n := o.grid.steps
	if n < 1 || n > maxSteps {
		return nil, usagef("--steps is %d, want 1 to %d", n, maxSteps)
	}
	d, err := schedule.ParseDensity(name, o.grid.size, train.DefaultOptions().SigmaData)
	if err != nil {
		return nil, usageError{err}
	}
	sigmas := make([]float64, n)
	for i := range sigmas {
		sigmas[i] = d((float64(i) + 0.5) / float64(n))
	}
	slices.Sort(sigmas)
	slices.Reverse(sigmas)
	return sigmas, nil
}

// checkTraining refuses what cannot be meant with --training.
func (o *scheduleOptions) checkTraining(f *pflag.FlagSet, names []string) error {
	if !o.training {
		return nil
	}
	if len(names) == 0 {
		return withHint(usagef("no distribution is named"), "there are %s", strings.Join(schedule.DensityNames(), ", "))
	}
	return conflicts(f, "training", "sigmas", "timesteps", "sigma-min", "sigma-max", "rho")
}
