package unet

import (
	"fmt"
	"math"

	"diffuse/tensor"
)

// LabelWidth returns how many numbers the label of a picture has as a vector: one per class, or one in all where a UNet2DModel treats
// it as it does times.
func (c Config) LabelWidth() int {
	if c.UNet2D != nil && c.UNet2D.ClassEmbedding == "timestep" {
		return 1
	}
	return c.LabelDim
}

// embedUNet2D maps time and class to one vector per image, activated. A picture without a class gets no class embedding.
func (n *Net) embedUNet2D(t *tensor.Tape, times []float32, in Inputs) *tensor.Tensor {
	emb := mlp(t, n.timeFeatures(t, times), &n.mapLayer0, &n.mapLayer1)
	switch {
	case n.LabelDim == 0:
	case n.UNet2D.ClassEmbedding == "timestep":
		numbers, there := n.labelNumbers(len(times), in)
		emb = tensor.Add(t, emb, tensor.Scale(t, mlp(t, n.timeFeatures(t, numbers), &n.mapClass0, &n.mapClass1), there), 1, 1)
	case n.UNet2D.ClassEmbedding == "identity":
		emb = tensor.Add(t, emb, n.labels(len(times), in, 1), 1, 1)
	default:
		emb = tensor.Add(t, emb, n.mapLabel.forward(t, n.labels(len(times), in, 1)), 1, 1)
	}
	if act := unet2DActivations[n.UNet2D.Activation]; act != nil {
		return act(t, emb)
	}
	return tensor.SiLU(t, emb)
}

// mlp is two linear maps with SiLU between them, whatever the network's activation.
func mlp(t *tensor.Tape, x *tensor.Tensor, l0, l1 *linear) *tensor.Tensor {
	return l1.forward(t, tensor.SiLU(t, l0.forward(t, x)))
}

// timeFeatures embeds times, which are noise levels sigma under Fourier features and rows of the table under learned ones, where they
// are rounded and kept within it.
func (n *Net) timeFeatures(t *tensor.Tape, times []float32) *tensor.Tensor {
	switch n.EmbeddingType {
	case "fourier":
		return logFourier(times, n.freqs.Data)
	case "learned":
		rows := n.UNet2D.Timesteps
		hot := tensor.New(len(times), rows)
		for i, v := range times {
			hot.Data[i*rows+int(min(max(math.RoundToEven(float64(v)), 0), float64(rows-1)))] = 1
		}
		return n.mapTime.forward(t, hot)
	}
	return timestepSinusoids(times, n.firstWidth(), n.UNet2D.FreqShift, n.UNet2D.SinFirst)
}

// labelNumbers returns a number per picture, and a factor that is 0 where there is none.
func (n *Net) labelNumbers(batch int, in Inputs) (numbers, there []float32) {
	numbers, there = make([]float32, batch), make([]float32, batch)
	for i := range numbers {
		switch {
		case in.LabelVectors != nil:
			if in.LabelVectors.Len() != batch {
				panic(fmt.Sprintf("unet.Forward: label vectors %v for %d images of one number", in.LabelVectors.Shape, batch))
			}
			numbers[i], there[i] = in.LabelVectors.Data[i], 1
		case in.Labels != nil && in.Labels[i] >= 0:
			numbers[i], there[i] = float32(in.Labels[i]), 1
		}
	}
	return numbers, there
}

// timestepSinusoids returns diffusers' embedding of v, one row of width values each: cosines, then sines, or the other way round, of
// v·10000^(−j/(half−shift)), j = 0..half−1; a zero where width is odd.
func timestepSinusoids(v []float32, width int, shift float64, sinFirst bool) *tensor.Tensor {
	half := width / 2
	freqs := make([]float32, half)
	d := float32(float64(half) - shift)
	for j := range freqs {
		freqs[j] = float32(math.Pow(1e-4, float64(float32(j)/d)))
	}
	y := sinusoids(v, freqs, sinFirst)
	if width == 2*half {
		return y
	}
	wide := tensor.New(len(v), width)
	for i := range v {
		copy(wide.Data[i*width:], y.Data[i*2*half:(i+1)*2*half])
	}
	return wide
}

// logFourier returns sines, then cosines, of 2π·ln(sigma)·freqs, rounded to float32 after every product as in the library: the angles
// reach 1e3, so that other roundings would show.
func logFourier(sigma, freqs []float32) *tensor.Tensor {
	half := len(freqs)
	y := tensor.New(len(sigma), 2*half)
	for i, s := range sigma {
		l := float32(math.Log(float64(s)))
		for j, w := range freqs {
			angle := float32(l*w) * 2
			sin, cos := math.Sincos(float64(angle * float32(math.Pi)))
			y.Data[2*half*i+j], y.Data[2*half*i+half+j] = float32(sin), float32(cos)
		}
	}
	return y
}

// centred returns 2x − 1.
func centred(t *tensor.Tape, x *tensor.Tensor) *tensor.Tensor {
	twice := make([]float32, x.Shape[0])
	for i := range twice {
		twice[i] = 2
	}
	minus := tensor.New(x.Shape[3])
	for i := range minus.Data {
		minus.Data[i] = -1
	}
	return tensor.AddBias(t, tensor.Scale(t, x, twice), minus)
}

// perSigma divides picture i of y by sigma[i].
func perSigma(t *tensor.Tape, y *tensor.Tensor, sigma []float32) *tensor.Tensor {
	inverse := make([]float32, len(sigma))
	for i, s := range sigma {
		inverse[i] = 1 / s
	}
	z := tensor.Scale(t, y, inverse)
	tensor.Recycle(t, y)
	return z
}
