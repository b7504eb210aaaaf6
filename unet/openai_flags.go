package unet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// openAIFlags are what the shapes of the tensors do not show.
type openAIFlags struct {
	size         int    // of the pictures
	heads        int    // of attention, at every level
	headChannels int    // of a head; 0 = heads says
	newOrder     bool   // all of query, then key, then value, not so for every head
	steps        int    // that the network was trained on
	noise        string // linear or cosine
	rescale      bool   // the embedding gets timesteps as if there were 1000
	predictX     bool   // the network returns the picture, not the noise
	mode         string // of consistency_models: what was trained; "" for the others
}

// An openAINet is a published network.
type openAINet struct {
	about  string
	shapes string // as openAIShape.String writes them
	flags  string // as its README gives them
}

// openAIPublished are the networks that were published with improved-diffusion, guided-diffusion and consistency_models, by the names that
// --arch takes. Those of consistency_models have the same shapes as their teachers.
var openAIPublished = map[string]openAINet{
	"improved-cifar10": {"network of improved-diffusion for CIFAR-10",
		"128 channels, levels of 128 256a 256a 256 with 3 blocks, 0 classes, 3 to 6, scale-shift",
		"--image_size 32 --num_heads 4 --diffusion_steps 4000 --noise_schedule cosine --rescale_timesteps True"},
	"improved-imagenet64": {"network of improved-diffusion for ImageNet 64x64",
		"128 channels, levels of 128 256 384a 512a with 3 blocks, 0 classes, 3 to 6, scale-shift",
		"--image_size 64 --num_heads 4 --diffusion_steps 4000 --noise_schedule cosine --rescale_timesteps True"},
	"improved-imagenet64-cond": {"network of improved-diffusion for the classes of ImageNet 64x64",
		"192 channels, levels of 192 384 576a 768a with 3 blocks, 1000 classes, 3 to 6, scale-shift",
		"--image_size 64 --num_heads 4 --diffusion_steps 4000 --noise_schedule cosine --rescale_timesteps False"},
	"improved-lsun256": {"network of improved-diffusion for LSUN bedrooms",
		"128 channels, levels of 128 128 256 256 512a 512 with 2 blocks, 0 classes, 3 to 6",
		"--image_size 256 --num_heads 1 --diffusion_steps 1000 --noise_schedule linear --rescale_timesteps False"},
	"guided-imagenet64": {"network of guided-diffusion for the classes of ImageNet 64x64",
		"192 channels, levels of 192 384a 576a 768a with 3 blocks, 1000 classes, 3 to 6, scale-shift, resampling in blocks",
		"--image_size 64 --num_head_channels 64 --use_new_attention_order True --diffusion_steps 1000 --noise_schedule cosine"},
	"guided-imagenet128": {"network of guided-diffusion for the classes of ImageNet 128x128",
		"256 channels, levels of 256 256 512a 768a 1024a with 2 blocks, 1000 classes, 3 to 6, scale-shift, resampling in blocks",
		"--image_size 128 --num_heads 4 --diffusion_steps 1000 --noise_schedule linear"},
	"guided-imagenet256": {"network of guided-diffusion for the classes of ImageNet 256x256",
		"256 channels, levels of 256 256 512 512a 1024a 1024a with 2 blocks, 1000 classes, 3 to 6, scale-shift, resampling in blocks",
		"--image_size 256 --num_head_channels 64 --diffusion_steps 1000 --noise_schedule linear"},
	"guided-uncond256": {"network of guided-diffusion for pictures of 256x256 without classes (ImageNet, LSUN)",
		"256 channels, levels of 256 256 512 512a 1024a 1024a with 2 blocks, 0 classes, 3 to 6, scale-shift, resampling in blocks",
		"--image_size 256 --num_head_channels 64 --diffusion_steps 1000 --noise_schedule linear"},
	"consistency-imagenet64": {"consistency model of consistency_models for the classes of ImageNet 64x64",
		consistency64, "--image_size 64 --num_head_channels 64 --training_mode consistency_distillation"},
	"consistency-lsun256": {"consistency model of consistency_models for LSUN 256x256",
		consistency256, "--image_size 256 --num_head_channels 64 --training_mode consistency_distillation"},
	"consistency-edm-imagenet64": {"EDM of consistency_models for the classes of ImageNet 64x64",
		consistency64, "--image_size 64 --num_head_channels 64 --training_mode edm"},
	"consistency-edm-lsun256": {"EDM of consistency_models for LSUN 256x256",
		consistency256, "--image_size 256 --num_head_channels 64 --training_mode edm"},
}

const (
	consistency64  = "192 channels, levels of 192 384a 576a 768a with 3 blocks, 1000 classes, 3 to 3, scale-shift, resampling in blocks"
	consistency256 = "256 channels, levels of 256 256 512 512a 1024a 1024a with 2 blocks, 0 classes, 3 to 3, resampling in blocks"
)

// OpenAIArchitectures returns the names of published networks that [ReadOpenAI] takes, sorted.
func OpenAIArchitectures() []string { return slices.Sorted(maps.Keys(openAIPublished)) }

