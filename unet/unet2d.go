package unet

import (
	"fmt"
	"slices"
	"strings"

	"diffuse/tensor"
)

// UNet2D holds the options of diffusers' UNet2DModel that EDM's networks lack, under the library's names where it has one. The widths of
// the levels are ModelChannels·ChannelMult as in every [Config], NumBlocks is its layers_per_block, and LabelDim its num_class_embeds.
type UNet2D struct {
	Width          int      `json:"width,omitempty"`      // of pictures that are not square; Resolution is their height
	DownBlocks     []string `json:"down_block_types"`     // finest first
	UpBlocks       []string `json:"up_block_types"`       // deepest first
	DownType       string   `json:"downsample_type"`      // how AttnDownBlock2D halves pictures: "conv" or "resnet"
	UpType         string   `json:"upsample_type"`        // how AttnUpBlock2D doubles them
	DownPadding    int      `json:"downsample_padding"`   // of strided convolutions: 1 all round, 0 one row and column at the end
	NormGroups     int      `json:"norm_num_groups"`      // groups of norms; 0 = min(32, channels/4), as Skip blocks always have it
	MidNormGroups  int      `json:"attn_norm_num_groups"` // groups of the norm before the middle's attention; 0 = no norm
	NormEps        float64  `json:"norm_eps"`             // added to the variance
	HeadChannels   int      `json:"attention_head_dim"`   // channels of an attention head; 0 = all, one head
	Heads          int      `json:"num_heads,omitempty"`  // heads at every level, in place of HeadChannels, which is 0 then; the library has no such option
	Middle         bool     `json:"mid_block"`            // two residual blocks between encoder and decoder
	MidAttention   bool     `json:"add_attention"`        // attention between those
	MidScale       float64  `json:"mid_block_scale_factor"`
	Adaptive       bool     `json:"scale_shift"`                // the embedding scales and shifts, as in ADM
	Activation     string   `json:"act_fn"`                     // "silu", "relu", "gelu" or "mish"
	CenterInput    bool     `json:"center_input_sample"`        // the network sees 2x−1
	EmbChannels    int      `json:"time_embedding_dim"`         // width of the embedding
	Timesteps      int      `json:"num_train_timesteps"`        // rows of a learned time embedding
	FreqShift      float64  `json:"freq_shift"`                 // 1: the last frequency of the time embedding is 1/10000, 0: the one after it
	SinFirst       bool     `json:"sin_first"`                  // order of the time embedding
	ClassEmbedding string   `json:"class_embed_type,omitempty"` // "": a table; "timestep": as times are; "identity": the label is a vector
}

// A unet2DKind says what the blocks of a level have.
type unet2DKind struct {
	attention bool
	resnet    bool // resample by a residual block
	skip      bool // NCSN++: wide filters, a pyramid of pictures beside the features, sums divided by √2
}

var (
	unet2DDown = map[string]unet2DKind{"DownBlock2D": {}, "AttnDownBlock2D": {attention: true}, "ResnetDownsampleBlock2D": {resnet: true},
		"SkipDownBlock2D": {skip: true}, "AttnSkipDownBlock2D": {attention: true, skip: true}}
	unet2DUp = map[string]unet2DKind{"UpBlock2D": {}, "AttnUpBlock2D": {attention: true}, "ResnetUpsampleBlock2D": {resnet: true},
		"SkipUpBlock2D": {skip: true}, "AttnSkipUpBlock2D": {attention: true, skip: true}}
)

// down returns what the blocks of a level have on the way down.
func (u *UNet2D) down(level int) unet2DKind {
	k := unet2DDown[u.DownBlocks[level]]
	k.resnet = k.resnet || u.DownBlocks[level] == "AttnDownBlock2D" && u.DownType == "resnet"
	return k
}

// up returns what the blocks of a level have on the way up.
func (u *UNet2D) up(level int) unet2DKind {
	name := u.UpBlocks[len(u.UpBlocks)-1-level]
	k := unet2DUp[name]
	k.resnet = k.resnet || name == "AttnUpBlock2D" && u.UpType == "resnet"
	return k
}

// unet2DActivations are the activations by name; nil is SiLU, which norms apply themselves.
var unet2DActivations = map[string]func(*tensor.Tape, *tensor.Tensor) *tensor.Tensor{
	"silu": nil, "relu": tensor.ReLU, "gelu": tensor.GELU, "mish": tensor.Mish,
}

// pictureSkip is the number of channels that the library's Skip blocks are made for.
const pictureSkip = 3

