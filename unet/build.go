package unet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"diffuse/tensor"
)

// New returns a network of the given configuration whose weights are
// initialised as EDM's, drawn from rng. It reports what is wrong with an
// impossible configuration.
func New(c Config, rng *rand.Rand) (*Net, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return build(c, rng, tensor.New), nil
}

// empty returns a network with zero weights; c must be valid.
func empty(c Config) *Net { return build(c, nil, tensor.New) }

// outline returns a network whose parameters have shapes but no data.
func outline(c Config) *Net {
	return build(c, nil, func(shape ...int) *tensor.Tensor { return &tensor.Tensor{Shape: shape} })
}

// Outline returns a network of a configuration whose parameters have names and shapes but no values, so that it can be
// described, not evaluated. It reports what is wrong with an impossible configuration.
func Outline(c Config) (*Net, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return outline(c), nil
}

// Parameters returns how many trained parameters a network of this
// configuration, which must be valid, has. No network is made.
func (c Config) Parameters() int {
	count := 0
	for _, w := range outline(c).Params() {
		size := 1
		for _, d := range w.Shape {
			size *= d
		}
		count += size
	}
	return count
}

// build makes the network with tensors from alloc; rng nil leaves the
// weights as alloc made them.
func build(c Config, rng *rand.Rand, alloc func(shape ...int) *tensor.Tensor) *Net {
	b := &builder{net: &Net{Config: c}, rng: rng, alloc: alloc}
	if c.ModelType != "song" {
		b.first, b.zero, b.attn = admInit, initRule{kaiming: true}, admInit
	} else {
		b.first = initRule{weight: 1}
		b.zero = initRule{weight: 1e-5}
		b.attn = initRule{weight: math.Sqrt(0.2)}
	}
	if c.UNet2D != nil {
		b.unet2D()
	} else {
		b.mapping()
		b.decoder(b.encoder())
	}
	return b.net
}

// builder makes layers in EDM's order of registration, which is the order of
// [Net.Params] and of the random draws.
type builder struct {
	net               *Net
	rng               *rand.Rand
	alloc             func(shape ...int) *tensor.Tensor
	first, zero, attn initRule // EDM's init, init_zero, init_attn
	skips             []int    // channels of each skip, finest first
	level             int      // that layers are made for

	peers map[string]string // names of layers in files of diffusers, by ours
	err   error             // the first layer of a UNet2DModel that cannot be made
}

func (b *builder) mapping() {
	n := b.net
	noise, emb := n.noiseChannels(), n.ModelChannels*n.ChannelMultEmb
	song := n.ModelType == "song"
	if n.EmbeddingType == "fourier" {
		n.freqs = b.alloc(noise / 2)
		for i := 0; b.rng != nil && i < noise/2; i++ {
			n.freqs.Data[i] = float32(16 * b.rng.NormFloat64())
		}
	}
	label := func() {
		if n.LabelDim == 0 {
			return
		}
		rule, out := b.first, noise
		if !song {
			rule, out = initRule{kaiming: true, normal: true, weight: math.Sqrt(float64(n.LabelDim))}, emb
		}
		l := b.linear("map_label", n.LabelDim, out, song, rule)
		n.mapLabel = &l
	}
	augment := func() {
		if n.AugmentDim == 0 {
			return
		}
		rule := b.first
		if !song {
			rule = b.zero
		}
		l := b.linear("map_augment", n.AugmentDim, noise, false, rule)
		n.mapAugment = &l
	}
	if song {
		label()
		augment()
		n.mapLayer0 = b.linear("map_layer0", noise, emb, true, b.first)
		n.mapLayer1 = b.linear("map_layer1", emb, emb, true, b.first)
		return
	}
	augment()
	n.mapLayer0 = b.linear("map_layer0", noise, emb, true, b.first)
	n.mapLayer1 = b.linear("map_layer1", emb, emb, true, b.first)
	label()
}

// resolution returns the size that names a level: the patch grid's.
func (b *builder) resolution(level int) int { return b.net.side(level) }

