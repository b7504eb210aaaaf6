package main

import (
	"errors"
	"slices"
	"strings"

	"diffuse/train"
)

// A changeable is a list of the settings that a kind of run may be resumed with another value of, if --allow-change asks for it. What the weights mean
// and where they came from stays.
type changeable struct {
	fields  []string // of options.json
	instead string   // what to do to change others
}

// trainChanges are how a model is trained, and on what; not sizes, classes, preconditioning, the network but for its dropout.
var trainChanges = changeable{instead: "start another, perhaps from its weights: --transfer", fields: []string{
	"data.images", "options.augment", "options.batch", "options.beta1", "options.beta2", "options.checkpoint_blocks", "options.checkpoint_ticks", "options.class_dropout", "options.clip",
	"options.duration", "options.ema_halflife", "options.ema_rampup", "options.eps", "options.flip", "options.loss", "options.loss_dct",
	"options.loss_scales", "options.lr", "options.lr_decay", "options.lr_decay_fraction", "options.lr_rampup", "options.microbatch",
	"options.noise", "options.p_mean", "options.p_std", "options.picture_ticks",
	"options.snapshot_ticks", "options.tick", "setup.about", "setup.background", "setup.data", "setup.data_memory", "setup.description", "setup.license", "setup.network.dropout", "setup.precision",
	"setup.skip_bad", "setup.snapshot_type", "setup.split", "setup.transform", "setup.val_data", "setup.val_num", "setup.val_split",
}}

// distillChanges are how a student is distilled; not its teacher, nor how it draws.
var distillChanges = changeable{instead: "start another, perhaps from its student: --init-from", fields: []string{
	"options.adversarial_hold", "options.adversarial_scale", "options.adversarial_start", "options.alpha", "options.batch", "options.beta1", "options.beta2", "options.checkpoint_ticks", "options.collapse", "options.critic_scale", "options.duration", "options.ema_halflife", "options.ema_rampup",
	"options.eps", "options.fake_augment", "options.fake_beta1", "options.fake_clip", "options.fake_guidance", "options.fake_loss_scale", "options.fake_lr", "options.fake_train_guidance", "options.fake_updates",
	"options.loss_scale", "options.lr", "options.lr_decay", "options.lr_decay_fraction", "options.lr_rampup", "options.max_dropped", "options.microbatch",
	"options.p_mean", "options.p_std", "options.picture_ticks", "options.snapshot_ticks", "options.teacher_guidance", "options.tick", "options.tmax",
	"setup.about", "setup.class_shares", "setup.description", "setup.license", "setup.precision", "setup.snapshot_type", "setup.teacher_skip",
}}

// allows is train.Job's AllowChange under --allow-change.
func (c changeable) allows(field string) bool { return slices.Contains(c.fields, field) }

// hint adds to a refusal to resume with other settings what can be done about it.
func (c changeable) hint(err error) error {
	var changed *train.Changed
	if !errors.As(err, &changed) {
		return err
	}
	var fixed []string
	for _, d := range changed.Changes {
		if !c.allows(d.Field) {
			fixed = append(fixed, strings.TrimPrefix(d.Field, "options."))
		}
	}
	if len(fixed) > 0 {
		return withHint(err, "%s cannot change in a run; %s", strings.Join(fixed, ", "), c.instead)
	}
	return withHint(err, "leave the flags out to go on as before; --allow-change goes on with them")
}
