package unet

import (
	"slices"

	"diffuse/tensor"
)

// WithPrecision returns a network that computes convolutions and attention in
// precision p: forward, and backward on a tape. Everything else, and every
// sum, is float32. Weights are shared; n is untouched. It panics if n is [Net.Packed] for
// another precision: choose that first.
func (n *Net) WithPrecision(p tensor.Precision) *Net {
	m := n.eachConv(func(c *conv) {
		if c.packed != nil && c.precision != p {
			panic("unet.Net.WithPrecision: the network is packed for inference in another precision")
		}
		c.precision = p
	})
	m.precision = p
	return m
}

// Packed returns a network for inference: its convolutions have their weights
// in the order in which the kernels of its precision read them, which saves
// doing that in every evaluation. There is no second copy, and n must not be
// used any more, nor what shares weights with it. Of the result's parameters,
// some have no values, and it cannot compute gradients. Packing it again changes nothing.
func (n *Net) Packed() *Net {
	return n.eachConv(func(c *conv) {
		if c.w != nil && c.packed == nil {
			c.packed = tensor.PackConv(c.w, c.precision)
		}
	})
}

// Precision returns how the network computes convolutions and attention.
func (n *Net) Precision() tensor.Precision { return n.precision }

// eachConv returns a network of which f may change every convolution, but not
// the weights, which are n's.
func (n *Net) eachConv(f func(*conv)) *Net {
	m := *n
	m.encoder, m.decoder = slices.Clone(n.encoder), slices.Clone(n.decoder)
	for _, list := range [][]stage{m.encoder, m.decoder} {
		for i := range list {
			s := &list[i]
			convs := []*conv{&s.conv, &s.conv0, &s.conv1, &s.qkv, &s.proj}
			if s.skip != nil {
				skip := *s.skip
				s.skip = &skip
				convs = append(convs, s.skip)
			}
			if s.transformer != nil {
				k := *s.transformer
				s.transformer = &k
				convs = append(convs, &k.qkv, &k.proj, &k.mlp0, &k.mlp1)
			}
			for _, c := range convs {
				f(c)
			}
		}
	}
	return &m
}