// encoder makes the downward half and returns its last channel count.
func (b *builder) encoder() (channels int) {
	n := b.net
	add := func(name string, s stage, skip int) {
		s.name, s.skipless = name, skip == 0
		n.encoder = append(n.encoder, s)
		if skip > 0 {
			b.skips = append(b.skips, skip)
		}
	}
	cout := n.InChannels * n.PatchSize * n.PatchSize
	caux := cout
	for level, mult := range n.ChannelMult {
		b.level = level
		res, blocks := b.resolution(level), n.encoderBlocks(level)
		at := func(s string) string { return fmt.Sprintf("enc.%dx%d_%s", res, res, s) }
		joined := func(stage, channels int) int { // by the decoder, which meets the level's last stages first
			if stage <= blocks-n.joinsAt(level) {
				return 0
			}
			return channels
		}
		if level == 0 {
			cin := cout
			cout = n.ModelChannels
			if n.ModelType != "song" {
				cout *= mult
			}
			add(at("conv"), stage{kind: inputConv, conv: b.conv(at("conv"), cin, cout, 3, resampling{}, b.first)}, joined(0, cout))
		} else {
			cin := cout
			if n.ModelType == "uvit" {
				cout = n.ModelChannels * mult
			}
			add(at("down"), stage{block: b.block(at("down"), cin, cout, resampling{down: true}, 0)}, joined(0, cout))
			if n.EncoderType == "skip" {
				add(at("aux_down"), stage{kind: auxDown, conv: b.conv(at("aux_down"), caux, caux, 0, resampling{down: true}, b.first)}, 0)
				add(at("aux_skip"), stage{kind: auxSkip, conv: b.conv(at("aux_skip"), caux, cout, 1, resampling{}, b.first)}, 0)
			}
			if n.EncoderType == "residual" {
				add(at("aux_residual"), stage{kind: auxResidual, conv: b.conv(at("aux_residual"), caux, cout, 3, resampling{down: true, fused: true}, b.first)}, 0)
				caux = cout
			}
		}
		for i := range blocks {
			cin := cout
			cout = n.ModelChannels * mult
			name := at(fmt.Sprintf("block%d", i))
			add(name, stage{block: b.block(name, cin, cout, resampling{}, b.heads(cout, slices.Contains(n.AttnResolutions, res)))}, joined(i+1, cout))
		}
	}
	return cout
}

func (b *builder) decoder(cout int) {
	n := b.net
	add := func(name string, s stage) {
		s.name = name
		n.decoder = append(n.decoder, s)
	}
	out := n.OutChannels * n.PatchSize * n.PatchSize
	skips := slices.Clone(b.skips)
	for level := len(n.ChannelMult) - 1; level >= 0; level-- {
		b.level = level
		res, blocks := b.resolution(level), n.decoderBlocks(level)
		at := func(s string) string { return fmt.Sprintf("dec.%dx%d_%s", res, res, s) }
		if level == len(n.ChannelMult)-1 {
			for i := range n.middleBlocks() {
				name := at(fmt.Sprintf("in%d", i))
				add(name, b.middle(name, cout, i))
			}
		} else {
			cin := cout
			if n.ModelType == "uvit" {
				cout = n.ModelChannels * n.ChannelMult[level]
			}
			add(at("up"), stage{block: b.block(at("up"), cin, cout, resampling{up: true}, 0)})
		}
		for i := range blocks {
			name, kind, cin := at(fmt.Sprintf("block%d", i)), plainBlock, cout
			if i < n.joinsAt(level) {
				skip := skips[len(skips)-1]
				skips = skips[:len(skips)-1]
				n.joins = append(n.joins, JoinInfo{Block: name, Side: res, Decoder: cout, Skip: skip})
				kind, cin = joinBlock, cout+skip
			}
			cout = n.ModelChannels * n.ChannelMult[level]
			attn := slices.Contains(n.AttnResolutions, res) && (n.ModelType != "song" || i == blocks-1)
			add(name, stage{kind: kind, block: b.block(name, cin, cout, resampling{}, b.heads(cout, attn))})
		}
		if n.ModelType == "song" && (n.DecoderType == "skip" || level == 0) {
			if n.DecoderType == "skip" && level < len(n.ChannelMult)-1 {
				add(at("aux_up"), stage{kind: auxUp, conv: b.conv(at("aux_up"), out, out, 0, resampling{up: true}, b.first)})
			}
			add(at("aux_conv"), stage{kind: auxOut,
				norm: b.norm(at("aux_norm"), cout), conv: b.conv(at("aux_conv"), cout, out, 3, resampling{}, b.zero)})
		}
	}
	if n.ModelType != "song" {
		add("out_conv", stage{kind: auxOut, norm: b.norm("out_norm", cout), conv: b.conv("out_conv", cout, out, 3, resampling{}, b.zero)})
	}
}

