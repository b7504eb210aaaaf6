package unet

import (
	"fmt"
	"math/bits"

	"diffuse/tensor"
)

// Layout holds the freedoms of Simple diffusion (Hoogeboom et al. 2023, arXiv 2301.11093, sec. 3) and its successor SiD2
// (Hoogeboom et al. 2024, arXiv 2410.19324): what keeps a network of pixels cheap at high resolution. The zero value
// is EDM's layout, and leaves no trace in a file.
type Layout struct {
	FirstOp           string `json:"first_op,omitempty"`           // what shrinks the picture by patch_size: "patch" (or empty), or "wavelet"
	EncoderBlocks     []int  `json:"encoder_blocks,omitempty"`     // residual blocks of each convolutional level, finest first; none = num_blocks each
	DecoderBlocks     []int  `json:"decoder_blocks,omitempty"`     // likewise; none = one more than in the encoder
	MiddleBlocks      int    `json:"middle_blocks,omitempty"`      // blocks between encoder and decoder, at the lowest resolution; 0 = EDM's two
	SkipPer           string `json:"skip_per,omitempty"`           // "block" (or empty): a skip from every block; "level": one per change of resolution
	DropoutResolution int    `json:"dropout_resolution,omitempty"` // level resolution above which blocks have no dropout; 0 = none is too high
	UViT              UViT   `json:"uvit,omitzero"`                // the transformer in the middle; for model_type "uvit" only
}

// UViT describes the transformer blocks that make up the lowest level of a U-ViT.
type UViT struct {
	HeadChannels int     `json:"head_channels"`       // of an attention head, there and in the levels of attn_resolutions
	MLPRatio     int     `json:"mlp_ratio"`           // hidden channels of a block's MLP per channel
	Positions    string  `json:"positions"`           // how attention knows places: RotaryPositions, LearnedPositions or NoPositions
	RopeBase     float64 `json:"rope_base"`           // base of the rotary angles; 0 = by the rule, see [Config.WithDefaults]
	Attention    string  `json:"attention,omitempty"` // weights of a query's keys: SoftmaxAttention (or empty), ReLU2Attention, SigmoidAttention or LinearAttention
}

// The values of UViT.Positions.
const (
	RotaryPositions  = "rope-2d" // queries and keys turn by their row and column
	LearnedPositions = "learned" // a vector for every pixel of the lowest level at img_resolution; larger pictures do not fit
	NoPositions      = "none"    // convolutions alone
)

// The values of Layout.FirstOp and Layout.SkipPer.
const (
	FirstPatch   = "patch"
	FirstWavelet = "wavelet"
	SkipPerBlock = "block"
	SkipPerLevel = "level"
)

// WithDefaults returns the configuration with the fields of a U-ViT that are zero, and must not be, filled in. The base of
// rotary positions is that of [RopeBase] for the lowest level, or 100 where that has no answer or img_resolution is not set.
func (c Config) WithDefaults() Config {
	if c.ModelType != "uvit" {
		return c
	}
	v := &c.UViT
	if c.MiddleBlocks == 0 {
		c.MiddleBlocks = 8
	}
	if v.HeadChannels == 0 {
		v.HeadChannels = 64
	}
	if v.MLPRatio == 0 {
		v.MLPRatio = 4
	}
	if v.Positions == "" {
		v.Positions = RotaryPositions
	}
	if v.RopeBase == 0 {
		v.RopeBase = c.ropeBase()
	}
	return c
}

// ropeBase applies the rule for the base to the lowest level.
func (c Config) ropeBase() float64 {
	head, levels := c.UViT.HeadChannels, len(c.ChannelMult)
	if c.Resolution > 0 && c.Resolution <= maxResolution && c.PatchSize > 0 && levels > 0 && head <= maxChannels { // else Validate complains
		if base, ok := RopeBase(c.side(levels-1), head/4); ok {
			return base
		}
	}
	return 100
}

// side returns the resolution of a level, which names it.
func (c Config) side(level int) int { return c.Resolution / c.PatchSize >> level }

// convLevels returns how many levels have residual blocks: the lowest of a U-ViT has transformer blocks only.
func (c Config) convLevels() int {
	if c.ModelType == "uvit" {
		return len(c.ChannelMult) - 1
	}
	return len(c.ChannelMult)
}

// encoderBlocks returns the residual blocks of a level on the way down, without the one that shrinks.
func (c Config) encoderBlocks(level int) int {
	switch {
	case level >= c.convLevels():
		return 0
	case len(c.EncoderBlocks) > 0:
		return c.EncoderBlocks[level]
	}
	return c.NumBlocks
}

// decoderBlocks returns the residual blocks of a level on the way up, without the one that grows.
func (c Config) decoderBlocks(level int) int {
	switch {
	case level >= c.convLevels():
		return 0
	case len(c.DecoderBlocks) > 0:
		return c.DecoderBlocks[level]
	}
	return c.encoderBlocks(level) + 1
}

// middleBlocks returns the blocks between encoder and decoder.
func (c Config) middleBlocks() int {
	if c.MiddleBlocks == 0 {
		return 2
	}
	return c.MiddleBlocks
}

// joinsAt returns how many skips the first blocks of a decoder level join. With a skip per level it is the one that leaves
// the encoder's level before the picture shrinks. Blocks in excess on either side have none.
func (c Config) joinsAt(level int) int {
	switch {
	case level >= c.convLevels():
		return 0
	case c.SkipPer != SkipPerLevel:
		return min(c.decoderBlocks(level), c.encoderBlocks(level)+1)
	case level == len(c.ChannelMult)-1:
		return 0
	}
	return 1
}

