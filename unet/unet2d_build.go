package unet

import (
	"fmt"
	"math"
	"slices"
)

// firFilter is NCSN++'s filter for pictures and features that change size.
var firFilter = []float32{1, 3, 3, 1}

// unet2D makes the layers of diffusers' UNet2DModel. Each is known by two names: ours, as in EDM's networks, and that of the library's files.
func (b *builder) unet2D() {
	b.peers = map[string]string{}
	b.unet2DMapping()
	b.unet2DEncoder()
	b.unet2DDecoder()
	for i := range b.net.params {
		p := &b.net.params[i]
		layer, end := cutLast(p.name)
		p.peers = []string{b.peers[layer] + end}
		if q, ok := b.peers[layer+".q"]; ok {
			p.peers = []string{q + end, b.peers[layer+".k"] + end, b.peers[layer+".v"] + end}
		}
	}
}

// unet2DMapping makes the embedding of times and classes.
func (b *builder) unet2DMapping() {
	n, u := b.net, b.net.UNet2D
	features := n.firstWidth()
	switch n.EmbeddingType {
	case "fourier":
		n.freqs = b.alloc(features)
		for i := 0; b.rng != nil && i < features; i++ {
			n.freqs.Data[i] = float32(16 * b.rng.NormFloat64())
		}
		features *= 2
	case "learned":
		l := b.linear("map_noise", u.Timesteps, features, false, initRule{kaiming: true, normal: true, weight: math.Sqrt(float64(u.Timesteps))})
		n.mapTime = &l
		b.peers["map_noise"] = "time_proj"
	}
	mlp := func(name, peer string) (l0, l1 linear) {
		b.peers[name+"0"], b.peers[name+"1"] = peer+".linear_1", peer+".linear_2"
		return b.linear(name+"0", features, u.EmbChannels, true, b.first), b.linear(name+"1", u.EmbChannels, u.EmbChannels, true, b.first)
	}
	n.mapLayer0, n.mapLayer1 = mlp("map_layer", "time_embedding")
	switch {
	case n.LabelDim == 0 || u.ClassEmbedding == "identity":
	case u.ClassEmbedding == "timestep":
		n.mapClass0, n.mapClass1 = mlp("map_class", "class_embedding")
	default:
		l := b.linear("map_label", n.LabelDim, u.EmbChannels, false, initRule{kaiming: true, normal: true, weight: math.Sqrt(float64(n.LabelDim))})
		n.mapLabel = &l
		b.peers["map_label"] = "class_embedding"
	}
}

// width returns the channels of a level.
func (b *builder) width(level int) int { return b.net.ModelChannels * b.net.ChannelMult[level] }

// unet2DEncoder makes the way down; b.skips gets the channels of what it leaves for the way up.
func (b *builder) unet2DEncoder() {
	n, u := b.net, b.net.UNet2D
	add := func(name string, s stage, skip int) {
		s.name = name
		n.encoder = append(n.encoder, s)
		if skip > 0 {
			b.skips = append(b.skips, skip)
		}
	}
	cout := b.width(0)
	name := b.levelName("enc", 0, "conv")
	b.peers[name] = "conv_in"
	add(name, stage{kind: inputConv, conv: b.conv(name, n.InChannels, cout, 3, resampling{}, b.first)}, cout)
	for level := range n.ChannelMult {
		kind, peer := u.down(level), fmt.Sprintf("down_blocks.%d", level)
		for i := range n.NumBlocks {
			r := b.resnetOf(kind, cout, b.width(level))
			r.attention = kind.attention
			cout = r.out
			name := b.levelName("enc", level, fmt.Sprintf("block%d", i))
			add(name, stage{block: b.resnet(name, fmt.Sprintf("%s.resnets.%d", peer, i), fmt.Sprintf("%s.attentions.%d", peer, i), r)}, cout)
		}
		if level == len(n.ChannelMult)-1 {
			break
		}
		r := b.resnetOf(kind, cout, cout)
		r.down = true
		switch name := b.levelName("enc", level+1, "down"); {
		case kind.skip:
			r.shortcut, r.taps = true, firFilter
			add(name, stage{block: b.resnet(name, peer+".resnet_down", "", r)}, cout)
			add("", stage{kind: auxDown, conv: conv{down: true, taps: firFilter}}, 0)
			name = b.levelName("enc", level+1, "aux_skip")
			b.peers[name] = peer + ".skip_conv"
			add(name, stage{kind: auxSkip, conv: b.conv(name, pictureSkip, cout, 1, resampling{}, b.first)}, 0)
		case kind.resnet:
			add(name, stage{block: b.resnet(name, peer+".downsamplers.0", "", r)}, cout)
		default:
			b.peers[name] = peer + ".downsamplers.0.conv"
			c := b.conv(name, cout, cout, 3, resampling{}, b.first)
			c.strided, c.end = true, u.DownPadding == 0
			add(name, stage{kind: resample, conv: c}, cout)
		}
	}
}

