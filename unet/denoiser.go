package unet

import (
	"fmt"

	"diffuse/schedule"
	"diffuse/tensor"
)

// A Denoiser is a network with its preconditioning (EDM eq. 7):
//
//	D(x;σ) = c_skip(σ)·x + c_out(σ)·F(c_in(σ)·x; c_noise(σ))
//
// The method value d.At is a sampler.Denoiser. Pictures are on the scale of
// [Card.ImageRange]. Several goroutines may use one Denoiser, and several
// Denoisers one network, at once.
type Denoiser struct {
	*Net
	Precond       schedule.Precond
	Labels        []int // class of each image of a batch, −1 for none; nil = none
	Height, Width int   // size of the pictures that At gets; 0 = those of [Config.PictureSize]

	CheckpointBlocks bool // see Inputs
}

// Denoise returns the estimate of the clean images behind x, N×H×W×C, whose
// noise levels are sigma, one per image. in.Labels overrides d.Labels. With
// a nil tape the caller owns the result. With in.EncoderOnly they are the encoder's features instead.
func (d Denoiser) Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, in Inputs) *tensor.Tensor {
	y, _ := d.denoise(t, x, sigma, in, false)
	return y
}

// Raw returns, beside the denoised images, what the bare network F returned.
// Tensors are new; nothing is recorded.
func (d Denoiser) Raw(x *tensor.Tensor, sigma []float64, in Inputs) (denoised, raw *tensor.Tensor) {
	return d.denoise(nil, x, sigma, in, true)
}

func (d Denoiser) denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, in Inputs, keep bool) (y, f *tensor.Tensor) {
	n := len(sigma)
	coef := make([]float32, 4*n)
	skip, out, inn, noise := coef[:n], coef[n:2*n], coef[2*n:3*n], coef[3*n:]
	for i, s := range sigma {
		a, b, c, e := d.Precond.Scaling(s)
		skip[i], out[i], inn[i], noise[i] = float32(a), float32(b), float32(c), float32(e)
	}
	if in.Labels == nil && in.LabelVectors == nil {
		in.Labels = d.Labels
	}
	in.Sigma = sigma
	in.CheckpointBlocks = in.CheckpointBlocks || d.CheckpointBlocks
	xin := tensor.Scale(t, x, inn)
	f = d.Forward(t, xin, noise, in)
	if in.EncoderOnly {
		return f, f
	}
	y = tensor.Mix(t, x, f, skip, out)
	tensor.Recycle(t, xin)
	if !keep {
		tensor.Recycle(t, f)
	}
	return y, f
}

// Size returns the picture size that At works on.
func (d Denoiser) Size() (h, w int) {
	h, w = d.PictureSize()
	if d.Height > 0 {
		h = d.Height
	}
	if d.Width > 0 {
		w = d.Width
	}
	return h, w
}

// At writes to dst the denoised form of x, both N×C×H×W in float64, at one
// noise level above 0: a sampler.Denoiser. The network computes in float32; dst
// may be x. It panics if x is not a whole number of pictures or, with Labels set, not one
// picture per label, if the network lacks a class (see [Model.Denoiser]), and if Height and Width do not pass [Config.CheckSize].
func (d Denoiser) At(dst, x []float64, sigma float64) {
	h, w := d.Size()
	per := h * w * d.InChannels
	n := len(x) / per
	if len(x)%per != 0 || len(dst) != len(x) || (d.Labels != nil && len(d.Labels) != n) {
		panic(fmt.Sprintf("unet.Denoiser.At: %d values in, %d out, for pictures of %d×%d×%d and %d labels",
			len(x), len(dst), d.InChannels, h, w, len(d.Labels)))
	}
	sigmas := make([]float64, n)
	for i := range sigmas {
		sigmas[i] = sigma
	}
	in := tensor.New(n, h, w, d.InChannels)
	tensor.FromNCHW(in, x)
	out := d.Denoise(nil, in, sigmas, Inputs{})
	tensor.ToNCHW(dst, out)
	tensor.Recycle(nil, out)
}
