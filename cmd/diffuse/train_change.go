package main

import (
	"errors"
	"slices"
	"strings"

	"diffuse/train"
)

// changeable are the settings that a run may be resumed with another value of, if --allow-change asks for it: how it is trained, and on what. What the
// weights mean (sizes, classes, preconditioning, the network but for its dropout) and where they came from stays.
var changeable = []string{
	"data.images", "options.augment", "options.batch", "options.beta1", "options.beta2", "options.checkpoint_blocks", "options.checkpoint_ticks", "options.class_dropout", "options.clip",
	"options.duration", "options.ema_halflife", "options.ema_rampup", "options.eps", "options.flip", "options.loss", "options.loss_dct",
	"options.loss_scales", "options.lr", "options.lr_decay", "options.lr_decay_fraction", "options.lr_rampup", "options.microbatch",
	"options.noise", "options.p_mean", "options.p_std", "options.picture_ticks",
	"options.snapshot_ticks", "options.tick", "setup.about", "setup.background", "setup.data", "setup.data_memory", "setup.description", "setup.license", "setup.network.dropout", "setup.precision",
	"setup.skip_bad", "setup.snapshot_type", "setup.split", "setup.transform", "setup.val_data", "setup.val_num", "setup.val_split",
}

// mayChange is train.Job's AllowChange under --allow-change.
func mayChange(field string) bool { return slices.Contains(changeable, field) }

// hintChanged adds to a refusal to resume with other settings what can be done about it.
func hintChanged(err error) error {
	var changed *train.Changed
	if !errors.As(err, &changed) {
		return err
	}
	var fixed []string
	for _, c := range changed.Changes {
		if !mayChange(c.Field) {
			fixed = append(fixed, strings.TrimPrefix(c.Field, "options."))
		}
	}
	if len(fixed) > 0 {
		return withHint(err, "%s cannot change in a run; start another, perhaps from its weights: --transfer", strings.Join(fixed, ", "))
	}
	return withHint(err, "leave the flags out to go on as before; --allow-change goes on with them")
}
