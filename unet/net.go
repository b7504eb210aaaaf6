package unet

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"

	"diffuse/skiptune"
	"diffuse/tensor"
)

// A Net is a network with its weights. Forward passes may run concurrently;
// nothing but training may change the weights.
type Net struct {
	Config
	params []param
	freqs  *tensor.Tensor // Fourier embedding only: a buffer, not trained
	rule   SkipRule       // nil = plain concatenation

	precision tensor.Precision

	mapLabel, mapAugment *linear
	mapLayer0, mapLayer1 linear
	mapTime              *linear // table of a learned time embedding; nil = none
	mapClass0, mapClass1 linear  // of a UNet2DModel whose labels are numbers
	encoder, decoder     []stage
	joins                []JoinInfo // the decoder's concatenations, deepest first
}

type param struct {
	name string
	*tensor.Tensor
	peers []string // of a UNet2DModel: its name in the library's files, or those of query, key and value
}

// A stage is one entry of EDM's encoder or decoder dictionary.
type stage struct {
	name string
	kind stageKind
	block
	conv conv
	norm norm

	transformer *transformer // of a transformerBlock
	skipless    bool         // encoder: no decoder block joins the result
}

type stageKind int

const (
	plainBlock       stageKind = iota // residual block
	joinBlock                         // decoder block that pops a skip and concatenates it
	inputConv                         // first convolution
	auxDown                           // encoder "skip": aux = resampled picture
	auxSkip                           // encoder "skip": x += conv(aux), replaces the last skip
	auxResidual                       // encoder "residual": x = aux = (x + conv(aux))/√2, replaces the last skip
	auxUp                             // decoder "skip": output so far, upsampled
	resample                          // convolution that changes the size
	auxOut                            // norm, SiLU, convolution: (part of) the output
	transformerBlock                  // between encoder and decoder of a U-ViT
)

// Inputs are the conditions of a forward pass besides the noise level.
type Inputs struct {
	Labels       []int          // class of each image, −1 for none; nil = none at all
	LabelVectors *tensor.Tensor // N×[Config.LabelWidth], in place of Labels
	Augment      *tensor.Tensor // N×AugmentDim; nil = zeros
	Dropout      []*rand.Rand   // one generator per image switches dropout on
	Sigma        []float64      // noise levels for a [SkipRule]; [Denoiser] fills them in, nil = 0

	// CheckpointBlocks makes a tape keep the results of blocks only, and compute what is inside them again in the backward
	// pass (see [tensor.Checkpoint]): much less memory for about a third more time, and the same gradients.
	CheckpointBlocks bool

	// OnJoin, if set, is called before each concatenation, deepest first, with the
	// decoder's features and the skip as the encoder made it. It must keep neither.
	OnJoin func(i int, decoder, skip *tensor.Tensor)

	// OnEncoded, if set, is called with the deepest features of the encoder, N×h×w×C, before the decoder. With a tape they stay
	// until [tensor.Tape.Free] and may be seeded; with a nil tape it must not keep them.
	OnEncoded func(features *tensor.Tensor)
	// EncoderOnly ends a forward pass there: what comes back are these features.
	EncoderOnly bool
}

// block runs f, one stage of the network, as a checkpoint if that is asked for.
func (in *Inputs) block(t *tensor.Tape, f func(t *tensor.Tape) *tensor.Tensor) *tensor.Tensor {
	if in.CheckpointBlocks {
		return tensor.Checkpoint(t, f)
	}
	return f(t)
}

// Params yields every trained parameter in a fixed order (that of EDM's
// registration) under EDM's name. Convolutions are KH×KW×Cin×Cout, linear
// maps In×Out.
func (n *Net) Params() iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) {
		for _, p := range n.params {
			if !yield(p.name, p.Tensor) {
				return
			}
		}
	}
}

// Forward evaluates the bare network F on x, N×H×W×InChannels, whose noise
// conditioning is cnoise (N values, c_noise of the preconditioning). The
// result is N×H×W×OutChannels. H and W may differ from Resolution but must
// pass [Config.CheckSize]; wrong shapes panic. With a nil tape the caller
// owns the result and may [tensor.Recycle] it.
func (n *Net) Forward(t *tensor.Tape, x *tensor.Tensor, cnoise []float32, in Inputs) *tensor.Tensor {
	if len(x.Shape) != 4 || x.Shape[3] != n.InChannels || len(cnoise) != x.Shape[0] {
		panic(fmt.Sprintf("unet.Forward: x %v, %d noise levels, network of %d channels", x.Shape, len(cnoise), n.InChannels))
	}
	if err := n.CheckSize(x.Shape[1], x.Shape[2]); err != nil {
		panic("unet.Forward: " + err.Error())
	}
	emb := n.embed(t, cnoise, in)
	if n.UNet2D != nil && n.UNet2D.CenterInput {
		x = centred(t, x)
	}
	if n.PatchSize > 1 {
		x = n.shrink(t, x)
	}
	h, skips := n.encode(t, x, emb, in)
	if in.OnEncoded != nil {
		in.OnEncoded(h)
	}
	if in.EncoderOnly {
		return h
	}
	y := n.decode(t, h, skips, emb, n.skipTuning(len(cnoise), in), in)
	tensor.Recycle(t, emb)
	if n.PatchSize > 1 {
		tensor.Recycle(t, x)
		z := n.grow(t, y)
		tensor.Recycle(t, y)
		y = z
	}
	if n.UNet2D != nil && n.EmbeddingType == "fourier" {
		y = perSigma(t, y, cnoise)
	}
	return y
}