// validate hands every complaint about the options to check, which takes a condition that must hold.
func (u *UNet2D) validate(c Config, check func(ok bool, format string, args ...any)) {
	levels := len(c.ChannelMult)
	known := func(field string, blocks []string, kinds map[string]unet2DKind) bool {
		ok := len(blocks) == levels
		check(ok, "%s has %d blocks for %d levels", field, len(blocks), levels)
		for _, b := range blocks {
			_, is := kinds[b]
			check(is, "%s: blocks of type %.80q are not built in; known are %s", field, b, strings.Join(sortedKeys(kinds), ", "))
			ok = ok && is
		}
		return ok
	}
	between := func(field string, v, least, most int) {
		check(v >= least && v <= most, "%s is %d, want %d to %d", field, v, least, most)
	}
	oneOf := func(field, v string, valid ...string) {
		check(slices.Contains(valid, v), "%s %.80q is not built in; known are %q", field, v, valid)
	}
	blocks := known("down_block_types", u.DownBlocks, unet2DDown)
	blocks = known("up_block_types", u.UpBlocks, unet2DUp) && blocks
	oneOf("downsample_type", u.DownType, "conv", "resnet")
	oneOf("upsample_type", u.UpType, "conv", "resnet")
	oneOf("act_fn", u.Activation, sortedKeys(unet2DActivations)...)
	oneOf("class_embed_type", u.ClassEmbedding, "", "timestep", "identity")
	between("width", u.Width, 0, maxResolution)
	between("downsample_padding", u.DownPadding, 0, 1)
	between("norm_num_groups", u.NormGroups, 0, maxChannels)
	between("attn_norm_num_groups", u.MidNormGroups, 0, maxChannels)
	between("attention_head_dim", u.HeadChannels, 0, maxChannels)
	between("num_heads", u.Heads, 0, maxChannels)
	check(u.Heads == 0 || u.HeadChannels == 0, "num_heads and attention_head_dim are both given")
	between("time_embedding_dim", u.EmbChannels, 1, maxChannels)
	check(u.NormEps > 0 && u.NormEps < 1, "norm_eps is %g, want a small positive number", u.NormEps)
	check(u.MidScale > 0 && u.MidScale < 1e6, "mid_block_scale_factor is %g, want a positive number", u.MidScale)
	check(c.AugmentDim == 0 && c.PatchSize == 1 && c.EncoderType == "standard" && c.DecoderType == "standard" && len(c.AttnResolutions) == 0 &&
		slices.Equal(c.ResampleFilter, []float32{1, 1}), "unet2d has no augmentation labels or patches, and its blocks say the rest")
	check(u.ClassEmbedding != "identity" || c.LabelDim == u.EmbChannels, "class_embed_type identity needs as many labels as the embedding has channels")
	check(u.ClassEmbedding == "" || c.LabelDim > 0, "class_embed_type %s without labels", u.ClassEmbedding)
	switch c.EmbeddingType {
	case "learned":
		between("num_train_timesteps", u.Timesteps, 1, maxChannels)
	case "positional":
		half := float64(c.firstWidth() / 2)
		check(half >= 1 && u.FreqShift < half && u.FreqShift > -1e6, "freq_shift is %g, want less than half of %d channels", u.FreqShift, c.firstWidth())
	}
	if blocks {
		u.validateSkips(c, check)
	}
}

// validateSkips checks that the pictures which Skip blocks hand on meet features of their size: a block without the pyramid may not
// stand between blocks that have it.
func (u *UNet2D) validateSkips(c Config, check func(ok bool, format string, args ...any)) {
	last := len(c.ChannelMult) - 1
	for level := range last {
		if u.down(level).skip {
			check(c.InChannels == pictureSkip, "%s needs pictures of %d channels, not %d", u.DownBlocks[level], pictureSkip, c.InChannels)
			check(level == 0 || u.down(level-1).skip, "%s after %s, whose pictures have another size", u.DownBlocks[level], u.DownBlocks[max(0, level-1)])
		}
		if u.up(level + 1).skip {
			check(c.OutChannels == pictureSkip, "Skip blocks on the way up need an output of %d channels, not %d", pictureSkip, c.OutChannels)
			check(u.up(level).skip, "%s after a Skip block, whose pictures have another size", u.UpBlocks[last-level])
		}
	}
	for level := range last + 1 {
		check(u.NormGroups > 0 || u.down(level).skip && u.up(level).skip, "norm_num_groups is null, which only Skip blocks can do without")
	}
}

// firstWidth is the width of the finest level, which the time embedding has too.
func (c Config) firstWidth() int { return c.ModelChannels * c.ChannelMult[0] }

// PictureSize returns height and width of the pictures that the network was made for.
func (c Config) PictureSize() (h, w int) {
	if u := c.UNet2D; u != nil && u.Width > 0 {
		return c.Resolution, u.Width
	}
	return c.Resolution, c.Resolution
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// outlineError reports the first layer that cannot be made: a norm whose groups do not divide its channels, or attention without a head.
func (c Config) outlineError() error {
	b := &builder{net: &Net{Config: c}, alloc: func(shape ...int) *tensor.Tensor { return &tensor.Tensor{Shape: shape} }}
	b.unet2D()
	if b.err != nil {
		return fmt.Errorf("network config: %w", b.err)
	}
	return nil
}
