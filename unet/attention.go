package unet

import "diffuse/tensor"

// An Attention is how the pixels of one block attend to one another.
type Attention struct {
	Kind     string  // SoftmaxAttention (or empty), ReLU2Attention, SigmoidAttention or LinearAttention
	Heads    int     // 0 = the block has none
	RopeBase float64 // of rotary positions; 0 = none
}

// The values of Attention.Kind and UViT.Attention.
const (
	SoftmaxAttention = "softmax" // [tensor.Attention]
	ReLU2Attention   = "relu2"   // [tensor.ReLU2Attention]
	SigmoidAttention = "sigmoid" // [tensor.SigmoidAttention]
	LinearAttention  = "linear"  // [tensor.LinearAttention]: time linear in the pixels
)

// Softmax says whether the weights of a query's keys sum to 1 by a softmax.
func (a Attention) Softmax() bool { return a.Kind == "" || a.Kind == SoftmaxAttention }

// Apply returns the N×H×W×C that the queries, keys and values in qkv, N×H×W×3C, result in, as [tensor.Attention] lays them out.
// For rotary positions qkv has gone through [tensor.Rotate2D], but for linear attention, which turns its features. The products
// of the softmax's form are those of precision, other forms compute in float32.
func (a Attention) Apply(t *tensor.Tape, qkv *tensor.Tensor, precision tensor.Precision) *tensor.Tensor {
	switch a.Kind {
	case ReLU2Attention:
		return tensor.ReLU2Attention(t, qkv, a.Heads)
	case SigmoidAttention:
		return tensor.SigmoidAttention(t, qkv, a.Heads)
	case LinearAttention:
		return tensor.LinearAttention(t, qkv, a.Heads, a.RopeBase)
	}
	return tensor.Attention(t, qkv, a.Heads, precision)
}

// FLOP returns the arithmetic of the two products of attention for a picture of so many pixels and channels, a multiply-add
// counted as two: queries with keys and weights with values, or keys with values and queries with the state.
func (a Attention) FLOP(pixels, channels int) float64 {
	others := pixels
	if a.Kind == LinearAttention {
		others = channels / a.Heads
	}
	return 4 * float64(pixels) * float64(others) * float64(channels)
}

// Attentions returns the attention of every block that has some, by the block's name, such as dec.8x8_in0.
func (n *Net) Attentions() map[string]Attention {
	all := map[string]Attention{}
	for _, part := range [][]stage{n.encoder, n.decoder} {
		for i := range part {
			switch s := &part[i]; {
			case s.transformer != nil:
				all[s.name] = s.transformer.attention
			case s.heads > 0:
				all[s.name] = Attention{Heads: s.heads}
			}
		}
	}
	return all
}
