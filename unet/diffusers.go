package unet

import (
	"encoding/json"
	"fmt"
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
	DownType       *string  `json:"downsample_type"`
	UpType         *string  `json:"upsample_type"`
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
	Timesteps      int      `json:"num_train_timesteps"`
}

// ParseUNet2D translates the config.json of diffusers' UNet2DModel. What this package has no layer for is an error that names it:
// blocks of other classes, spatial norms, levels that do not resample. Without sample_size the network is taken to be for the smallest
// pictures of 32 pixels or more that pass through its levels; it computes others all the same.
func ParseUNet2D(config []byte) (Config, error) {
	eight, groups, middle, down, up := 8, 32, "UNetMidBlock2D", "conv", "conv"
	j := unet2D{InChannels: 3, OutChannels: 3, TimeEmbedding: "positional", FlipSinToCos: true, MidBlock: &middle, LayersPerBlock: 2, MidScale: 1,
		DownPadding: 1, DownType: &down, UpType: &up, Activation: "silu", HeadDim: &eight, NormGroups: &groups, NormEps: 1e-5,
		TimeScaleShift: "default", AddAttention: true,
		DownBlocks: []string{"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"},
		UpBlocks:   []string{"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"},
		Channels:   []int{224, 448, 672, 896}}
	if err := json.Unmarshal(config, &j); err != nil {
		return Config{}, fmt.Errorf("reading the configuration of a UNet2DModel: %w", err)
	}
	if err := j.check(); err != nil {
		return Config{}, err
	}
	h, w, err := j.size()
	if err != nil {
		return Config{}, err
	}
	c := DefaultConfig("unet2d")
	c.Resolution, c.InChannels, c.OutChannels, c.EmbeddingType = h, j.InChannels, j.OutChannels, j.TimeEmbedding
	c.NumBlocks, c.Dropout, c.AttnResolutions = j.LayersPerBlock, j.Dropout, nil
	c.ModelChannels, c.ChannelMult = multiples(j.Channels)
	c.UNet2D = j.options()
	if w != h {
		c.UNet2D.Width = w
	}
	switch {
	case c.UNet2D.ClassEmbedding == "identity":
		c.LabelDim = c.UNet2D.EmbChannels
	case c.UNet2D.ClassEmbedding == "timestep" && j.NumClasses <= 0:
		c.LabelDim = anyNumber
	default:
		c.LabelDim = j.NumClasses
	}
	return c, c.Validate()
}

// anyNumber is how many classes a network has that embeds their numbers, whatever they are, and does not say.
const anyNumber = 1000

// options translates what EDM's networks lack.
func (j *unet2D) options() *UNet2D {
	deepest := j.Channels[len(j.Channels)-1]
	u := &UNet2D{DownBlocks: j.DownBlocks, UpBlocks: j.UpBlocks, DownType: orConv(j.DownType), UpType: orConv(j.UpType), DownPadding: j.DownPadding,
		NormEps: j.NormEps, Middle: j.MidBlock != nil, MidAttention: j.MidBlock != nil && j.AddAttention, MidScale: j.MidScale,
		Adaptive: j.TimeScaleShift == "scale_shift", Activation: j.Activation, CenterInput: j.CenterInput, EmbChannels: j.TimeDim,
		FreqShift: j.FreqShift, SinFirst: !j.FlipSinToCos, ClassEmbedding: j.ClassEmbedding}
	if u.Activation == "swish" {
		u.Activation = "silu"
	}
	if u.EmbChannels == 0 {
		u.EmbChannels = 4 * j.Channels[0]
	}
	if j.TimeEmbedding == "learned" {
		u.Timesteps = j.Timesteps
	}
	if j.HeadDim != nil {
		u.HeadChannels = *j.HeadDim
	}
	if j.NormGroups != nil {
		u.NormGroups = *j.NormGroups
	}
	switch {
	case !u.MidAttention:
	case j.MidNormGroups != nil:
		u.MidNormGroups = *j.MidNormGroups
	case u.Adaptive: // no norm
	case u.NormGroups > 0:
		u.MidNormGroups = u.NormGroups
	default:
		u.MidNormGroups = min(32, deepest/4)
	}
	return u
}

// orConv is what the library takes for null.
func orConv(kind *string) string {
	if kind == nil {
		return "conv"
	}
	return *kind
}

// multiples writes widths as multiples of the first or, where they are none, of their greatest common divisor.
func multiples(widths []int) (unit int, factors []int) {
	unit = widths[0]
	for _, w := range widths {
		for w%unit != 0 {
			unit = gcd(unit, w)
		}
	}
	for _, w := range widths {
		factors = append(factors, w/unit)
	}
	return unit, factors
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// check refuses what cannot be translated; what can be, [Config.Validate] looks at.
func (j *unet2D) check() error {
	n := len(j.Channels)
	if j.Class != "UNet2DModel" {
		return fmt.Errorf("a %q of diffusers; only UNet2DModel is read", j.Class)
	}
	if n == 0 || n > 16 || len(j.DownBlocks) != n || len(j.UpBlocks) != n {
		return fmt.Errorf("a UNet2DModel of %d widths, %d blocks down and %d up", n, len(j.DownBlocks), len(j.UpBlocks))
	}
	for _, w := range j.Channels {
		if w < 1 || w > maxChannels {
			return fmt.Errorf("a UNet2DModel with a level of %d channels", w)
		}
	}
	for _, blocks := range []([]string){j.DownBlocks, j.UpBlocks} {
		for i := range blocks {
			blocks[i] = strings.TrimPrefix(blocks[i], "UNetRes") // as early versions wrote them
		}
	}
	for _, f := range []struct {
		is   bool
		what string
	}{
		{j.TimeScaleShift != "default" && j.TimeScaleShift != "scale_shift", "resnet_time_scale_shift " + j.TimeScaleShift},
		{j.HeadDim != nil && *j.HeadDim < 1, "attention heads without channels"},
		{j.NormGroups != nil && *j.NormGroups < 1, "norms without groups"},
		{j.MidNormGroups != nil && *j.MidNormGroups < 1, "a norm without groups in the middle"},
		{j.TimeDim < 0, fmt.Sprintf("a time embedding of %d values", j.TimeDim)},
		{j.NumClasses < 0, fmt.Sprintf("%d classes", j.NumClasses)},
	} {
		if f.is {
			return fmt.Errorf("a UNet2DModel with %s, which is not built in", f.what)
		}
	}
	return nil
}

// size reads sample_size: a number, height and width, or nothing.
func (j *unet2D) size() (h, w int, err error) {
	if j.SampleSize == nil {
		m := 1 << (len(j.Channels) - 1)
		s := (32 + m - 1) / m * m
		return s, s, nil
	}
	list, ok := j.SampleSize.([]any)
	if !ok {
		list = []any{j.SampleSize, j.SampleSize}
	}
	sides := []int{}
	for _, x := range list {
		if v, ok := x.(float64); ok && v >= 1 && v <= maxResolution && v == float64(int(v)) {
			sides = append(sides, int(v))
		}
	}
	if len(sides) != 2 || len(list) != 2 {
		return 0, 0, fmt.Errorf("a UNet2DModel with sample_size %v; wanted is the side of the pictures, or height and width", j.SampleSize)
	}
	return sides[0], sides[1], nil
}