// embed maps noise level, class and augmentation to one vector per image.
func (n *Net) embed(t *tensor.Tape, cnoise []float32, in Inputs) *tensor.Tensor {
	if n.UNet2D != nil {
		return n.embedUNet2D(t, cnoise, in)
	}
	song := n.ModelType == "song"
	var emb *tensor.Tensor
	if n.freqs != nil {
		emb = fourier(cnoise, n.freqs.Data, song)
	} else {
		emb = positional(cnoise, n.noiseChannels(), song, song)
	}
	if n.mapLabel != nil && song {
		emb = tensor.Add(t, emb, n.mapLabel.forward(t, n.labels(len(cnoise), in, math.Sqrt(float64(n.LabelDim)))), 1, 1)
	}
	if n.mapAugment != nil && in.Augment != nil {
		emb = tensor.Add(t, emb, n.mapAugment.forward(t, in.Augment), 1, 1)
	}
	emb = tensor.SiLU(t, n.mapLayer0.forward(t, emb))
	emb = n.mapLayer1.forward(t, emb)
	if n.mapLabel != nil && !song {
		emb = tensor.Add(t, emb, n.mapLabel.forward(t, n.labels(len(cnoise), in, 1)), 1, 1)
	}
	return tensor.SiLU(t, emb)
}

// labels returns N one-hot rows times gain.
func (n *Net) labels(batch int, in Inputs, gain float64) *tensor.Tensor {
	y := tensor.New(batch, n.LabelDim)
	switch {
	case in.LabelVectors != nil:
		if in.LabelVectors.Len() != y.Len() {
			panic(fmt.Sprintf("unet.Forward: label vectors %v for %d images of %d classes", in.LabelVectors.Shape, batch, n.LabelDim))
		}
		for i, v := range in.LabelVectors.Data {
			y.Data[i] = v * float32(gain)
		}
	case in.Labels != nil:
		if len(in.Labels) != batch {
			panic(fmt.Sprintf("unet.Forward: %d labels for %d images", len(in.Labels), batch))
		}
		for i, c := range in.Labels {
			if c >= n.LabelDim {
				panic(fmt.Sprintf("unet.Forward: label %d of a network with %d classes", c, n.LabelDim))
			}
			if c >= 0 {
				y.Data[i*n.LabelDim+c] = float32(gain)
			}
		}
	}
	return y
}

// encode returns the deepest activation and the skips, finest first.
func (n *Net) encode(t *tensor.Tape, x, emb *tensor.Tensor, in Inputs) (h *tensor.Tensor, skips []*tensor.Tensor) {
	h, aux := x, x
	kept := true // h is x or a skip
	next := func(y *tensor.Tensor, keep bool) {
		if !kept {
			tensor.Recycle(t, h)
		}
		h, kept = y, keep
		if keep {
			skips = append(skips, y)
		}
	}
	replace := func(y *tensor.Tensor) {
		tensor.Recycle(t, h)
		h = y
		skips[len(skips)-1] = y
	}
	for i := range n.encoder {
		switch s := &n.encoder[i]; s.kind {
		case auxDown:
			aux = s.conv.forward(t, aux)
		case auxSkip:
			replace(tensor.Add(t, h, s.conv.forward(t, aux), 1, 1))
		case auxResidual:
			replace(tensor.Add(t, h, s.conv.forward(t, aux), math.Sqrt2/2, math.Sqrt2/2))
			aux = h
		case inputConv, resample:
			next(s.conv.forward(t, h), !s.skipless)
		default:
			x := h
			next(in.block(t, func(t *tensor.Tape) *tensor.Tensor { return s.block.forward(t, x, x, emb, in) }), !s.skipless)
		}
	}
	return h, skips
}

// decode consumes the skips, deepest first. tuning says per image what each
// concatenation does; nil is the plain network.
func (n *Net) decode(t *tensor.Tape, h *tensor.Tensor, skips []*tensor.Tensor, emb *tensor.Tensor, tuning [][]skiptune.Join, in Inputs) *tensor.Tensor {
	var aux *tensor.Tensor
	shared := len(skips) > 0 && skips[len(skips)-1] == h // h is also the deepest skip
	next := func(y *tensor.Tensor) {
		if !shared {
			tensor.Recycle(t, h)
		}
		h, shared = y, false
	}
	joined := 0
	for i := range n.decoder {
		switch s := &n.decoder[i]; s.kind {
		case auxUp:
			aux = s.conv.forward(t, aux)
		case auxOut:
			x := h
			y := in.block(t, func(t *tensor.Tape) *tensor.Tensor {
				z := s.norm.forward(t, x, nil, nil, true)
				y := s.conv.forward(t, z)
				tensor.Recycle(t, z)
				return y
			})
			if aux != nil {
				y = tensor.Add(t, y, aux, 1, 1)
			}
			aux = y
		case joinBlock:
			skip := skips[len(skips)-1]
			skips = skips[:len(skips)-1]
			if in.OnJoin != nil {
				in.OnJoin(joined, h, skip)
			}
			k, u, last := joined, h, shared
			joined++
			h, shared = in.block(t, func(t *tensor.Tape) *tensor.Tensor {
				x, short := join(t, u, skip, tuning, k)
				if !last {
					tensor.Recycle(t, u)
				}
				tensor.Recycle(t, skip)
				y := s.block.forward(t, x, short, emb, in)
				tensor.Recycle(t, x)
				if short != x {
					tensor.Recycle(t, short)
				}
				return y
			}), false
		case resample:
			next(s.conv.forward(t, h))
		case transformerBlock:
			x := h
			next(in.block(t, func(t *tensor.Tape) *tensor.Tensor { return s.transformer.forward(t, x, emb, in) }))
		default:
			x := h
			next(in.block(t, func(t *tensor.Tape) *tensor.Tensor { return s.block.forward(t, x, x, emb, in) }))
		}
	}
	tensor.Recycle(t, h)
	return aux
}
