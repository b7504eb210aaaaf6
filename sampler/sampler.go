package sampler

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
)

// Denoiser writes into dst its estimate of the clean pictures behind x at noise level sigma > 0. dst and x have
// the same length, a whole batch; x must not be changed and neither slice kept.
type Denoiser func(dst, x []float64, sigma float64)

// Sampler is a solver: it returns the sequence of states that leads from x at level sigmas[0] to level
// sigmas[n], one [State] per step. x is copied when the loop starts, never modified. Arguments that are a
// caller's bug (see [Validate] and [Options.Validate]) panic at once; a panic in the denoiser passes through.
type Sampler func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State]

// State is what a solver shows after each step. X and Denoised are the solver's own buffers: read them inside
// the loop body and copy what you keep, since the next step overwrites them. Changing them corrupts the run.
type State struct {
	Step     int       // 1..n: how many steps are done
	Sigma    float64   // noise level of X: sigmas[Step], but of a solver with [Info.OwnLevels] a level it chose
	X        []float64 // the state after the step
	Denoised []float64 // the denoiser's estimate at the start of the step (after churn, if any)
}

// Options are the settings of all solvers; each solver's comment names those it uses. Start from
// [DefaultOptions]: in the zero value NoiseScale is 0, so noise would be drawn and multiplied away.
type Options struct {
	Eta        float64 `json:"eta"`         // share of ancestral noise: 0 none, 1 the full DDPM-like amount
	Churn      float64 `json:"churn"`       // S_churn of EDM algorithm 2, spread over all steps
	ChurnMin   float64 `json:"churn_min"`   // S_min: churn only where sigma >= ChurnMin
	ChurnMax   float64 `json:"churn_max"`   // S_max: churn only where sigma <= ChurnMax
	NoiseScale float64 `json:"noise_scale"` // S_noise: multiplies every draw

	// Order is the order of a solver that comes in several, 0 for its own default; see [Info.MaxOrder].
	Order int `json:"order"`
	// Variant names one of the forms of a solver that comes in several, "" for the first of [Info.Variants].
	Variant string `json:"variant"`
	// R is where inside a step, as a share of its length in ln sigma, the second evaluation of some solvers lies, above 0 and
	// at most 1: one number for every step, or one number a step; none stands for 1/2.
	R []float64 `json:"r"`

	// Final says what multistep solvers do with their order towards the end: [FinalFull], [FinalLower], [FinalFew] or [FinalEuler]; "" for
	// the solver's own default.
	Final string `json:"final,omitempty"`
	// ScaleDir and ScaleTime scale the second half of a step, see [AMED]: one value for every step, or one a step; none stands for 1.
	ScaleDir  []float64 `json:"scale_dir,omitempty"`
	ScaleTime []float64 `json:"scale_time,omitempty"`
	// Clip limits the estimates of [DDIM] and [DDPM] to [-Clip, Clip]; 0 is no limit. ClipNoise makes DDIM compute its noise from the limited estimate.
	Clip      float64 `json:"clip,omitempty"`
	ClipNoise bool    `json:"clip_noise,omitempty"`
	// Corrector is the order of [SASolver]'s corrector, 0 for that of the predictor.
	Corrector int `json:"corrector,omitempty"`
	// Uncorrected is the number of steps at the start that a corrector leaves alone (diffusers' disable_corrector).
	Uncorrected int `json:"uncorrected,omitempty"`
	// Restart lists the intervals of [Restart].
	Restart []Interval `json:"restart,omitempty"`

	// Adaptive is what an adaptive solver chooses its steps by.
	Adaptive Tolerance `json:"adaptive"`
	// Attempt, if not nil, is told of every step that an adaptive solver tries.
	Attempt func(Attempt) `json:"-"`

	// Noise is called once per draw and only when the draw is used: never for Eta 0 and Churn 0, not for steps
	// outside [ChurnMin, ChurnMax], not for a last step to 0. It may be nil where nothing is drawn.
	Noise Noise `json:"-"`
}

// Noise fills dst (a whole batch) with unit normals for the passage from noise level from down to level to. What it
// draws may depend on the levels, as increments of a Brownian motion do; a draw that belongs to no passage, such as
// churn's, has from = to.
type Noise func(dst []float64, from, to float64)

// White returns noise that takes no account of levels: every draw is the next one of source.
func White(source func(dst []float64)) Noise {
	return func(dst []float64, _, _ float64) { source(dst) }
}

// DefaultOptions returns the deterministic settings: no ancestral noise, no churn, no limits to it, noise scale 1,
// [DefaultTolerance].
// ChurnMax is the largest float64 rather than infinity so that options can be stored as JSON.
func DefaultOptions() Options {
	return Options{ChurnMax: math.MaxFloat64, NoiseScale: 1, Adaptive: DefaultTolerance()}
}

