package unet

import (
	"fmt"
	"slices"

	"diffuse/skiptune"
	"diffuse/tensor"
)

// A SkipRule says what every concatenation of the decoder does at noise level
// sigma, deepest first; nil changes nothing. It may be called concurrently,
// and its result is not written to. A method value skiptune.Tuning.At is one.
type SkipRule func(sigma float64) []skiptune.Join

// JoinInfo describes a concatenation of the decoder.
type JoinInfo struct {
	Block   string // name of the block behind it, such as dec.8x8_block0
	Side    int    // height of the features on a picture of size Resolution
	Decoder int    // channels of the decoder's features
	Skip    int    // channels of the skip
}

// Joins describes the concatenations, deepest first.
func (n *Net) Joins() []JoinInfo { return slices.Clone(n.joins) }

// Skips returns how many skip connections the decoder concatenates.
func (n *Net) Skips() int { return len(n.joins) }

// WithSkips returns a network whose skip connections are multiplied by rho
// just before concatenation, deepest first (Skip-Tuning, Ma et al. 2024,
// Def. 3.1). Weights are shared; n is untouched. It panics unless rho has
// [Net.Skips] entries; nil restores the plain network.
func (n *Net) WithSkips(rho []float32) *Net {
	if rho == nil {
		return n.WithSkipRule(nil)
	}
	if len(rho) != n.Skips() {
		panic(fmt.Sprintf("unet.WithSkips: %d weights for %d skip connections", len(rho), n.Skips()))
	}
	joins := skiptune.Fixed(rho)
	return n.WithSkipRule(func(float64) []skiptune.Join { return joins })
}

// WithSkipRule returns a network whose concatenations follow a rule that may
// depend on the noise level; nil is the plain network. Weights are shared; n
// is untouched.
func (n *Net) WithSkipRule(rule SkipRule) *Net {
	m := *n
	m.rule = rule
	return &m
}

// skipTuning asks the rule for every image; nil if it changes none.
func (n *Net) skipTuning(batch int, in Inputs) [][]skiptune.Join {
	if n.rule == nil {
		return nil
	}
	if in.Sigma != nil && len(in.Sigma) != batch {
		panic(fmt.Sprintf("unet.Forward: %d noise levels for a skip rule and %d images", len(in.Sigma), batch))
	}
	list := make([][]skiptune.Join, batch)
	tuned := false
	for i := range list {
		switch {
		case in.Sigma == nil:
			list[i] = n.rule(0)
		case i > 0 && in.Sigma[i] == in.Sigma[i-1]:
			list[i] = list[i-1]
		default:
			list[i] = n.rule(in.Sigma[i])
		}
		if list[i] != nil && len(list[i]) != n.Skips() {
			panic(fmt.Sprintf("unet.Forward: the skip rule gives %d joins for %d skip connections", len(list[i]), n.Skips()))
		}
		tuned = tuned || list[i] != nil
	}
	if !tuned {
		return nil
	}
	return list
}

// join concatenates decoder features u and skip d at connection k: what the
// next block's residual branch sees, and its shortcut, which is the same
// tensor unless their weights differ. The results are new.
func join(t *tensor.Tape, u, d *tensor.Tensor, tuning [][]skiptune.Join, k int) (x, short *tensor.Tensor) {
	if tuning == nil {
		x = tensor.Concat(t, u, d, nil)
		return x, x
	}
	factors := func(of func(skiptune.Join) float32) (list []float32, plain bool) {
		list, plain = make([]float32, len(tuning)), true
		for i, joins := range tuning {
			list[i] = 1
			if joins != nil {
				list[i] = of(joins[k])
			}
			plain = plain && list[i] == 1
		}
		return list, plain
	}
	u0, d0 := u, d
	if b, plain := factors(func(j skiptune.Join) float32 { return j.Backbone }); !plain {
		u = tensor.ScaleChannels(t, u, u.Shape[3]/2, b)
	}
	if s, plain := factors(func(j skiptune.Join) float32 { return j.Low }); !plain {
		d = tensor.ScaleLow(t, d, s)
	}
	norm, _ := factors(func(j skiptune.Join) float32 { return j.Norm })
	shortcut, _ := factors(func(j skiptune.Join) float32 { return j.Shortcut })
	x = tensor.Concat(t, u, d, norm)
	short = x
	if !slices.Equal(norm, shortcut) {
		short = tensor.Concat(t, u, d, shortcut)
	}
	if u != u0 {
		tensor.Recycle(t, u)
	}
	if d != d0 {
		tensor.Recycle(t, d)
	}
	return x, short
}
