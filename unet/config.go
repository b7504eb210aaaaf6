package unet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Config describes a network. Names and defaults are those of EDM's
// constructors, so that a peer's keyword arguments can be read as they are.
type Config struct {
	ModelType        string    `json:"model_type"`         // "song" (DDPM++, NCSN++), "adm", "uvit" or "unet2d" (diffusers)
	Resolution       int       `json:"img_resolution"`     // pixels; names the levels and places attention
	InChannels       int       `json:"in_channels"`        // channels of the picture
	OutChannels      int       `json:"out_channels"`       // channels of F; twice InChannels under iDDPM
	LabelDim         int       `json:"label_dim"`          // classes; 0 = unconditional
	AugmentDim       int       `json:"augment_dim"`        // augmentation labels; 0 = none
	ModelChannels    int       `json:"model_channels"`     // channels that ChannelMult multiplies
	ChannelMult      []int     `json:"channel_mult"`       // one factor per level, finest first
	ChannelMultEmb   int       `json:"channel_mult_emb"`   // embedding = this · ModelChannels
	ChannelMultNoise int       `json:"channel_mult_noise"` // noise embedding = this · ModelChannels (song: 1 DDPM++, 2 NCSN++)
	NumBlocks        int       `json:"num_blocks"`         // residual blocks per level, one more in the decoder
	AttnResolutions  []int     `json:"attn_resolutions"`   // level resolutions with self-attention
	Dropout          float64   `json:"dropout"`            // probability inside every block, training only
	EmbeddingType    string    `json:"embedding_type"`     // "positional" (DDPM++, ADM), "fourier" (NCSN++) or "learned" (unet2d)
	EncoderType      string    `json:"encoder_type"`       // "standard", "skip" or "residual" (NCSN++)
	DecoderType      string    `json:"decoder_type"`       // "standard" or "skip"
	ResampleFilter   []float32 `json:"resample_filter"`    // {1,1} (DDPM++) or {1,3,3,1} (NCSN++)
	PatchSize        int       `json:"patch_size"`         // side of the patch that becomes one pixel of the finest level; 1 = none
	UNet2D           *UNet2D   `json:"unet2d,omitempty"`   // what diffusers' networks have beside; for model_type "unet2d" only
	Layout                     // what Simple diffusion adds; the zero value is EDM's
}

// DefaultConfig returns EDM's defaults for "song" (DDPM++) or "adm", or a
// small U-ViT for pictures of 64×64 for "uvit". The
// picture's size and channels and the labels are the caller's to set. Any
// other model type is returned as it is, for [Config.Validate] to refuse.
func DefaultConfig(modelType string) Config {
	c := Config{
		ModelType: modelType, InChannels: 3, OutChannels: 3, ModelChannels: 128, ChannelMult: []int{1, 2, 2, 2},
		ChannelMultEmb: 4, ChannelMultNoise: 1, NumBlocks: 4, AttnResolutions: []int{16}, Dropout: 0.10,
		EmbeddingType: "positional", EncoderType: "standard", DecoderType: "standard",
		ResampleFilter: []float32{1, 1}, PatchSize: 1,
	}
	if modelType == "adm" {
		c.ModelChannels, c.ChannelMult, c.NumBlocks = 192, []int{1, 2, 3, 4}, 3
		c.AttnResolutions = []int{32, 16, 8}
	}
	if modelType == "uvit" {
		c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 64, []int{1, 2, 4}, 2, []int{}
		c.DropoutResolution = 32
	}
	return c.WithDefaults()
}

// ParseConfig reads a Config as [Config.JSON] wrote it. Unknown fields and
// impossible values are errors.
func ParseConfig(data []byte) (Config, error) {
	var c Config
	if err := strictUnmarshal(data, &c); err != nil {
		return c, fmt.Errorf("reading network config: %w", err)
	}
	return c, c.Validate()
}

// strictUnmarshal decodes one JSON value into v and refuses unknown fields
// and anything that follows.
func strictUnmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more text after the JSON value")
	}
	return nil
}

// JSON returns the configuration as one line of JSON.
func (c Config) JSON() string {
	b, err := json.Marshal(c)
	if err != nil { // numbers and strings only; NaN is refused by Validate
		panic(err)
	}
	return string(b)
}

// Multiple returns the number that heights and widths must be multiples of:
// the patch times two for every level after the first.
func (c Config) Multiple() int { return c.PatchSize << (len(c.ChannelMult) - 1) }