// middle makes block i of those between encoder and decoder. Of residual ones all but the last attend, as in EDM.
func (b *builder) middle(name string, channels, i int) stage {
	n := b.net
	if n.ModelType == "uvit" {
		return stage{kind: transformerBlock, transformer: b.transformer(name, channels, i == 0)}
	}
	attend := i == 0 || i < n.middleBlocks()-1
	return stage{block: b.block(name, channels, channels, resampling{}, b.heads(channels, attend))}
}

// resampling says what a convolution or block does to the picture's size.
type resampling struct {
	up, down, fused bool
	taps            []float32 // of the filter; nil = the configuration's
}

// heads returns the number of attention heads of a block that asks for
// attention: one in SongUNet, one per 64 channels in ADM, so none below 64.
func (b *builder) heads(channels int, wanted bool) int {
	switch {
	case !wanted:
		return 0
	case b.net.ModelType == "song":
		return 1
	case b.net.ModelType == "uvit":
		return channels / b.net.UViT.HeadChannels
	}
	return channels / 64
}

func (b *builder) block(name string, cin, cout int, r resampling, heads int) block {
	n := b.net
	song := n.ModelType == "song"
	k := block{out: cout, heads: heads, adaptive: !song, scale: 1, dropout: n.DropoutAt(b.resolution(b.level))}
	if song {
		k.scale = math.Sqrt2 / 2
	}
	k.norm0 = b.norm(name+".norm0", cin)
	k.conv0 = b.conv(name+".conv0", cin, cout, 3, r, b.first)
	affine := cout
	if k.adaptive {
		affine *= 2
	}
	k.affine = b.linear(name+".affine", n.ModelChannels*n.ChannelMultEmb, affine, true, b.first)
	k.norm1 = b.norm(name+".norm1", cout)
	k.conv1 = b.conv(name+".conv1", cout, cout, 3, resampling{}, b.zero)
	if cin != cout || r.up || r.down {
		kernel := 1 // EDM's resample_proj, on in SongUNet
		if cin == cout && !song {
			kernel = 0
		}
		s := b.conv(name+".skip", cin, cout, kernel, r, b.first)
		k.skip = &s
	}
	if heads > 0 {
		k.norm2 = b.norm(name+".norm2", cout)
		k.qkv = b.conv(name+".qkv", cout, 3*cout, 1, resampling{}, b.attn)
		k.proj = b.conv(name+".proj", cout, cout, 1, resampling{}, b.zero)
	}
	return k
}

// conv makes a size×size convolution; size 0 only resamples.
func (b *builder) conv(name string, cin, cout, size int, r resampling, rule initRule) conv {
	c := conv{up: r.up, down: r.down, fused: r.fused, taps: r.taps}
	if c.taps == nil && (r.up || r.down) {
		c.taps = b.net.ResampleFilter
	}
	if size > 0 {
		c.w, c.b = b.alloc(size, size, cin, cout), b.alloc(cout)
		b.init(name, c.w, c.b, cin*size*size, cout*size*size, rule)
	}
	return c
}

func (b *builder) linear(name string, in, out int, bias bool, rule initRule) linear {
	l := linear{w: b.alloc(in, out)}
	if bias {
		l.b = b.alloc(out)
	}
	b.init(name, l.w, l.b, in, out, rule)
	return l
}

// norm makes one of EDM's norms.
func (b *builder) norm(name string, channels int) norm {
	eps := float32(1e-5)
	if b.net.ModelType == "song" {
		eps = 1e-6
	}
	return b.newNorm(name, channels, groups(channels), eps)
}

// newNorm makes a norm whose weights change nothing yet.
func (b *builder) newNorm(name string, channels, groups int, eps float32) norm {
	l := norm{gamma: b.alloc(channels), beta: b.alloc(channels), groups: groups, eps: eps}
	for i := range l.gamma.Data {
		l.gamma.Data[i] = 1
	}
	b.add(name+".weight", l.gamma)
	b.add(name+".bias", l.beta)
	return l
}

func (b *builder) add(name string, x *tensor.Tensor) {
	b.net.params = append(b.net.params, param{name: name, Tensor: x})
}

// Count returns how many parameter tensors a network of configuration c has, and
// how many values they hold together, without allocating them; c must be valid.
func Count(c Config) (tensors, parameters int) {
	for _, p := range outline(c).params {
		n := 1
		for _, d := range p.Shape {
			n *= d
		}
		tensors++
		parameters += n
	}
	return tensors, parameters
}
