package main

import (
	"fmt"
	"strings"

	"diffuse/unet"
)

// A benchConfig is a published architecture, to be measured with random weights: a Config, or a configuration of diffusers as its config.json has
// it, which is only parsed for the one that is wanted.
type benchConfig struct {
	unet.Config
	unet2D string
	about  string
}

// benchConfigs lists the architectures by name.
func benchConfigs() map[string]benchConfig {
	all := edmConfigs()
	for name, p := range publishedUNet2D {
		all[name] = benchConfig{unet2D: p.config, about: p.about}
	}
	return all
}

// network returns the configuration.
func (c benchConfig) network() (unet.Config, error) {
	if c.unet2D == "" {
		return c.Config, nil
	}
	return unet.ParseUNet2D([]byte(c.unet2D))
}

// edmConfigs are the networks that EDM trained (arXiv 2206.00364, table 7).
func edmConfigs() map[string]benchConfig {
	song := unet.DefaultConfig("song")
	song.Resolution, song.ChannelMult, song.AugmentDim, song.Dropout = 32, []int{2, 2, 2}, 9, 0.13
	classes := song
	classes.LabelDim = 10
	faces := song
	faces.Resolution, faces.ChannelMult, faces.Dropout = 64, []int{1, 2, 2, 2}, 0.05
	ncsnpp := func(c unet.Config) unet.Config {
		c.EmbeddingType, c.EncoderType, c.ChannelMultNoise, c.ResampleFilter = "fourier", "residual", 2, []float32{1, 3, 3, 1}
		return c
	}
	adm := unet.DefaultConfig("adm")
	adm.Resolution, adm.LabelDim = 64, 1000
	return map[string]benchConfig{
		"edm-cifar10":        {Config: song, about: "DDPM++ of EDM, 32x32, unconditional"},
		"edm-cifar10-cond":   {Config: classes, about: "the same with 10 classes"},
		"edm-cifar10-ncsnpp": {Config: ncsnpp(song), about: "NCSN++ of EDM, 32x32, unconditional"},
		"edm-ffhq64":         {Config: faces, about: "DDPM++ of EDM, 64x64, for FFHQ and AFHQv2"},
		"edm-ffhq64-ncsnpp":  {Config: ncsnpp(faces), about: "NCSN++ of EDM, 64x64, for FFHQ and AFHQv2"},
		"adm-imagenet64":     {Config: adm, about: "ADM of EDM, 64x64, 1000 classes"},
	}
}

// publishedUNet2D are configurations of diffusers, as their config.json has them; what is absent is the library's default.
var publishedUNet2D = map[string]struct{ config, about string }{
	"ddpm-cifar10": {`{"_class_name":"UNet2DModel","sample_size":32,"attention_head_dim":null,"downsample_padding":0,"flip_sin_to_cos":false,
		"freq_shift":1,"norm_eps":1e-6,"block_out_channels":[128,256,256,256],
		"down_block_types":["DownBlock2D","AttnDownBlock2D","DownBlock2D","DownBlock2D"],
		"up_block_types":["UpBlock2D","UpBlock2D","AttnUpBlock2D","UpBlock2D"]}`, "google/ddpm-cifar10-32, 32x32"},
	"ddpm-celebahq": {`{"_class_name":"UNet2DModel","sample_size":256,"attention_head_dim":null,"downsample_padding":0,"flip_sin_to_cos":false,
		"freq_shift":1,"norm_eps":1e-6,"block_out_channels":[128,128,256,256,512,512],
		"down_block_types":["DownBlock2D","DownBlock2D","DownBlock2D","DownBlock2D","AttnDownBlock2D","DownBlock2D"],
		"up_block_types":["UpBlock2D","AttnUpBlock2D","UpBlock2D","UpBlock2D","UpBlock2D","UpBlock2D"]}`,
		"google/ddpm-celebahq-256 and its like of cats, churches and bedrooms, 256x256"},
	"ncsnpp-tiny": {`{"_class_name":"UNet2DModel","sample_size":32,"layers_per_block":1,"norm_eps":1e-6,"norm_num_groups":null,
		"block_out_channels":[32,64,64,64],"time_embedding_type":"fourier","mid_block_scale_factor":1.4142135623730951,
		"down_block_types":["SkipDownBlock2D","AttnSkipDownBlock2D","SkipDownBlock2D","SkipDownBlock2D"],
		"up_block_types":["SkipUpBlock2D","SkipUpBlock2D","AttnSkipUpBlock2D","SkipUpBlock2D"]}`,
		"the NCSN++ of diffusers' own tests, 32x32"},
	"diffusers-default": {`{"_class_name":"UNet2DModel","sample_size":64}`, "UNet2DModel with every default, 64x64"},
	"cm-imagenet64": {`{"_class_name":"UNet2DModel","sample_size":64,"attention_head_dim":64,"attn_norm_num_groups":32,"layers_per_block":3,
		"block_out_channels":[192,384,576,768],"resnet_time_scale_shift":"scale_shift","downsample_type":"resnet","upsample_type":"resnet",
		"num_class_embeds":1000,"down_block_types":["ResnetDownsampleBlock2D","AttnDownBlock2D","AttnDownBlock2D","AttnDownBlock2D"],
		"up_block_types":["AttnUpBlock2D","AttnUpBlock2D","AttnUpBlock2D","ResnetUpsampleBlock2D"]}`,
		"openai/diffusers-cd_imagenet64, 64x64, 1000 classes"},
}

// configHelp lists the architectures for the help text.
func configHelp() string {
	all := benchConfigs()
	var s strings.Builder
	for _, name := range sortedKeys(all) {
		fmt.Fprintf(&s, "  %-20s %s\n", name, all[name].about)
	}
	return strings.TrimRight(s.String(), "\n")
}
