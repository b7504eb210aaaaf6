package unet

import (
	"fmt"

	"diffuse/tensor"
)

// Gradient writes D(x;σ) into dst, as [Denoiser.At] does, and into grad the gradient with respect to x of the sum of
// D·v, all N×C×H×W in float64: a sampler.Gradient. The network computes in float32. Beside what At panics at, it
// does so if the lengths differ.
func (d Denoiser) Gradient(dst, grad, x, v []float64, sigma float64) {
	h, w := d.Size()
	per := h * w * d.InChannels
	n := len(x) / per
	if len(x)%per != 0 || len(dst) != len(x) || len(grad) != len(x) || len(v) != len(x) || (d.Labels != nil && len(d.Labels) != n) {
		panic(fmt.Sprintf("unet.Denoiser.Gradient: %d values in, directions %d, out %d and %d, for pictures of %d×%d×%d and %d labels",
			len(x), len(v), len(dst), len(grad), d.InChannels, h, w, len(d.Labels)))
	}
	sigmas := make([]float64, n)
	for i := range sigmas {
		sigmas[i] = sigma
	}
	in, seed := tensor.New(n, h, w, d.InChannels), tensor.New(n, h, w, d.InChannels)
	tensor.FromNCHW(in, x)
	tensor.FromNCHW(seed, v)
	t := tensor.NewTape(in)
	out := d.Denoise(t, in, sigmas, Inputs{})
	t.Seed(out, seed.Data)
	t.Backward()
	tensor.ToNCHW(dst, out)
	tensor.ToNCHW(grad, tensor.From(t.Grad(in), in.Shape...))
	t.Free()
}