// DropoutAt returns the probability of dropout in blocks at the level of a resolution, as levels are named.
func (c Config) DropoutAt(side int) float64 {
	if c.DropoutResolution > 0 && side > c.DropoutResolution {
		return 0
	}
	return c.Dropout
}

// firstOp names what shrinks the picture.
func (c Config) firstOp() string {
	if c.FirstOp == "" {
		return FirstPatch
	}
	return c.FirstOp
}

// waveletLevels returns how often the wavelet halves the picture.
func (c Config) waveletLevels() int { return bits.Len(uint(c.PatchSize)) - 1 }

// shrink is the first operation of a network with patches or the wavelet.
func (c Config) shrink(t *tensor.Tape, x *tensor.Tensor) *tensor.Tensor {
	if c.FirstOp == FirstWavelet {
		return tensor.Wavelet(t, x, c.waveletLevels())
	}
	return tensor.SpaceToDepth(t, x, c.PatchSize)
}

// grow is the last operation, the inverse of the first.
func (c Config) grow(t *tensor.Tape, x *tensor.Tensor) *tensor.Tensor {
	if c.FirstOp == FirstWavelet {
		return tensor.InverseWavelet(t, x, c.waveletLevels())
	}
	return tensor.DepthToSpace(t, x, c.PatchSize)
}

// nearestSizes lists the sizes next to h×w whose sides are multiples of m.
func nearestSizes(h, w, m int) string {
	below := func(v int) int { return max(m, v/m*m) }
	above := func(v int) int { return max(m, (v+m-1)/m*m) }
	small, large := fmt.Sprintf("%d×%d", below(h), below(w)), fmt.Sprintf("%d×%d", above(h), above(w))
	if small == large {
		return small
	}
	return small + " and " + large
}

// validateLayout complains, in the words of [Config.Validate], about what only the layout says.
func (c Config) validateLayout(check func(ok bool, format string, args ...any), oneOf func(field, v string, valid ...string),
	between func(field string, v, least, most int)) {
	uvit := c.ModelType == "uvit"
	oneOf("first_op", c.firstOp(), FirstPatch, FirstWavelet)
	check(c.FirstOp != FirstWavelet || c.PatchSize >= 2 && c.PatchSize&(c.PatchSize-1) == 0,
		"the wavelet shrinks by %d, want a power of two from 2", c.PatchSize)
	perLevel := func(name string, list []int) {
		check(len(list) == 0 || len(list) == c.convLevels(), "%s has %d entries, want one for each of the %d convolutional levels, or none",
			name, len(list), c.convLevels())
		for _, v := range list {
			between(name+" entry", v, 1, 64)
		}
	}
	perLevel("encoder_blocks", c.EncoderBlocks)
	perLevel("decoder_blocks", c.DecoderBlocks)
	between("middle_blocks", c.MiddleBlocks, 0, 256)
	if c.SkipPer != "" {
		oneOf("skip_per", c.SkipPer, SkipPerBlock, SkipPerLevel)
	}
	between("dropout_resolution", c.DropoutResolution, 0, maxResolution)
	if n := len(c.ChannelMult); n > 0 && n <= 16 && c.PatchSize > 0 && c.Dropout > 0 && c.DropoutResolution > 0 {
		low := c.side(n - 1)
		check(low <= c.DropoutResolution, "dropout_resolution %d is below the lowest level, %d: no block has dropout", c.DropoutResolution, low)
	}
	usual := len(c.EncoderBlocks)+len(c.DecoderBlocks)+c.MiddleBlocks == 0 && c.SkipPer != SkipPerLevel
	check(usual || c.EncoderType == "standard", "encoder_type %q has a skip from every block and num_blocks at every level", c.EncoderType)
	check(c.ModelType != "unet2d" || usual && c.DropoutResolution == 0, "unet2d has num_blocks at every level, two in the middle, dropout everywhere and a skip per block")
	check(uvit || c.UViT == UViT{}, "uvit options belong to model_type uvit")
	if uvit {
		c.validateUViT(check, oneOf, between)
	}
}

func (c Config) validateUViT(check func(ok bool, format string, args ...any), oneOf func(field, v string, valid ...string),
	between func(field string, v, least, most int)) {
	v := c.UViT
	check(c.MiddleBlocks > 0, "a uvit without middle_blocks")
	between("uvit.head_channels", v.HeadChannels, 1, maxChannels)
	between("uvit.mlp_ratio", v.MLPRatio, 1, 16)
	oneOf("uvit.positions", v.Positions, RotaryPositions, LearnedPositions, NoPositions)
	if v.Attention != "" {
		oneOf("uvit.attention", v.Attention, SoftmaxAttention, ReLU2Attention, SigmoidAttention, LinearAttention)
	}
	check(v.RopeBase > 0 && v.RopeBase < maxRopeBase, "uvit.rope_base is %g, want a positive number", v.RopeBase)
	check(v.Positions != RotaryPositions || v.HeadChannels%4 == 0, "rotary positions need heads of a multiple of 4 channels, not %d", v.HeadChannels)
	for level, m := range c.ChannelMult {
		attends := level == len(c.ChannelMult)-1
		for _, r := range c.AttnResolutions {
			attends = attends || c.PatchSize > 0 && r == c.side(level)
		}
		ch := m * c.ModelChannels
		check(!attends || v.HeadChannels > 0 && ch%v.HeadChannels == 0, "%d channels do not divide into heads of %d", ch, v.HeadChannels)
	}
}
