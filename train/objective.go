package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"diffuse/schedule"
)

// Objective is the part of [Options] that says what is learned: at which noise levels, what the network returns, how its errors count, and
// how pictures are varied. Its words are those of docs/schedules.md, section "For training".
type Objective struct {
	Noise   string  `json:"noise"`   // distribution of noise levels, as schedule.ParseDensity reads it; LogNormalNoise goes by PMean and PStd
	Precond string  `json:"precond"` // what the network returns: "edm", "v", "eps", "x0", "vp" or "ve"
	Loss    string  `json:"loss"`    // weight on the error of the denoised picture, as schedule.ParseWeight reads it
	Augment float64 `json:"augment"` // probability of each transform of EDM's augmentation; 0 turns it off

	LossScales int `json:"loss_scales"` // smallest side to which errors are averaged, too (see Loss); 0 counts them at full size only
	LossDCT    int `json:"loss_dct"`    // largest weight of coarse frequencies (see Loss); 0 counts pixels, not frequencies
}

// LogNormalNoise is EDM's distribution of noise levels, ln sigma normal with mean Options.PMean and standard deviation Options.PStd.
const LogNormalNoise = "lognormal"

// DefaultObjective returns EDM's: its preconditioning, its weight, its noise, no augmentation.
func DefaultObjective() Objective {
	return Objective{Noise: LogNormalNoise, Precond: "edm", Loss: "edm"}
}

// Preconds lists what Objective.Precond can be: the preconditionings that are defined at every noise level.
func Preconds() []string { return []string{"edm", "v", "eps", "x0", "vp", "ve"} }

// Preconditioning returns what a network for these options is to be wrapped in.
func (o Options) Preconditioning() (schedule.Precond, error) {
	for _, name := range Preconds() {
		if o.Precond == name {
			return schedule.PrecondByName(name, o.SigmaData)
		}
	}
	return schedule.Precond{}, fmt.Errorf("unknown preconditioning %q; valid names: %s", o.Precond, strings.Join(Preconds(), ", "))
}

// validateObjective reports everything that is wrong with the objective; sigma_data is good.
func (o Options) validateObjective() []error {
	var errs []error
	note := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	const anySize = 64 // whether a spec can be read does not depend on the size
	_, err := schedule.ParseDensity(o.Noise, anySize, o.SigmaData)
	note("noise", err)
	_, err = o.Preconditioning()
	note("precond", err)
	_, err = schedule.ParseWeight(o.Loss, o.SigmaData)
	note("loss", err)
	if o.LossScales < 0 {
		note("loss_scales", fmt.Errorf("is %d, want a side in pixels, or 0 (off)", o.LossScales))
	}
	if o.LossDCT < 0 {
		note("loss_dct", fmt.Errorf("is %d, want a largest weight, or 0 (off)", o.LossDCT))
	}
	if o.LossScales > 0 && o.LossDCT > 0 {
		note("loss_scales", errors.New("contradicts loss_dct: errors are weighed by one of the two"))
	}
	if !(o.Augment >= 0 && o.Augment <= 1) {
		note("augment", fmt.Errorf("is %v, want a probability", o.Augment))
	}
	return errs
}

// levels returns the function that draws a training noise level for pictures of h×w pixels.
func (o Options) levels(h, w int) (func(r *rand.Rand) float64, error) {
	if o.Noise == LogNormalNoise {
		return func(r *rand.Rand) float64 { return math.Exp(o.PMean + o.PStd*r.NormFloat64()) }, nil // EDM table 1
	}
	d, err := schedule.ParseDensity(o.Noise, schedule.Side(h, w), o.SigmaData)
	if err != nil {
		return nil, err
	}
	return func(r *rand.Rand) float64 { return d((float64(r.Uint64()>>11) + 0.5) / (1 << 53)) }, nil // never 0 or 1
}
