package unet

import "diffuse/tensor"

// block is EDM's UNetBlock: norm, SiLU, convolution; the noise embedding;
// norm, SiLU, dropout, convolution; a shortcut; optional self-attention.
type block struct {
	out          int // channels
	norm0, norm1 norm
	conv0, conv1 conv
	affine       linear // embedding → out channels (twice that when adaptive)
	skip         *conv  // shortcut; nil = identity
	norm2        norm
	qkv, proj    conv
	heads        int     // 0 = no attention
	adaptive     bool    // ADM: the embedding scales and shifts norm1
	scale        float32 // skip_scale: √½ in SongUNet, 1 in ADM
	dropout      float64
	act          func(*tensor.Tape, *tensor.Tensor) *tensor.Tensor // activation; nil = SiLU
}

// forward evaluates the block. x goes through the residual branch, short
// through the shortcut; they are the same but for some kinds of Skip-Tuning.
func (b *block) forward(t *tensor.Tape, x, short, emb *tensor.Tensor, in Inputs) *tensor.Tensor {
	h := b.normed(t, &b.norm0, x, nil, nil)
	y := b.conv0.forward(t, h)
	tensor.Recycle(t, h)

	e := b.affine.forward(t, emb)
	if b.adaptive {
		scale, shift := tensor.Columns(t, e, 0, b.out), tensor.Columns(t, e, b.out, 2*b.out)
		h = b.normed(t, &b.norm1, y, scale, shift)
		tensor.Recycle(t, y, e, scale, shift)
	} else {
		z := tensor.AddChannels(t, y, e)
		h = b.normed(t, &b.norm1, z, nil, nil)
		tensor.Recycle(t, y, z, e)
	}
	if b.dropout > 0 && in.Dropout != nil {
		h = tensor.Dropout(t, h, b.dropout, in.Dropout)
	}
	y = b.conv1.forward(t, h)
	tensor.Recycle(t, h)

	s := short
	if b.skip != nil {
		s = b.skip.forward(t, short)
	}
	z := tensor.Add(t, y, s, b.scale, b.scale)
	tensor.Recycle(t, y)
	if s != short {
		tensor.Recycle(t, s)
	}
	if b.heads == 0 {
		return z
	}

	h = z
	if b.norm2.gamma != nil {
		h = b.norm2.forward(t, z, nil, nil, false)
	}
	qkv := b.qkv.forward(t, h)
	a := tensor.Attention(t, qkv, b.heads, b.qkv.precision)
	tensor.Recycle(t, qkv)
	if h != z {
		tensor.Recycle(t, h)
	}
	p := b.proj.forward(t, a)
	out := tensor.Add(t, p, z, b.scale, b.scale)
	tensor.Recycle(t, a, p, z)
	return out
}

// normed applies a norm and the block's activation.
func (b *block) normed(t *tensor.Tape, n *norm, x, scale, shift *tensor.Tensor) *tensor.Tensor {
	if b.act == nil {
		return n.forward(t, x, scale, shift, true)
	}
	h := n.forward(t, x, scale, shift, false)
	y := b.act(t, h)
	tensor.Recycle(t, h)
	return y
}
