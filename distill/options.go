package distill

import (
	"errors"
	"fmt"
	"math"

	"diffuse/schedule"
	"diffuse/train"
)

// Options are the knobs of a distillation; their JSON form is stored in the run folder. Counts are of pictures that the generator is updated by.
// Start from DefaultOptions: the zero value is not valid.
type Options struct {
	Seed     uint64 `json:"seed"`     // keys every random draw
	Duration int64  `json:"duration"` // pictures in all; the last batch is always a full one

	Batch      int `json:"batch"`      // pictures per update
	Microbatch int `json:"microbatch"` // pictures per forward and backward pass; passes run in parallel; 0 means 16

	Alpha     float64 `json:"alpha"`      // weight of |a-b|² in the generator's loss; the paper has 1 and 1.2
	TMax      float64 `json:"tmax"`       // noise levels of the generator's loss: of 1000 steps from the cleanest up, so many
	SigmaInit float64 `json:"sigma_init"` // noise level that the generator starts from
	Steps     int     `json:"steps"`      // network evaluations the student makes a picture in: 1, or a few (SiD-LSG)
	SigmaMin  float64 `json:"sigma_min"`  // cleanest level of the thousand steps
	SigmaMax  float64 `json:"sigma_max"`  // noisiest
	Rho       float64 `json:"rho"`        // exponent of the steps between (EDM eq. 5)

	PMean     float64 `json:"p_mean"`     // mean of ln sigma in the fake network's loss
	PStd      float64 `json:"p_std"`      // standard deviation of ln sigma there
	SigmaData float64 `json:"sigma_data"` // standard deviation of the pictures, in [-1, 1] units

	WarmImages int64   `json:"warm_images"` // pictures, the first of Duration, by which the generator learns what the teacher's flow draws; 0: none
	WarmSteps  int     `json:"warm_steps"`  // evaluations of the teacher per picture meanwhile, from SigmaMax on
	WarmLR     float64 `json:"warm_lr"`     // Adam's learning rate for the generator meanwhile

	LR       float64 `json:"lr"`        // Adam's learning rate for the generator
	FakeLR   float64 `json:"fake_lr"`   // and for the fake network
	LRRampup int64   `json:"lr_rampup"` // pictures over which both rise linearly from 0; SiD has 0

	LRDecay         string  `json:"lr_decay"`          // way down of both rates to 0 at Duration: train.DecayNone (SiD), DecayCosine or DecayLinear
	LRDecayFraction float64 `json:"lr_decay_fraction"` // part of Duration, at its end, that the way down takes

	Beta1     float64 `json:"beta1"`      // Adam's decay of the mean gradient, generator
	FakeBeta1 float64 `json:"fake_beta1"` // and fake network
	Beta2     float64 `json:"beta2"`      // Adam's decay of the mean squared gradient
	Eps       float64 `json:"eps"`        // Adam's guard against division by zero

	LossScale     float64 `json:"loss_scale"`             // factor on the generator's loss, which Adam undoes but for eps
	FakeLossScale float64 `json:"fake_loss_scale"`        // and on the fake network's
	FakeUpdates   int     `json:"fake_updates"`           // updates of the fake network per update of the generator
	FakeAugment   float64 `json:"fake_augment,omitempty"` // probability of each augmentation of the pictures that the fake network learns from, of which it is told; SiD has 0.12 to 0.15

	// Guidance of SiD-LSG (Zhou et al. 2024, arXiv 2406.01561), null + kappa·(class - null); 1 is none.
	FakeTrainGuidance float64 `json:"fake_train_guidance"` // of the fake network while it learns (kappa 1)
	FakeGuidance      float64 `json:"fake_guidance"`       // of the fake network in the generator's loss (kappa 2 and 3)
	TeacherGuidance   float64 `json:"teacher_guidance"`    // of the teacher (kappa 4)

	// The adversarial loss of SiDA (Zhou et al. 2025, arXiv 2410.14919), with real pictures.
	Adversarial      bool    `json:"adversarial,omitempty"`
	CriticScale      float64 `json:"critic_scale"`      // factor on the critic's loss in the fake network's
	AdversarialScale float64 `json:"adversarial_scale"` // factor on the adversarial part of the generator's loss
	AdversarialHold  int64   `json:"adversarial_hold"`  // pictures, the first of the run, in which the fake network learns alone
	AdversarialStart int64   `json:"adversarial_start"` // pictures after which the generator's loss has its adversarial part
	FakeClip         float64 `json:"fake_clip"`         // limit to each value of the fake network's gradient with an adversarial loss; 0: none
	Flip             bool    `json:"flip,omitempty"`    // mirror every other real picture, left to right, by chance

	EMAHalfLife int64   `json:"ema_halflife"` // pictures after which a weight's share in the average has halved
	EMARampup   float64 `json:"ema_rampup"`   // the half-life is at most this times the pictures seen; negative turns that off

	MaxDropped float64 `json:"max_dropped"` // share of pictures of a tick that may be left out because a network's output was not finite

	Collapse float64 `json:"collapse"` // a measured distance of so many times the best takes the best state back and halves the rates; 0: never

	Tick            int64 `json:"tick"`             // pictures per line of statistics
	CheckpointTicks int   `json:"checkpoint_ticks"` // ticks between checkpoints
	PictureTicks    int   `json:"picture_ticks"`    // ticks between picture grids; 0 means only at the end
	SnapshotTicks   int   `json:"snapshot_ticks"`   // ticks between snapshots of the student; 0 means only at the end
}

