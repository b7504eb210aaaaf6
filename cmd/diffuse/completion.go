package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/schedule"
	"diffuse/train"
	"diffuse/unet"
)

// flagValues are the words that flags of these names take, in every command that has them.
var flagValues = map[string]func() []string{
	"animate-show":   words(showStates, showDenoised),
	"attention":      words(unet.SoftmaxAttention, unet.ReLU2Attention, unet.SigmoidAttention, unet.LinearAttention),
	"config":         func() []string { return sortedKeys(benchConfigs()) },
	"eval-ref-split": words("train", "test"),
	"loss":           schedule.WeightNames,
	"lr-decay":       words("none", "cosine", "linear"),
	"model-type":     words("song", "adm", "uvit"),
	"positions":      words(unet.RotaryPositions, unet.LearnedPositions, unet.NoPositions),
	"precision":      words(precisionNames...),
	"precond":        train.Preconds,
	"ref-split":      words("train", "test"),
	"snapshot-type":  words("F32", "F16", "BF16"),
	"split":          words("train", "test"),
	"transform":      transformNames,
	"val-split":      words("train", "test"),
}

func words(w ...string) func() []string { return func() []string { return w } }

// completeFlags lets the shell complete flagValues in c and all commands below.
func completeFlags(c *cobra.Command) {
	for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if names := flagValues[f.Name]; names != nil {
				c.RegisterFlagCompletionFunc(f.Name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
					return names(), cobra.ShellCompDirectiveNoFileComp
				})
			}
		})
	}
	for _, sub := range c.Commands() {
		completeFlags(sub)
	}
}
