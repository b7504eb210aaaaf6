package unet

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// unet2D is the config.json of a UNet2DModel. Absent keys take the constructor's
// defaults, set before decoding.
type unet2D struct {
	Class          string   `json:"_class_name"`
	SampleSize     any      `json:"sample_size"`
	InChannels     int      `json:"in_channels"`
	OutChannels    int      `json:"out_channels"`
	CenterInput    bool     `json:"center_input_sample"`
	TimeEmbedding  string   `json:"time_embedding_type"`
	TimeDim        int      `json:"time_embedding_dim"`
	FreqShift      float64  `json:"freq_shift"`
	FlipSinToCos   bool     `json:"flip_sin_to_cos"`
	DownBlocks     []string `json:"down_block_types"`
	MidBlock       *string  `json:"mid_block_type"` // null = none
	UpBlocks       []string `json:"up_block_types"`
	Channels       []int    `json:"block_out_channels"`
	LayersPerBlock int      `json:"layers_per_block"`
	MidScale       float64  `json:"mid_block_scale_factor"`
	DownPadding    int      `json:"downsample_padding"`
	DownType       string   `json:"downsample_type"`
	UpType         string   `json:"upsample_type"`
	Dropout        float64  `json:"dropout"`
	Activation     string   `json:"act_fn"`
	HeadDim        *int     `json:"attention_head_dim"` // absent 8, null one head
	NormGroups     *int     `json:"norm_num_groups"`
	MidNormGroups  *int     `json:"attn_norm_num_groups"`
	NormEps        float64  `json:"norm_eps"`
	TimeScaleShift string   `json:"resnet_time_scale_shift"`
	AddAttention   bool     `json:"add_attention"`
	ClassEmbedding string   `json:"class_embed_type"`
	NumClasses     int      `json:"num_class_embeds"`
}

