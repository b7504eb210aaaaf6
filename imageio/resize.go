package imageio

import (
	"fmt"
	"math"
)

// Resize returns m at h×w pixels by ResizeWith and Bicubic.
func (m Image) Resize(h, w int) Image { return m.ResizeWith(h, w, Bicubic) }

// ResizeWith returns m at h×w pixels, interpolated by f, which widens when the picture shrinks, so that it does not alias; pixels
// of no opacity weigh nothing. It does what PIL's Image.resize does, in integers with 22 bits of fraction, the width
// first, and gives its bytes. Where that is the size already, it returns m itself.
func (m Image) ResizeWith(h, w int, f Filter) Image {
	m.must("Resize")
	if h < 1 || w < 1 {
		panic(fmt.Sprintf("imageio: Resize to %d×%d", h, w))
	}
	if m.H == h && m.W == w {
		return m
	}
	if m.C == 4 {
		m = m.premultiplied()
	}
	m = m.widen(w, f).heighten(h, f)
	if m.C == 4 {
		m.unpremultiply()
	}
	return m
}

// Cover returns m at h×w pixels without distortion: the largest centred part of that aspect, resized.
func (m Image) Cover(h, w int) Image {
	ch, cw := m.H, m.W
	if m.H*w > m.W*h { // too high
		ch = max(1, (m.W*h+w/2)/w)
	} else {
		cw = max(1, (m.H*w+h/2)/h)
	}
	return m.crop((m.H-ch)/2, (m.W-cw)/2, ch, cw).Resize(h, w)
}

// crop returns the h×w pixels at (y, x).
func (m Image) crop(y, x, h, w int) Image {
	if h == m.H && w == m.W {
		return m
	}
	out := New(h, w, m.C)
	for i := range h {
		copy(out.Pix[i*w*m.C:(i+1)*w*m.C], m.Pix[((y+i)*m.W+x)*m.C:])
	}
	return out
}

// kernel holds the weights, times 2²², of the input pixels from first on that make one output pixel.
type kernel struct {
	first   int
	weights []int32
}

const fraction = 22

// kernels returns one kernel for each of n output pixels over size input pixels.
func kernels(size, n int, f Filter) []kernel {
	out, total := make([]kernel, n), 0
	exact := f.weights(size, n)
	for _, k := range exact {
		total += len(k.weights)
	}
	slab := make([]int32, 0, total)
	for i, k := range exact {
		start := len(slab)
		for _, v := range k.weights {
			slab = append(slab, int32(math.Round(v*(1<<fraction))))
		}
		out[i] = kernel{k.first, slab[start:]}
	}
	return out
}

// half rounds; sums stay below 2³¹, for the magnitudes of a kernel's weights add up to 1.6·2²² at most.
const half = 1 << (fraction - 1)

func round(sum int32) uint8 { return uint8(min(max(sum>>fraction, 0), 255)) }

// widen changes the width.
func (m Image) widen(w int, f Filter) Image {
	if m.W == w {
		return m
	}
	out := New(m.H, w, m.C)
	ks := kernels(m.W, w, f)
	for y := range m.H {
		row, to := m.Pix[y*m.W*m.C:(y+1)*m.W*m.C], out.Pix[y*w*m.C:(y+1)*w*m.C]
		for x, k := range ks {
			for c := range m.C {
				sum, at := int32(half), k.first*m.C+c
				for _, weight := range k.weights {
					sum += weight * int32(row[at])
					at += m.C
				}
				to[x*m.C+c] = round(sum)
			}
		}
	}
	return out
}

// heighten changes the height.
func (m Image) heighten(h int, f Filter) Image {
	if m.H == h {
		return m
	}
	n := m.W * m.C
	out, sums := New(h, m.W, m.C), make([]int32, n)
	for y, k := range kernels(m.H, h, f) {
		for i := range sums {
			sums[i] = half
		}
		for j, weight := range k.weights {
			for i, v := range m.Pix[(k.first+j)*n:][:n] {
				sums[i] += weight * int32(v)
			}
		}
		for i, sum := range sums {
			out.Pix[y*n+i] = round(sum)
		}
	}
	return out
}

// premultiplied returns a copy with colours times opacity, so that transparent pixels do not bleed.
func (m Image) premultiplied() Image {
	out := New(m.H, m.W, 4)
	for i := 0; i < len(m.Pix); i += 4 {
		a := uint32(m.Pix[i+3])
		for c := range 3 {
			v := uint32(m.Pix[i+c])*a + 128
			out.Pix[i+c] = uint8((v>>8 + v) >> 8) // v/255 rounded
		}
		out.Pix[i+3] = uint8(a)
	}
	return out
}

func (m Image) unpremultiply() {
	for i := 0; i < len(m.Pix); i += 4 {
		a := uint32(m.Pix[i+3])
		if a == 0 || a == 255 {
			continue
		}
		for c := range 3 {
			m.Pix[i+c] = uint8(min(uint32(m.Pix[i+c])*255/a, 255))
		}
	}
}