// CheckSize reports an error naming the needed multiple and the nearest sizes
// unless pictures of h rows and w columns can pass through all levels.
func (c Config) CheckSize(h, w int) error {
	if m := c.Multiple(); h < m || w < m || h%m != 0 || w%m != 0 {
		return fmt.Errorf("pictures of %d×%d do not fit this network: height and width must be multiples of %d (%s of %d, %d levels); nearest: %s",
			h, w, m, c.firstOp(), c.PatchSize, len(c.ChannelMult), nearestSizes(h, w, m))
	}
	if c.ModelType == "uvit" && c.UViT.Positions == LearnedPositions && max(h, w) > c.Resolution {
		return fmt.Errorf("pictures of %d×%d do not fit this network: its learned positions end at %d pixels", h, w, c.Resolution)
	}
	return nil
}

// maxChannels bounds every width, so that a lying file cannot ask for a
// network that no machine could hold.
const maxChannels = 1 << 16

// maxResolution bounds the side of the pictures that a file may claim to be
// made for. CheckSize has no such bound.
const maxResolution = 1 << 14

// Validate returns every complaint about the configuration, joined.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("network config: "+format, args...))
		}
	}
	oneOf := func(field, v string, valid ...string) {
		check(slices.Contains(valid, v), "%s %q: want one of %q", field, v, valid)
	}
	between := func(field string, v, least, most int) {
		check(v >= least && v <= most, "%s is %d, want %d to %d", field, v, least, most)
	}
	oneOf("model_type", c.ModelType, "song", "adm", "unet2d", "uvit")
	between("img_resolution", c.Resolution, 1, maxResolution)
	between("in_channels", c.InChannels, 1, maxChannels)
	between("out_channels", c.OutChannels, c.InChannels, 2*maxChannels)
	between("label_dim", c.LabelDim, 0, maxChannels)
	between("augment_dim", c.AugmentDim, 0, maxChannels)
	between("model_channels", c.ModelChannels, 1, maxChannels)
	between("channel_mult_emb", c.ChannelMultEmb, 1, 64)
	between("channel_mult_noise", c.ChannelMultNoise, 1, 64)
	between("num_blocks", c.NumBlocks, 1, 64)
	between("patch_size", c.PatchSize, 1, 64)
	check(len(c.ChannelMult) >= 1 && len(c.ChannelMult) <= 16, "channel_mult has %d levels, want 1 to 16", len(c.ChannelMult))
	for _, m := range c.ChannelMult {
		between("channel_mult entry", m, 1, max(64, maxChannels/max(1, c.ModelChannels)))
	}
	check(c.Dropout >= 0 && c.Dropout < 1, "dropout is %g, want 0 or more and below 1", c.Dropout)
	embeddings := []string{"positional", "fourier"}
	if c.UNet2D != nil {
		embeddings = append(embeddings, "learned")
	}
	oneOf("embedding_type", c.EmbeddingType, embeddings...)
	oneOf("encoder_type", c.EncoderType, "standard", "skip", "residual")
	oneOf("decoder_type", c.DecoderType, "standard", "skip")
	check(len(c.ResampleFilter) >= 2 && len(c.ResampleFilter) <= 16 && len(c.ResampleFilter)%2 == 0,
		"resample_filter has %d taps, want an even number from 2 to 16", len(c.ResampleFilter))
	var sum float32
	for _, v := range c.ResampleFilter {
		sum += v
	}
	check(sum > 0 && sum < 1e6, "resample_filter sums to %g, want a positive number", sum)
	if c.ModelType == "adm" || c.ModelType == "uvit" {
		check(c.EmbeddingType == "positional" && c.EncoderType == "standard" && c.DecoderType == "standard",
			"%s has positional embedding and the standard encoder and decoder only", c.ModelType)
	}
	c.validateLayout(check, oneOf, between)
	check((c.ModelType == "unet2d") == (c.UNet2D != nil), "unet2d options belong to model_type unet2d")
	if u := c.UNet2D; u != nil && len(errs) == 0 {
		u.validate(c, check)
	}
	if len(errs) == 0 {
		if err := c.CheckSize(c.PictureSize()); err != nil {
			errs = append(errs, fmt.Errorf("network config: img_resolution: %w", err))
		} else if c.UNet2D != nil {
			errs = append(errs, c.outlineError())
		}
	}
	return errors.Join(errs...)
}

// noiseChannels is the width of the noise embedding: EDM's, made even, at
// least two, so that every channel count works.
func (c Config) noiseChannels() int {
	n := c.ModelChannels
	if c.ModelType == "song" {
		n *= c.ChannelMultNoise
	}
	return max(2, n+n%2)
}

// groups returns the number of groups of a group norm over ch channels:
// EDM's min(32, ch/4) where that divides ch, else the next smaller divisor.
func groups(ch int) int {
	g := max(1, min(32, ch/4))
	for ch%g != 0 {
		g--
	}
	return g
}