// DefaultOptions returns SiD's settings for CIFAR-10 (sid_train.py and run_sid.sh of its repository), with ticks that suit one machine.
func DefaultOptions() Options {
	return Options{
		Duration: 10_000_000,
		Batch:    256,

		Alpha: 1.2, TMax: 800, SigmaInit: 2.5, Steps: 1, SigmaMin: 0.002, SigmaMax: 80, Rho: 7,
		PMean: -1.2, PStd: 1.2, SigmaData: 0.5,

		WarmSteps: 16, WarmLR: 1e-3,
		LR: 1e-5, FakeLR: 1e-5, LRDecay: train.DecayNone, LRDecayFraction: 0.25, Beta2: 0.999, Eps: 1e-8,
		LossScale: 100, FakeLossScale: 1, FakeUpdates: 1,
		FakeTrainGuidance: 1, FakeGuidance: 1, TeacherGuidance: 1,

		CriticScale: 1, AdversarialScale: 0.01, AdversarialHold: 100_000, AdversarialStart: 200_000, FakeClip: 1,

		EMAHalfLife: 500_000, EMARampup: 0.05,
		MaxDropped: 0.01, Collapse: 3,

		Tick: 50_000, CheckpointTicks: 1, PictureTicks: 1, SnapshotTicks: 10,
	}
}

