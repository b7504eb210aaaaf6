package unet

import (
	"math"

	"diffuse/tensor"
)

// conv is EDM's Conv2d: an optional 3×3 or 1×1 convolution with optional
// resampling by a fixed filter. w is nil when only resampling is wanted.
type conv struct {
	w, b     *tensor.Tensor
	up, down bool
	fused    bool      // convolve and resample with shared padding
	strided  bool      // the convolution itself takes every other pixel
	end      bool      // strided: pad one pixel at the end of rows and columns, none at the start
	taps     []float32 // resampling filter, nil without resampling

	precision tensor.Precision
	packed    *tensor.PackedConv // w for precision; nil = w is read
}

// convolve is the convolution alone.
func (c *conv) convolve(t *tensor.Tape, x, b *tensor.Tensor, stride, pad int) *tensor.Tensor {
	return tensor.Conv2D(t, x, c.w, b, tensor.ConvOptions{Stride: stride, Pad: pad, Precision: c.precision, Packed: c.packed})
}

// forward filters first and convolves second, in both directions, except
// that a fused downsampling filters the output of the convolution and adds
// the bias last.
func (c *conv) forward(t *tensor.Tape, x *tensor.Tensor) *tensor.Tensor {
	if c.strided {
		if !c.end {
			return c.convolve(t, x, c.b, 2, 1)
		}
		wide := tensor.PadEnd(t, x)
		y := c.convolve(t, wide, c.b, 2, 0)
		tensor.Recycle(t, wide)
		return y
	}
	wpad, fpad := 0, 0
	if c.w != nil {
		wpad = c.w.Shape[0] / 2
	}
	if c.up || c.down {
		fpad = (len(c.taps) - 1) / 2
	}
	h := x
	free := func(next *tensor.Tensor) {
		if h != x {
			tensor.Recycle(t, h)
		}
		h = next
	}
	if c.fused && c.w != nil {
		switch {
		case c.up:
			free(tensor.Upsample(t, h, c.taps, max(fpad-wpad, 0)))
			free(c.convolve(t, h, nil, 1, max(wpad-fpad, 0)))
		case c.down:
			free(c.convolve(t, h, nil, 1, wpad+fpad))
			free(tensor.Downsample(t, h, c.taps, 0))
		}
		if c.b != nil {
			free(tensor.AddBias(t, h, c.b))
		}
		return h
	}
	if c.up {
		free(tensor.Upsample(t, h, c.taps, fpad))
	}
	if c.down {
		free(tensor.Downsample(t, h, c.taps, fpad))
	}
	if c.w != nil {
		free(c.convolve(t, h, c.b, 1, wpad))
	}
	return h
}

// norm is a group norm with its own weights.
type norm struct {
	gamma, beta *tensor.Tensor
	groups      int
	eps         float32
}

func (n *norm) forward(t *tensor.Tape, x, scale, shift *tensor.Tensor, silu bool) *tensor.Tensor {
	return tensor.GroupNorm(t, x, n.gamma, n.beta, scale, shift,
		tensor.NormOptions{Groups: n.groups, Eps: n.eps, SiLU: silu})
}

// linear is a matrix with an optional bias.
type linear struct{ w, b *tensor.Tensor }

func (l *linear) forward(t *tensor.Tape, x *tensor.Tensor) *tensor.Tensor {
	return tensor.Linear(t, x, l.w, l.b)
}

// positional returns the sinusoidal embedding of v, one row of n values
// each: cosines, then sines, of v·10000^(−j/d), j = 0..n/2−1. d is n/2−1
// with endpoint (SongUNet), n/2 without (ADM). swap puts the sines first.
func positional(v []float32, n int, endpoint, swap bool) *tensor.Tensor {
	freqs := make([]float32, n/2)
	d := float32(n / 2)
	if endpoint {
		d = max(1, d-1)
	}
	for j := range freqs {
		freqs[j] = float32(math.Pow(1e-4, float64(float32(j)/d)))
	}
	return sinusoids(v, freqs, swap)
}

// fourier returns the random Fourier features of NCSN++: cosines and sines
// of 2π·v·freqs.
func fourier(v, freqs []float32, swap bool) *tensor.Tensor {
	f := make([]float32, len(freqs))
	for j, w := range freqs {
		f[j] = float32(2*math.Pi) * w
	}
	return sinusoids(v, f, swap)
}

// sinusoids rounds frequency and angle to float32, as the peers do: at
// c_noise = 999 a better angle would differ from theirs by 1e-5.
func sinusoids(v, freqs []float32, swap bool) *tensor.Tensor {
	half := len(freqs)
	y := tensor.New(len(v), 2*half)
	for i, x := range v {
		cos, sin := y.Data[2*half*i:][:half], y.Data[2*half*i+half:][:half]
		if swap {
			cos, sin = sin, cos
		}
		for j, f := range freqs {
			s, c := math.Sincos(float64(x * f))
			cos[j], sin[j] = float32(c), float32(s)
		}
	}
	return y
}
