package metric

import (
	"fmt"
	"math"

	"diffuse/imageio"
	"diffuse/internal/kernel"
	"diffuse/tensor"
)

// Random is a network that was never trained: four 3×3 convolutions with SiLU between them, whose weights follow from a formula,
// so that every copy of this program has the same ones. Its features are the means over the pixels after each convolution. It
// sees texture, edges and brightness in pictures of any size, and no meaning: a check that needs no other file, not a
// substitute for features that were learnt.
type Random struct {
	channels int
	weights  [len(randomWidths)]*tensor.Tensor
}

// Channels after each convolution of a Random network. The first keeps the picture's size, the others halve it.
var randomWidths = [4]int{32, 64, 96, 128}

// NewRandom returns the network for pictures of 1 or 3 channels. Weight number i of convolution l is uniform in ±sqrt(6/fan-in) (He et
// al. 2015, arXiv 1502.01852): output i+1 of SplitMix64 started at l.
func NewRandom(channels int) (*Random, error) {
	if channels != 1 && channels != 3 {
		return nil, fmt.Errorf("random features are for grey and colour pictures, not for %d channels", channels)
	}
	r := &Random{channels: channels}
	in := channels
	for l, out := range randomWidths {
		w := tensor.New(3, 3, in, out)
		state, bound := uint64(l), math.Sqrt(6/float64(9*in))
		for i := range w.Data {
			state += 0x9e3779b97f4a7c15
			z := (state ^ state>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			u := float64((z^z>>31)>>11)/(1<<52) - 1
			w.Data[i] = float32(bound * u)
		}
		r.weights[l], in = w, out
	}
	return r, nil
}

// Name is the extractor's: statistics are comparable only under the same one.
func (r *Random) Name() string { return "random" }

// Dim is the number of features of a picture.
func (r *Random) Dim() int {
	n := 0
	for _, w := range randomWidths {
		n += w
	}
	return n
}

// Features writes the features of pictures to dst, one row of Dim each, which must be its length, or it panics. The pictures must have one size
// and the network's channels.
func (r *Random) Features(dst []float64, pictures []imageio.Image) error {
	n, dim := len(pictures), r.Dim()
	if len(dst) != n*dim {
		panic(fmt.Sprintf("metric: %d values for %d rows of %d features", len(dst), n, dim))
	}
	for i, m := range pictures {
		if h, w := pictures[0].H, pictures[0].W; m.H != h || m.W != w || m.C != r.channels {
			return fmt.Errorf("picture %d is one of %d×%d×%d; want %d×%d×%d", i, m.H, m.W, m.C, h, w, r.channels)
		}
		if err := sound(m); err != nil {
			return fmt.Errorf("picture %d: %w", i, err)
		}
	}
	kernel.For(n, pass, func(i0, i1 int) { r.features(dst[i0*dim:i1*dim], pictures[i0:i1]) })
	return nil
}

func (r *Random) features(dst []float64, pictures []imageio.Image) {
	n, dim := len(pictures), r.Dim()
	x := tensor.New(n, pictures[0].H, pictures[0].W, r.channels)
	per := x.Len() / n
	for i, m := range pictures {
		imageio.ToFloat(x.Data[i*per:(i+1)*per], m.Pix)
	}
	at := 0
	for l, weights := range r.weights {
		stride := 2
		if l == 0 {
			stride = 1
		}
		y := tensor.Conv2D(nil, x, weights, nil, tensor.ConvOptions{Stride: stride, Pad: 1})
		if l > 0 { // the pictures themselves are no operation's result
			tensor.Recycle(nil, x)
		}
		x = tensor.SiLU(nil, y)
		mean := tensor.Mean(nil, x)
		c := randomWidths[l]
		for i := range n {
			for k, v := range mean.Data[i*c : (i+1)*c] {
				dst[i*dim+at+k] = float64(v)
			}
		}
		tensor.Recycle(nil, y, mean)
		at += c
	}
	tensor.Recycle(nil, x)
}