// ParseUNet2D translates the config.json of diffusers' UNet2DModel. What this
// package has no layer for is an error that names it: Skip blocks, Fourier and
// learned time embeddings, other activations, class embeddings other than a
// table, blocks with attention on the way down but not up, pictures that are not
// square.
func ParseUNet2D(config []byte) (Config, error) {
	eight, groups, middle := 8, 32, "UNetMidBlock2D"
	j := unet2D{InChannels: 3, OutChannels: 3, TimeEmbedding: "positional", FlipSinToCos: true, MidBlock: &middle, LayersPerBlock: 2, MidScale: 1,
		DownPadding: 1, DownType: "conv", UpType: "conv", Activation: "silu", HeadDim: &eight, NormGroups: &groups, NormEps: 1e-5,
		TimeScaleShift: "default", AddAttention: true,
		DownBlocks: []string{"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"},
		UpBlocks:   []string{"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"},
		Channels:   []int{224, 448, 672, 896}}
	if err := json.Unmarshal(config, &j); err != nil {
		return Config{}, fmt.Errorf("reading the configuration of a UNet2DModel: %w", err)
	}
	if err := j.unsupported(); err != nil {
		return Config{}, err
	}
	size, err := j.size()
	if err != nil {
		return Config{}, err
	}
	base := j.Channels[0]
	c := DefaultConfig("unet2d")
	c.Resolution, c.InChannels, c.OutChannels, c.LabelDim = size, j.InChannels, j.OutChannels, j.NumClasses
	c.ModelChannels, c.NumBlocks, c.Dropout, c.ChannelMult, c.AttnResolutions = base, j.LayersPerBlock, j.Dropout, nil, nil
	if j.TimeDim > 0 {
		c.ChannelMultEmb = j.TimeDim / base
	}
	u := &UNet2D{NormGroups: *j.NormGroups, MidNormGroups: *j.NormGroups, NormEps: j.NormEps, MidAttention: j.AddAttention,
		Adaptive: j.TimeScaleShift == "scale_shift", FreqShift: int(j.FreqShift), SinFirst: !j.FlipSinToCos}
	if j.MidNormGroups != nil {
		u.MidNormGroups = *j.MidNormGroups
	}
	if j.HeadDim != nil {
		u.HeadChannels = *j.HeadDim
	}
	c.UNet2D = u
	for i, ch := range j.Channels {
		c.ChannelMult = append(c.ChannelMult, ch/base)
		if attends(j.DownBlocks[i]) {
			c.AttnResolutions = append(c.AttnResolutions, size>>i)
		}
	}
	if u.Resampling, err = j.resampling(); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// unsupported names the first thing that this package cannot express.
func (j *unet2D) unsupported() error {
	n := len(j.Channels)
	if j.Class != "UNet2DModel" {
		return fmt.Errorf("a %q of diffusers; only UNet2DModel is read", j.Class)
	}
	if n == 0 || n > 16 || len(j.DownBlocks) != n || len(j.UpBlocks) != n || j.Channels[0] < 1 {
		return fmt.Errorf("a UNet2DModel of %d widths, %d blocks down and %d up", n, len(j.DownBlocks), len(j.UpBlocks))
	}
	known := []string{"DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D", "UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"}
	for i := range n {
		for _, blocks := range []([]string){j.DownBlocks, j.UpBlocks} {
			blocks[i] = strings.TrimPrefix(blocks[i], "UNetRes") // as early versions wrote them
			if !slices.Contains(known, blocks[i]) {
				return fmt.Errorf("a UNet2DModel with blocks of type %q, which are not built in; known are %q", blocks[i], known)
			}
		}
		if attends(j.DownBlocks[i]) != attends(j.UpBlocks[n-1-i]) {
			return fmt.Errorf("a UNet2DModel with attention on one side of level %d only", i)
		}
		if j.Channels[i]%j.Channels[0] != 0 {
			return fmt.Errorf("a UNet2DModel of widths %v, which are no multiples of the first", j.Channels)
		}
	}
	for _, f := range []struct {
		is   bool
		what string
	}{
		{j.CenterInput, "center_input_sample"},
		{j.TimeEmbedding != "positional", "a time embedding of type " + j.TimeEmbedding},
		{j.TimeDim%j.Channels[0] != 0, fmt.Sprintf("a time embedding of %d values", j.TimeDim)},
		{j.FreqShift != 0 && j.FreqShift != 1, fmt.Sprintf("freq_shift %g", j.FreqShift)},
		{j.MidBlock == nil || *j.MidBlock != "UNetMidBlock2D", "another middle than UNetMidBlock2D, or none"},
		{j.MidScale != 1, fmt.Sprintf("mid_block_scale_factor %g", j.MidScale)},
		{j.Activation != "silu" && j.Activation != "swish", "activation " + j.Activation},
		{j.NormGroups == nil, "norm_num_groups null"},
		{j.TimeScaleShift != "default" && j.TimeScaleShift != "scale_shift", "resnet_time_scale_shift " + j.TimeScaleShift},
		{j.TimeScaleShift == "scale_shift" && j.MidNormGroups == nil && j.AddAttention, "a middle whose attention has no norm"},
		{j.ClassEmbedding != "", "a class embedding of type " + j.ClassEmbedding},
		{j.HeadDim != nil && *j.HeadDim < 1, "attention heads without channels"},
	} {
		if f.is {
			return fmt.Errorf("a UNet2DModel with %s, which is not built in", f.what)
		}
	}
	return nil
}

func attends(block string) bool { return strings.HasPrefix(block, "Attn") }

// size reads sample_size, a number or two equal ones.
func (j *unet2D) size() (int, error) {
	list, ok := j.SampleSize.([]any)
	if ok && len(list) == 2 && list[0] == list[1] {
		j.SampleSize = list[0]
	}
	v, ok := j.SampleSize.(float64)
	if !ok || v < 1 || v > maxResolution || v != float64(int(v)) {
		return 0, fmt.Errorf("a UNet2DModel with sample_size %v; wanted is the side of square pictures", j.SampleSize)
	}
	return int(v), nil
}

// resampling finds what changes the picture's size; all levels must do it in one way.
func (j *unet2D) resampling() (string, error) {
	kinds := map[string]bool{}
	for i := range len(j.Channels) - 1 { // the last of each does not resample
		kind := func(block, setting string) string {
			switch {
			case strings.HasPrefix(block, "Resnet"), attends(block) && setting == "resnet":
				return "block"
			}
			return "conv"
		}
		kinds[kind(j.DownBlocks[i], j.DownType)] = true
		kinds[kind(j.UpBlocks[i], j.UpType)] = true
	}
	switch {
	case len(kinds) > 1:
		return "", errors.New("a UNet2DModel that resamples by convolutions in some blocks and by residual blocks in others, which is not built in")
	case kinds["block"]:
		return "block", nil
	case j.DownPadding == 0:
		return "conv-end", nil
	case j.DownPadding == 1:
		return "conv", nil
	}
	return "", fmt.Errorf("a UNet2DModel with downsample_padding %d, which is not built in", j.DownPadding)
}