// unet2DDecoder makes the middle, the way up and the output.
func (b *builder) unet2DDecoder() {
	n, u := b.net, b.net.UNet2D
	last := len(n.ChannelMult) - 1
	cout := b.width(last)
	b.unet2DMiddle(cout)
	skips := slices.Clone(b.skips)
	pictures := false // a Skip block before has begun the output
	for level := last; level >= 0; level-- {
		kind, peer := u.up(level), fmt.Sprintf("up_blocks.%d", last-level)
		for i := range n.NumBlocks + 1 {
			skip := skips[len(skips)-1]
			skips = skips[:len(skips)-1]
			r := b.resnetOf(kind, cout+skip, b.width(level))
			r.attention = kind.attention
			attention := fmt.Sprintf("%s.attentions.%d", peer, i)
			if kind.skip { // one attention behind all residual blocks; the groups of the first norm as the library has them
				r.attention = kind.attention && i == n.NumBlocks
				attention = peer + ".attentions.0"
				if kind.attention {
					r.groups0 = min(32, cout+skip/4)
				}
			}
			name := b.levelName("dec", level, fmt.Sprintf("block%d", i))
			n.joins = append(n.joins, JoinInfo{Block: name, Side: n.Resolution >> level, Decoder: cout, Skip: skip})
			cout = r.out
			b.stage(name, stage{kind: joinBlock, block: b.resnet(name, fmt.Sprintf("%s.resnets.%d", peer, i), attention, r)})
		}
		if kind.skip && pictures {
			b.stage("", stage{kind: auxUp, conv: conv{up: true, taps: firFilter}})
		}
		if level > 0 {
			pictures = b.unet2DUp(kind, level, cout, peer)
		}
	}
	b.peers["out_norm"], b.peers["out_conv"] = "conv_norm_out", "conv_out"
	b.stage("out_conv", stage{kind: auxOut, norm: b.groupNorm("out_norm", cout, b.unet2DGroups(cout), u.NormEps),
		conv: b.conv("out_conv", cout, n.OutChannels, 3, resampling{}, b.zero)})
}

// unet2DMiddle makes what stands between encoder and decoder.
func (b *builder) unet2DMiddle(channels int) {
	n, u := b.net, b.net.UNet2D
	if !u.Middle {
		return
	}
	r := b.resnetOf(unet2DKind{}, channels, channels)
	r.scale = u.MidScale
	for i := range 2 {
		r.attention, r.groups2 = i == 0 && u.MidAttention, u.MidNormGroups
		name := b.levelName("dec", len(n.ChannelMult)-1, fmt.Sprintf("in%d", i))
		b.stage(name, stage{block: b.resnet(name, fmt.Sprintf("mid_block.resnets.%d", i), "mid_block.attentions.0", r)})
	}
}

// unet2DUp makes what leads from a level to the next finer one, and says whether it begins or continues the output.
func (b *builder) unet2DUp(kind unet2DKind, level, channels int, peer string) (pictures bool) {
	r := b.resnetOf(kind, channels, channels)
	r.up = true
	name := b.levelName("dec", level-1, "up")
	switch {
	case kind.skip:
		norm, conv := b.levelName("dec", level, "aux_norm"), b.levelName("dec", level, "aux_conv")
		b.peers[norm], b.peers[conv] = peer+".skip_norm", peer+".skip_conv"
		b.stage(conv, stage{kind: auxOut, norm: b.groupNorm(norm, channels, r.groups1, b.net.UNet2D.NormEps),
			conv: b.conv(conv, channels, pictureSkip, 3, resampling{}, b.zero)})
		r.shortcut, r.taps = true, firFilter
		b.stage(name, stage{block: b.resnet(name, peer+".resnet_up", "", r)})
	case kind.resnet:
		b.stage(name, stage{block: b.resnet(name, peer+".upsamplers.0", "", r)})
	default:
		b.peers[name] = peer + ".upsamplers.0.conv"
		b.stage(name, stage{kind: resample, conv: b.conv(name, channels, channels, 3, resampling{up: true}, b.first)})
	}
	return kind.skip
}

// stage adds one to the decoder.
func (b *builder) stage(name string, s stage) {
	s.name = name
	b.net.decoder = append(b.net.decoder, s)
}

// levelName names a part of a level after its height.
func (b *builder) levelName(side string, level int, part string) string {
	r := b.net.Resolution >> level
	return fmt.Sprintf("%s.%dx%d_%s", side, r, r, part)
}