// flags finds what arch says of a network of these shapes, and which published network that is, "" for none.
func (s openAIShape) flags(arch string) (f openAIFlags, name string, err error) {
	if strings.HasPrefix(strings.TrimSpace(arch), "-") {
		f, err = parseOpenAIFlags(arch)
		return f, "", err
	}
	if arch != "" {
		p, ok := openAIPublished[arch]
		if !ok {
			return f, "", fmt.Errorf("unknown architecture %q; known are %s, and flags such as \"--image_size 64 --num_heads 4\"", arch, strings.Join(OpenAIArchitectures(), ", "))
		}
		if p.shapes != s.String() {
			return f, "", fmt.Errorf("not a %s: the file has %s, that has %s", arch, s, p.shapes)
		}
		f, err = parseOpenAIFlags(p.flags)
		return f, arch, err
	}
	var fits []string
	for _, name := range OpenAIArchitectures() {
		if openAIPublished[name].shapes == s.String() {
			fits = append(fits, name)
		}
	}
	switch len(fits) {
	case 1:
		f, err = parseOpenAIFlags(openAIPublished[fits[0]].flags)
		return f, fits[0], err
	case 0:
		return f, "", fmt.Errorf("%w: a network of improved-diffusion, guided-diffusion or consistency_models (%s) that is none of the published ones; "+
			"the flags that it was trained with say the rest: --image_size, --num_heads or --num_head_channels, --use_new_attention_order, "+
			"--diffusion_steps, --noise_schedule, --rescale_timesteps, --training_mode", ErrArchitecture, s)
	}
	return f, "", fmt.Errorf("%w: the shapes are those of %s", ErrArchitecture, strings.Join(fits, " and of "))
}

// ErrArchitecture is wrapped by the error of [ReadOpenAI] for weights that arch must say more about.
var ErrArchitecture = errors.New("the architecture is not clear")

// parseOpenAIFlags reads flags as the programs take them. Those that follow from the shapes or that only matter in training and sampling are
// passed over; others are errors.
func parseOpenAIFlags(text string) (openAIFlags, error) {
	f := openAIFlags{steps: 1000, noise: "linear", heads: 4} // their defaults
	words := strings.Fields(strings.ReplaceAll(text, "=", " "))
	if len(words)%2 != 0 {
		return f, fmt.Errorf("flags %.200q: want pairs of --name and value", text)
	}
	for ; len(words) > 0; words = words[2:] {
		name, value := strings.ReplaceAll(strings.TrimLeft(words[0], "-"), "-", "_"), words[1]
		if err := f.set(name, value); err != nil {
			return f, fmt.Errorf("flag --%.60s %.60s: %w", name, value, err)
		}
	}
	switch {
	case f.size < 1 || f.size > maxResolution:
		return f, errors.New("flags without --image_size")
	case f.noise != "linear" && f.noise != "cosine":
		return f, fmt.Errorf("--noise_schedule %.60s: want linear or cosine", f.noise)
	case f.mode != "" && !slices.Contains([]string{"edm", "consistency_distillation", "consistency_training"}, f.mode):
		return f, fmt.Errorf("--training_mode %.60s: want edm, consistency_distillation or consistency_training", f.mode)
	case f.heads < 1 && f.headChannels < 1 || f.headChannels < 0:
		return f, errors.New("flags without heads of attention")
	}
	return f, nil
}

// openAIIgnored are flags that say nothing that is needed.
var openAIIgnored = []string{"num_channels", "num_res_blocks", "channel_mult", "attention_resolutions", "class_cond", "learn_sigma", "sigma_small",
	"use_scale_shift_norm", "resblock_updown", "dropout", "use_fp16", "use_checkpoint", "use_kl", "rescale_learned_sigmas", "timestep_respacing",
	"use_ddim", "clip_denoised", "batch_size", "num_samples", "model_path", "lr", "microbatch", "schedule_sampler", "ema_rate",
	"sampler", "steps", "generator", "weight_schedule", "sigma_min", "sigma_max", "s_churn", "ts"}

func (f *openAIFlags) set(name, value string) (err error) {
	switch name {
	case "image_size":
		f.size, err = strconv.Atoi(value)
	case "num_heads":
		f.heads, err = strconv.Atoi(value)
	case "num_head_channels":
		if f.headChannels, err = strconv.Atoi(value); f.headChannels == -1 {
			f.headChannels = 0
		}
	case "num_heads_upsample":
		if value != "-1" {
			err = errors.New("other heads on the way up are not built in")
		}
	case "use_new_attention_order":
		f.newOrder, err = strconv.ParseBool(value)
	case "diffusion_steps":
		f.steps, err = strconv.Atoi(value)
	case "noise_schedule":
		f.noise = value
	case "rescale_timesteps":
		f.rescale, err = strconv.ParseBool(value)
	case "training_mode":
		f.mode, f.newOrder = value, true // the only order there
	case "predict_xstart":
		f.predictX, err = strconv.ParseBool(value)
	default:
		if !slices.Contains(openAIIgnored, name) {
			err = errors.New("is no flag of these programs' diffusion models")
		}
	}
	return err
}
