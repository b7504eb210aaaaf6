package main

import (
	"fmt"

	"github.com/spf13/pflag"
)

// trainSections are the headings of the help text of "diffuse train" and what stands under them. Flags that are not here come last.
var trainSections = []struct {
	title string
	flags []string
}{
	{"Run", []string{"data", "out", "resume", "allow-change", "transfer", "preset", "list-presets", "dry-run", "duration", "batch", "microbatch", "precision", "checkpoint-blocks", "seed"}},
	{"Optimisation", []string{"lr", "lr-find", "lr-rampup", "lr-decay", "lr-decay-fraction", "beta1", "beta2", "eps", "clip", "ema-halflife", "ema-rampup", "ema-stds"}},
	{"Noise, prediction and loss", []string{"noise", "p-mean", "p-std", "precond", "sigma-data", "loss", "loss-scales", "loss-dct", "class-dropout"}},
	{"Pictures", []string{"split", "resolution", "transform", "background", "data-memory", "grey", "unlabelled", "skip-bad", "flip", "augment"}},
	{"Network", []string{"network", "model-type", "model-channels", "channel-mult", "num-blocks", "attn-resolutions", "dropout", "embedding-type",
		"encoder-type", "decoder-type", "patch-size", "first-op", "encoder-blocks", "decoder-blocks", "middle-blocks", "skip-per", "dropout-resolution",
		"positions", "rope-base", "attention"}},
	{"Statistics and files", []string{"tick", "checkpoint-ticks", "picture-ticks", "snapshot-ticks", "snapshot-type", "tensorboard", "description", "license"}},
	{"Validation", []string{"val-fraction", "val-data", "val-split", "val-num"}},
	{"Evaluation", []string{"eval-ref", "eval-ref-split", "eval-metrics", "eval-features", "eval-inception", "eval-no-cache", "eval-num", "eval-every"}},
}

// sectionTrain puts the flags under their headings.
func sectionTrain(f *pflag.FlagSet) {
	place := 0
	for _, s := range trainSections {
		for _, name := range s.flags {
			place++
			f.SetAnnotation(name, sectionKey, []string{s.title, fmt.Sprintf("%04d", place)})
		}
	}
}
