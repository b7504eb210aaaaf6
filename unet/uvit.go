package unet

import "diffuse/tensor"

// transformer is a block of the middle of a U-ViT (Hoogeboom et al. 2023, sec. 3.5), without a skip: self-attention and an
// MLP, each behind a layer norm that the embedding scales and shifts, each ending in weights that start at zero.
type transformer struct {
	places       *tensor.Tensor // learned positions, added before the first block; else nil
	norm0, norm1 layerNorm
	affine       linear // embedding → scale and shift of both norms
	qkv, proj    conv
	mlp0, mlp1   conv
	channels     int
	attention    Attention
	dropout      float64 // of the MLP's hidden values
}

// layerNorm normalises every pixel over its channels.
type layerNorm struct{ gamma, beta *tensor.Tensor }

// layerNormEps is added to the variance of a pixel.
const layerNormEps = 1e-6

func (b *transformer) forward(t *tensor.Tape, x, emb *tensor.Tensor, in Inputs) *tensor.Tensor {
	h := x
	if b.places != nil {
		h = tensor.AddPlaces(t, x, b.places)
	}
	e := b.affine.forward(t, emb)
	z := b.attend(t, h, e)
	if h != x {
		tensor.Recycle(t, h)
	}
	y := b.norm1.forward(t, z, e, 2*b.channels)
	hidden := b.mlp0.forward(t, y)
	active := tensor.SiLU(t, hidden)
	tensor.Recycle(t, e, y, hidden)
	if b.dropout > 0 && in.Dropout != nil {
		active = tensor.Dropout(t, active, b.dropout, in.Dropout)
	}
	y = b.mlp1.forward(t, active)
	out := tensor.Add(t, z, y, 1, 1)
	tensor.Recycle(t, active, y, z)
	return out
}

// attend returns x plus its self-attention. e holds the scales and shifts of both norms.
func (b *transformer) attend(t *tensor.Tape, x, e *tensor.Tensor) *tensor.Tensor {
	y := b.norm0.forward(t, x, e, 0)
	qkv := b.qkv.forward(t, y)
	tensor.Recycle(t, y)
	if k := b.attention; k.RopeBase > 0 && k.Kind != LinearAttention {
		turned := tensor.Rotate2D(t, qkv, k.Heads, k.RopeBase)
		tensor.Recycle(t, qkv)
		qkv = turned
	}
	a := b.attention.Apply(t, qkv, b.qkv.precision)
	p := b.proj.forward(t, a)
	z := tensor.Add(t, x, p, 1, 1)
	tensor.Recycle(t, qkv, a, p)
	return z
}

// forward normalises x; its scale and shift stand in e from column from on.
func (n *layerNorm) forward(t *tensor.Tape, x, e *tensor.Tensor, from int) *tensor.Tensor {
	c := n.gamma.Len()
	scale, shift := tensor.Columns(t, e, from, from+c), tensor.Columns(t, e, from+c, from+2*c)
	y := tensor.LayerNorm(t, x, n.gamma, n.beta, scale, shift, layerNormEps)
	tensor.Recycle(t, scale, shift)
	return y
}

// transformer makes a block; the first one holds the learned positions.
func (b *builder) transformer(name string, channels int, first bool) *transformer {
	n := b.net
	v := n.UViT
	k := &transformer{channels: channels, attention: Attention{Kind: v.Attention, Heads: channels / v.HeadChannels}, dropout: n.DropoutAt(b.resolution(b.level))}
	switch {
	case v.Positions == RotaryPositions:
		k.attention.RopeBase = v.RopeBase
	case v.Positions == LearnedPositions && first:
		side := b.resolution(b.level)
		k.places = b.alloc(side, side, channels)
		b.init(name+".places", k.places, nil, 1, 1, initRule{kaiming: true, normal: true, weight: 0.02})
	}
	k.norm0 = b.layerNorm(name+".norm0", channels)
	k.affine = b.linear(name+".affine", n.ModelChannels*n.ChannelMultEmb, 4*channels, true, b.zero)
	k.qkv = b.conv(name+".qkv", channels, 3*channels, 1, resampling{}, b.attn)
	k.proj = b.conv(name+".proj", channels, channels, 1, resampling{}, b.zero)
	k.norm1 = b.layerNorm(name+".norm1", channels)
	k.mlp0 = b.conv(name+".mlp0", channels, v.MLPRatio*channels, 1, resampling{}, b.first)
	k.mlp1 = b.conv(name+".mlp1", v.MLPRatio*channels, channels, 1, resampling{}, b.zero)
	return k
}

func (b *builder) layerNorm(name string, channels int) layerNorm {
	l := layerNorm{gamma: b.alloc(channels), beta: b.alloc(channels)}
	for i := range l.gamma.Data {
		l.gamma.Data[i] = 1
	}
	b.add(name+".weight", l.gamma)
	b.add(name+".bias", l.beta)
	return l
}