// Validate reports everything that is wrong with the options at once, naming the JSON fields, or nil.
func (o Options) Validate() error {
	var errs []error
	need := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v, want %s", field, value, want))
		}
	}
	rate := func(v float64) bool { return v >= 0 && v <= math.MaxFloat32 }
	decay := func(v float64) bool { return v >= 0 && v < 1 }
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	need(o.Duration > 0, "duration", o.Duration, "a positive number of pictures")
	need(o.Batch > 0 && o.Batch <= train.MaxBatch, "batch", o.Batch, fmt.Sprintf("1 to %d pictures", train.MaxBatch))
	need(o.Microbatch >= 0 && o.Microbatch <= o.Batch, "microbatch", o.Microbatch, "0 to batch pictures")
	need(finite(o.Alpha), "alpha", o.Alpha, "a number, about 1")
	need(o.TMax > 0 && o.TMax <= 1000, "tmax", o.TMax, "more than 0 and at most 1000")
	need(o.SigmaMin > 0 && o.SigmaMin < o.SigmaMax && finite(o.SigmaMax), "sigma_min", o.SigmaMin, fmt.Sprintf("between 0 and sigma_max (%v)", o.SigmaMax))
	need(o.SigmaInit > o.SigmaMin && o.SigmaInit <= o.SigmaMax, "sigma_init", o.SigmaInit, fmt.Sprintf("between sigma_min (%v) and sigma_max (%v)", o.SigmaMin, o.SigmaMax))
	need(o.Steps >= 1 && o.Steps <= 64, "steps", o.Steps, "1 to 64 network evaluations")
	need(o.Rho >= 1 && finite(o.Rho), "rho", o.Rho, "1 or more")
	need(math.Abs(o.PMean) < 100, "p_mean", o.PMean, "a mean of ln sigma between -100 and 100")
	need(o.PStd >= 0 && o.PStd < 100, "p_std", o.PStd, "0 or more and less than 100")
	need(o.SigmaData > 0 && o.SigmaData < 1e6, "sigma_data", o.SigmaData, "a positive number")
	need(o.WarmImages >= 0 && o.WarmImages < max(o.Duration, 1), "warm_images", o.WarmImages, "0 or more pictures, fewer than duration")
	need(o.WarmImages == 0 || o.Steps == 1, "warm_images", o.WarmImages, "0 with a student of several evaluations: it is shown one")
	need(o.WarmSteps >= 1 && o.WarmSteps <= 1000, "warm_steps", o.WarmSteps, "1 to 1000 steps")
	need(rate(o.WarmLR), "warm_lr", o.WarmLR, "0 or more")
	need(rate(o.LR), "lr", o.LR, "0 or more")
	need(rate(o.FakeLR), "fake_lr", o.FakeLR, "0 or more")
	need(o.LRRampup >= 0, "lr_rampup", o.LRRampup, "0 or more pictures")
	need(o.LRDecay == train.DecayNone || o.LRDecay == train.DecayCosine || o.LRDecay == train.DecayLinear, "lr_decay", fmt.Sprintf("%q", o.LRDecay),
		fmt.Sprintf("%q, %q or %q", train.DecayNone, train.DecayCosine, train.DecayLinear))
	need(o.LRDecayFraction > 0 && o.LRDecayFraction <= 1, "lr_decay_fraction", o.LRDecayFraction, "more than 0 and at most 1")
	need(decay(o.Beta1), "beta1", o.Beta1, "0 or more and less than 1")
	need(decay(o.FakeBeta1), "fake_beta1", o.FakeBeta1, "0 or more and less than 1")
	need(decay(o.Beta2), "beta2", o.Beta2, "0 or more and less than 1")
	need(rate(o.Eps), "eps", o.Eps, "0 or more")
	need(o.LossScale > 0 && finite(o.LossScale), "loss_scale", o.LossScale, "a positive number")
	need(o.FakeLossScale > 0 && finite(o.FakeLossScale), "fake_loss_scale", o.FakeLossScale, "a positive number")
	need(o.FakeUpdates >= 1 && o.FakeUpdates <= 1000, "fake_updates", o.FakeUpdates, "1 to 1000")
	need(o.FakeAugment >= 0 && o.FakeAugment <= 1, "fake_augment", o.FakeAugment, "a probability")
	need(finite(o.FakeTrainGuidance), "fake_train_guidance", o.FakeTrainGuidance, "a number (1 = none)")
	need(finite(o.FakeGuidance), "fake_guidance", o.FakeGuidance, "a number (1 = none)")
	need(finite(o.TeacherGuidance), "teacher_guidance", o.TeacherGuidance, "a number (1 = none)")
	need(o.CriticScale >= 0 && finite(o.CriticScale), "critic_scale", o.CriticScale, "0 or more")
	need(o.AdversarialScale >= 0 && finite(o.AdversarialScale), "adversarial_scale", o.AdversarialScale, "0 or more")
	need(o.AdversarialHold >= 0, "adversarial_hold", o.AdversarialHold, "0 or more pictures")
	need(o.AdversarialStart >= 0 && (!o.Adversarial || o.AdversarialStart < max(o.Duration, 1)), "adversarial_start", o.AdversarialStart, "0 or more pictures, fewer than duration")
	need(o.FakeClip >= 0 && finite(o.FakeClip), "fake_clip", o.FakeClip, "0 (off) or more")
	need(!o.Adversarial || o.FakeTrainGuidance == 1 && o.FakeGuidance == 1, "adversarial", o.Adversarial, "no guidance of the fake network beside it")
	need(o.EMAHalfLife >= 0, "ema_halflife", o.EMAHalfLife, "0 or more pictures")
	need(finite(o.EMARampup), "ema_rampup", o.EMARampup, "a ratio, or a negative number (off)")
	need(o.MaxDropped >= 0 && o.MaxDropped <= 1, "max_dropped", o.MaxDropped, "a share")
	need(o.Collapse == 0 || o.Collapse > 1 && finite(o.Collapse), "collapse", o.Collapse, "a factor above 1, or 0 (off)")
	need(o.Tick > 0, "tick", o.Tick, "a positive number of pictures")
	need(o.CheckpointTicks > 0, "checkpoint_ticks", o.CheckpointTicks, "1 or more ticks")
	need(o.PictureTicks >= 0, "picture_ticks", o.PictureTicks, "0 or more ticks")
	need(o.SnapshotTicks >= 0, "snapshot_ticks", o.SnapshotTicks, "0 or more ticks")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("distillation options: %w", err)
	}
	return nil
}

// rates are the ramp and the decay of both learning rates as training knows them, for a rate of 1.
func (o Options) rates() train.Options {
	return train.Options{Duration: o.Duration, LR: 1, LRRampup: o.LRRampup, LRDecay: o.LRDecay, LRDecayFraction: o.LRDecayFraction}
}

// Guided tells whether any network is evaluated without its classes as well as with them.
func (o Options) Guided() bool {
	return o.FakeTrainGuidance != 1 || o.FakeGuidance != 1 || o.TeacherGuidance != 1
}

// Level returns the noise level at share r in [0, 1] of the way from SigmaMin to SigmaMax (EDM eq. 5, counted from the clean end).
func (o Options) Level(r float64) float64 {
	lo, hi := math.Pow(o.SigmaMin, 1/o.Rho), math.Pow(o.SigmaMax, 1/o.Rho)
	return math.Pow(hi+(1-r)*(lo-hi), o.Rho)
}

// Levels returns the noise levels that the student starts its evaluations from, falling: SigmaInit, and for Steps > 1 levels at equal
// distances below it on the scale of Level, as SiD-LSG places its timesteps.
func (o Options) Levels() []float64 {
	return schedule.Karras(o.Steps+1, o.SigmaMin, o.SigmaInit, o.Rho)[:o.Steps]
}

// microbatch is the number of pictures per pass. Its default keeps a small network's activations in a processor's second-level
// cache; it must not depend on the machine, since results depend on it in their last bits.
func (o Options) microbatch() int {
	if o.Microbatch == 0 {
		return min(16, o.Batch)
	}
	return o.Microbatch
}
