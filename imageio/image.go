// Package imageio is the border between numbers and pictures: the only place that knows how a sample in [-1, 1] becomes a
// byte and back, and what a picture file is.
//
// An [Image] is height × width × channels of bytes, row by row, channels together, as data sets and PNG files hold them; the samplers
// and peers' arrays are planes (channels × height × width) of floats in [-1, 1]. [FromPlanes] and [ToPlanes] convert between the two by
// EDM's rule ("Elucidating the Design Space of Diffusion-Based Generative Models", arXiv 2206.00364, its generate.py and training
// loop): byte = trunc(clip(127.5·x + 128, 0, 255)) and x = byte/127.5 − 1.
//
// [WritePNG] writes a picture together with text, such as the parameters that made it, which [ReadPNGMeta] returns; the file is written
// complete or not at all. [Decode] reads PNG, JPEG, the first frame of a GIF, BMP, TIFF and WebP, and refuses pictures of more
// pixels than asked for before it decodes them. [Grid] lays pictures out on a sheet, [Image.Resize] and [Image.Cover] scale
// with an antialiased bicubic filter, [Image.ResizeWith] and [ResizeFloat] with any of PIL's, [Image.Convert] changes between grey and colour,
// [Image.Over] lays pictures with opacity over a colour.
//
// [Transform] names the ways to bring pictures of any size to one. A JPEG file's Exif orientation is applied; gamma and colour profiles are not, as
// in the peers' data loaders.
package imageio

import "fmt"

// An Image is H×W×C bytes, row by row; C is 1 (grey), 3 (RGB) or 4 (RGB and opacity, colours not premultiplied). Copies
// share Pix.
type Image struct {
	H, W, C int
	Pix     []uint8
}

// New returns a black image (transparent if c is 4).
func New(h, w, c int) Image { return Image{h, w, c, make([]uint8, h*w*c)} }

// check says what is wrong with an image that a caller made.
func (m Image) check() error {
	if m.H < 1 || m.W < 1 || m.C != 1 && m.C != 3 && m.C != 4 || len(m.Pix) != m.H*m.W*m.C {
		return fmt.Errorf("%d bytes as an image of %d×%d pixels and %d channels", len(m.Pix), m.H, m.W, m.C)
	}
	return nil
}

func (m Image) must(what string) {
	if err := m.check(); err != nil {
		panic("imageio: " + what + ": " + err.Error())
	}
}

// Byte returns trunc(clip(127.5·x + 128, 0, 255)), computed in T as EDM does: -1 gives 0, 0 gives 128, 1 gives 255. NaN gives 0;
// whoever must know looks at the floats first.
func Byte[T float32 | float64](x T) uint8 {
	v := T(x*127.5) + 128 // the conversion keeps compilers from fusing: bytes do not depend on the processor
	switch {
	case v >= 255:
		return 255
	case v > 0: // false for NaN
		return uint8(v)
	}
	return 0
}

// Float returns v/127.5 − 1, in [-1, 1], computed in T.
func Float[T float32 | float64](v uint8) T { return T(v)/127.5 - 1 }

// FromFloat converts values in the order they come by Byte. dst and x have the same length.
func FromFloat[T float32 | float64](dst []uint8, x []T) {
	if len(dst) != len(x) {
		panic(fmt.Sprintf("imageio: %d values into %d bytes", len(x), len(dst)))
	}
	for i, v := range x {
		dst[i] = Byte(v)
	}
}

// ToFloat converts bytes in the order they come by Float. dst and p have the same length.
func ToFloat[T float32 | float64](dst []T, p []uint8) {
	if len(dst) != len(p) {
		panic(fmt.Sprintf("imageio: %d bytes into %d values", len(p), len(dst)))
	}
	for i, v := range p {
		dst[i] = Float[T](v)
	}
}

// FromPlanes returns the picture of one sample x, C×H×W in [-1, 1].
func FromPlanes[T float32 | float64](x []T, c, h, w int) Image {
	if len(x) != c*h*w {
		panic(fmt.Sprintf("imageio: %d values as %d×%d×%d", len(x), c, h, w))
	}
	m := New(h, w, c)
	for ch := range c {
		for i, v := range x[ch*h*w : (ch+1)*h*w] {
			m.Pix[i*c+ch] = Byte(v)
		}
	}
	return m
}

// ToPlanes writes m to dst as C×H×W in [-1, 1].
func ToPlanes[T float32 | float64](dst []T, m Image) {
	m.must("ToPlanes")
	n := m.H * m.W
	if len(dst) != n*m.C {
		panic(fmt.Sprintf("imageio: an image of %d×%d×%d into %d values", m.C, m.H, m.W, len(dst)))
	}
	for i, v := range m.Pix {
		dst[i%m.C*n+i/m.C] = Float[T](v)
	}
}

// Convert returns m with c channels; m itself if it has them. Grey is the luma of ITU-R 601, rounded as in PIL's convert("L");
// opacity is dropped without blending, as PIL does, or added as 255.
func (m Image) Convert(c int) Image {
	if m.C == c {
		return m
	}
	m.must("Convert")
	out := New(m.H, m.W, c)
	for i := range m.H * m.W {
		from, to := m.Pix[i*m.C:], out.Pix[i*c:]
		switch {
		case c == 1:
			to[0] = uint8((19595*uint32(from[0]) + 38470*uint32(from[1]) + 7471*uint32(from[2]) + 1<<15) >> 16)
		case m.C == 1:
			to[0], to[1], to[2] = from[0], from[0], from[0]
		default:
			copy(to[:3], from[:3])
		}
		if c == 4 {
			to[3] = 255
		}
	}
	return out
}