// Validate reports the first setting that no solver can use: one that is negative, NaN or (ChurnMax apart)
// infinite, or ChurnMin above ChurnMax while there is churn.
func (o Options) Validate() error {
	for _, v := range []struct {
		name  string
		value float64
	}{{"eta", o.Eta}, {"churn", o.Churn}, {"churn_min", o.ChurnMin}, {"churn_max", o.ChurnMax}, {"noise_scale", o.NoiseScale}, {"clip", o.Clip},
		{"rtol", o.Adaptive.Relative}, {"atol", o.Adaptive.Absolute}, {"h_init", o.Adaptive.First}} {
		if !(v.value >= 0) || math.IsInf(v.value, 0) && v.name != "churn_max" {
			return fmt.Errorf("sampler: option %s is %v; it must be a finite number of 0 or more", v.name, v.value)
		}
	}
	if o.Churn > 0 && o.ChurnMin > o.ChurnMax {
		return fmt.Errorf("sampler: churn_min %v is above churn_max %v", o.ChurnMin, o.ChurnMax)
	}
	for _, c := range []float64{o.Adaptive.P, o.Adaptive.I, o.Adaptive.D} {
		if math.IsNaN(c) || math.IsInf(c, 0) {
			return fmt.Errorf("sampler: coefficients of the step size controller are %v, %v, %v; they must be finite", o.Adaptive.P, o.Adaptive.I, o.Adaptive.D)
		}
	}
	for _, v := range []struct {
		name  string
		value int
	}{{"order", o.Order}, {"corrector", o.Corrector}, {"uncorrected", o.Uncorrected}} {
		if v.value < 0 {
			return fmt.Errorf("sampler: option %s is %d; it must be 0 or more", v.name, v.value)
		}
	}
	if o.Final != "" && !slices.Contains(finals, o.Final) {
		return fmt.Errorf("sampler: option final is %q; it must be one of %s", o.Final, strings.Join(finals, ", "))
	}
	return o.validateSplit()
}

// ValidateFor reports what [Options.Validate] does and settings that do not fit a list of noise levels: values for each step that are
// not as many as the steps, and restart intervals outside the list.
func (o Options) ValidateFor(sigmas []float64) error {
	if err := o.Validate(); err != nil {
		return err
	}
	steps := len(sigmas) - 1
	for _, l := range []struct {
		name string
		n    int
	}{{"r", len(o.R)}, {"scale_dir", len(o.ScaleDir)}, {"scale_time", len(o.ScaleTime)}} {
		if l.n > 1 && l.n != steps {
			return fmt.Errorf("sampler: option %s has %d values for %d steps; give one for all, or one a step", l.name, l.n, steps)
		}
	}
	for _, r := range o.Restart {
		if err := r.validate(sigmas); err != nil {
			return err
		}
	}
	return nil
}

// Validate reports why a list of noise levels cannot be sampled: fewer than two levels, a level that is NaN,
// infinite, negative or not below its predecessor, or a 0 before the end.
func Validate(sigmas []float64) error {
	if len(sigmas) < 2 {
		return fmt.Errorf("sampler: %d noise levels; at least 2 are needed for a step", len(sigmas))
	}
	for i, s := range sigmas {
		last := i == len(sigmas)-1
		switch {
		case math.IsNaN(s) || math.IsInf(s, 0):
			return fmt.Errorf("sampler: noise level %d of %d is %v", i, len(sigmas), s)
		case s < 0 || s == 0 && !last:
			return fmt.Errorf("sampler: noise level %d of %d is %v; only the last may be 0 and none below", i, len(sigmas), s)
		case i > 0 && !(s < sigmas[i-1]):
			return fmt.Errorf("sampler: noise level %d of %d is %v after %v; levels must decrease", i, len(sigmas), s, sigmas[i-1])
		}
	}
	return nil
}

// check panics on arguments that a caller should have validated.
func check(name string, d Denoiser, x, sigmas []float64, o Options) {
	if d == nil || len(x) == 0 {
		panic(fmt.Sprintf("sampler: %s: nil denoiser or empty state (length %d)", name, len(x)))
	}
	if err := Validate(sigmas); err != nil {
		panic(name + ": " + err.Error())
	}
	if err := o.ValidateFor(sigmas); err != nil {
		panic(name + ": " + err.Error())
	}
}

// orderUpTo is Order or the default; it panics on one above most, which [Info.Check] refuses.
func (o Options) orderUpTo(name string, usual, most int) int {
	switch {
	case o.Order == 0:
		return usual
	case o.Order > most:
		panic(fmt.Sprintf("%s: order %d; it has orders up to %d", name, o.Order, most))
	}
	return o.Order
}

// variantOf returns Variant or the first of those there are; it panics on an unknown one, which [Info.Check] refuses.
func (o Options) variantOf(name string, known []string) string {
	switch {
	case o.Variant == "":
		return known[0]
	case !slices.Contains(known, o.Variant):
		panic(fmt.Sprintf("%s: unknown variant %q; it has %s", name, o.Variant, strings.Join(known, ", ")))
	}
	return o.Variant
}

// r is R of step i, counted from 0.
func (o Options) r(i int) float64 {
	switch {
	case len(o.R) == 0:
		return 0.5
	case len(o.R) == 1:
		return o.R[0]
	case i >= len(o.R):
		panic(fmt.Sprintf("sampler: option r has %d values; step %d has none", len(o.R), i+1))
	}
	return o.R[i]
}

// draw fills dst with unit normals for the passage from one level to the next.
func (o Options) draw(dst []float64, from, to float64) {
	if o.Noise == nil {
		panic("sampler: these options need random numbers (eta or churn above 0), but Options.Noise is nil")
	}
	o.Noise(dst, from, to)
}
