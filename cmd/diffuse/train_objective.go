package main

import (
	"strings"

	"github.com/spf13/pflag"

	"diffuse/schedule"
	"diffuse/train"
	"diffuse/unet"
)

// bindObjective adds the flags that say what is learned.
func bindObjective(f *pflag.FlagSet, o *train.Objective) {
	f.StringVar(&o.Noise, "noise", o.Noise, "distribution of noise levels: lognormal (by --p-mean, --p-std), or one of "+
		strings.Join(schedule.DensityNames()[1:], ", ")+"; options stand behind a colon, as in cosine:shift=64, shifted for the pictures' size (docs/schedules.md)")
	f.StringVar(&o.Precond, "precond", o.Precond, "what the network returns: "+strings.Join(train.Preconds(), ", "))
	f.StringVar(&o.Loss, "loss", o.Loss, "weight of errors by noise level: "+strings.Join(schedule.WeightNames(), ", ")+"; as in min-snr:gamma=5, sigmoid:bias=-3")
	f.IntVar(&o.LossScales, "loss-scales", o.LossScales, "multi-scale loss: count errors averaged down to this side, too, such as 32 (0 = at full size only)")
	f.IntVar(&o.LossDCT, "loss-dct", o.LossDCT, "count errors by frequency, coarse ones up to this much more (k-diffusion's loss scales; 0 = off)")
	f.Float64Var(&o.Augment, "augment", o.Augment, "probability of each transform of EDM's augmentation, such as 0.12 (0 = off); the network is told, so that pictures drawn later are not augmented")
}

// objectiveConflicts returns what cannot go together with the objective, whatever the pictures are.
func (s *trainSettings) objectiveConflicts(typed *pflag.FlagSet) (errs []error) {
	if o := s.Options; o.Noise != train.LogNormalNoise {
		for _, name := range []string{"p-mean", "p-std"} {
			if typed.Changed(name) {
				errs = append(errs, usagef("--%s has no effect on --noise %s", name, o.Noise))
			}
		}
	}
	if n := s.Network.AugmentDim; s.Options.Augment > 0 && n != 0 && n != train.AugmentLabels {
		errs = append(errs, usagef("--augment needs a network with augment_dim %d, this one has %d", train.AugmentLabels, n))
	}
	return errs
}

// checkLoss reports a loss that pictures of h×w×c are too small for. Invalid options are another's to report.
func (s *trainSettings) checkLoss(h, w, c int) error {
	if s.Options.Validate() != nil {
		return nil
	}
	if _, err := s.Options.NewLoss(h, w, c); err != nil {
		return usageError{err}
	}
	return nil
}

// tellAugmentation gives a network labels for the augmentation that the options ask for, unless its configuration says how many.
func (s *trainSettings) tellAugmentation() {
	if s.Options.Augment > 0 && s.Network.AugmentDim == 0 {
		s.Network.AugmentDim = train.AugmentLabels
	}
}

// trainable wraps net with the preconditioning of settings that have been checked.
func trainable(s *trainSettings, net *unet.Net) trainee {
	p, err := s.Options.Preconditioning()
	if err != nil {
		panic(err)
	}
	return trainee{Denoiser: unet.Denoiser{Net: net.WithPrecision(s.Precision.precision()), Precond: p, CheckpointBlocks: s.Options.CheckpointBlocks}}
}
