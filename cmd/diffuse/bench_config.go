package main

import (
	"fmt"
	"strings"

	"diffuse/unet"
)

// A benchConfig is a published architecture, to be measured with random weights.
type benchConfig struct {
	unet.Config
	about string
}

// benchConfigs lists the architectures by name.
func benchConfigs() map[string]benchConfig {
	square := func(c unet.Config, side int) unet.Config {
		c.Resolution = side
		return c
	}
	ddpmpp := square(unet.DefaultConfig("song"), 32)
	ddpmpp.ChannelMult, ddpmpp.AugmentDim, ddpmpp.Dropout = []int{2, 2, 2}, 9, 0.13
	ncsnpp := ddpmpp
	ncsnpp.EmbeddingType, ncsnpp.EncoderType, ncsnpp.ChannelMultNoise, ncsnpp.ResampleFilter = "fourier", "residual", 2, []float32{1, 3, 3, 1}
	adm := square(unet.DefaultConfig("adm"), 64)
	adm.LabelDim = 1000
	ddpm := square(unet.DefaultConfig("song"), 32)
	ddpm.NumBlocks = 2
	return map[string]benchConfig{
		"edm-cifar10":        {ddpmpp, "DDPM++ of EDM, 32x32, unconditional"},
		"edm-cifar10-ncsnpp": {ncsnpp, "NCSN++ of EDM, 32x32, unconditional"},
		"adm-imagenet64":     {adm, "ADM of EDM, 64x64, 1000 classes"},
		"ddpm-cifar10":       {ddpm, "the widths, depth and attention of google/ddpm-cifar10-32, resampling in residual blocks"},
	}
}

// configHelp lists the architectures for the help text.
func configHelp() string {
	var s strings.Builder
	for _, name := range sortedKeys(benchConfigs()) {
		fmt.Fprintf(&s, "  %-20s %s\n", name, benchConfigs()[name].about)
	}
	return strings.TrimRight(s.String(), "\n")
}