// A resnet is the shape of one of diffusers' residual blocks.
type resnet struct {
	in, out                   int
	groups0, groups1, groups2 int // of its norms; groups2 is attention's, 0 = no norm
	scale                     float64
	up, down                  bool
	taps                      []float32 // of the filter that resamples; nil = nearest neighbour, mean of four
	shortcut                  bool      // a convolution on the shortcut even if channels stay
	attention                 bool
}

// resnetOf returns the shape of a block of a level of the given kind.
func (b *builder) resnetOf(kind unet2DKind, in, out int) resnet {
	r := resnet{in: in, out: out, scale: 1}
	if kind.skip {
		r.scale, r.groups0, r.groups1, r.groups2 = math.Sqrt2, min(32, in/4), min(32, out/4), 32
	} else {
		r.groups0, r.groups1 = b.unet2DGroups(in), b.unet2DGroups(out)
		r.groups2 = r.groups1
	}
	return r
}

func (b *builder) unet2DGroups(channels int) int {
	if g := b.net.UNet2D.NormGroups; g > 0 {
		return g
	}
	return min(32, channels/4)
}

// resnet makes a residual block called peer in the library's files, with its attention called attention.
func (b *builder) resnet(name, peer, attention string, r resnet) block {
	n, u := b.net, b.net.UNet2D
	k := block{out: r.out, adaptive: u.Adaptive, scale: float32(1 / r.scale), dropout: n.Dropout, act: unet2DActivations[u.Activation]}
	for ours, theirs := range map[string]string{"norm0": "norm1", "conv0": "conv1", "affine": "time_emb_proj", "norm1": "norm2", "conv1": "conv2",
		"skip": "conv_shortcut"} {
		b.peers[name+"."+ours] = peer + "." + theirs
	}
	size := resampling{up: r.up, down: r.down, taps: r.taps}
	k.norm0 = b.groupNorm(name+".norm0", r.in, r.groups0, u.NormEps)
	k.conv0 = b.conv(name+".conv0", r.in, r.out, 3, size, b.first)
	affine := r.out
	if k.adaptive {
		affine *= 2
	}
	k.affine = b.linear(name+".affine", u.EmbChannels, affine, true, b.first)
	k.norm1 = b.groupNorm(name+".norm1", r.out, r.groups1, u.NormEps)
	k.conv1 = b.conv(name+".conv1", r.out, r.out, 3, resampling{}, b.zero)
	if r.in != r.out || r.shortcut || r.up || r.down {
		kernel := 1
		if r.in == r.out && !r.shortcut {
			kernel = 0
		}
		s := b.conv(name+".skip", r.in, r.out, kernel, size, b.first)
		k.skip = &s
	}
	if r.attention {
		b.unet2DAttention(&k, name, attention, r)
	}
	return k
}

// unet2DAttention adds attention to a block. Where heads do not fill the channels, it works on fewer.
func (b *builder) unet2DAttention(k *block, name, peer string, r resnet) {
	head := b.net.UNet2D.HeadChannels
	if head == 0 {
		head = r.out / max(1, b.net.UNet2D.Heads)
	}
	if head == 0 {
		head, b.err = r.out, fmt.Errorf("%s: %d channels for %d heads", peer, r.out, b.net.UNet2D.Heads)
	}
	k.heads = r.out / head
	if k.heads == 0 && b.err == nil {
		b.err = fmt.Errorf("%s: %d channels are less than an attention head of %d", peer, r.out, head)
	}
	b.peers[name+".norm2"], b.peers[name+".proj"] = peer+".group_norm", peer+".to_out.0"
	b.peers[name+".qkv.q"], b.peers[name+".qkv.k"], b.peers[name+".qkv.v"] = peer+".to_q", peer+".to_k", peer+".to_v"
	if r.groups2 > 0 {
		k.norm2 = b.groupNorm(name+".norm2", r.out, r.groups2, b.net.UNet2D.NormEps)
	}
	inner := k.heads * head
	k.qkv = b.conv(name+".qkv", r.out, 3*inner, 1, resampling{}, b.attn)
	k.proj = b.conv(name+".proj", inner, r.out, 1, resampling{}, b.zero)
}

// groupNorm makes a norm of given groups. Groups that do not divide the channels are noted in b.err.
func (b *builder) groupNorm(name string, channels, groups int, eps float64) norm {
	if (groups < 1 || channels%groups != 0) && b.err == nil {
		b.err = fmt.Errorf("%s (%s): %d channels do not divide into %d groups", b.peers[name], name, channels, groups)
	}
	return b.newNorm(name, channels, groups, float32(eps))
}

// cutLast splits a parameter's name before its last dot.
func cutLast(name string) (layer, end string) {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[:i], name[i:]
		}
	}
	return name, ""
}
