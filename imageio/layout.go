package imageio

import (
	"fmt"
	"image"
	"math"

	"golang.org/x/image/draw"
)

// Grid lays images of one size out row by row in cols columns on a sheet of brightness bg, pad pixels apart and from the edge. cols below 1
// means a sheet about as wide as high. Grey images among coloured ones become coloured. No images give an empty Image; images of
// different sizes are a bug of the caller and panic.
func Grid(images []Image, cols int, pad int, bg uint8) Image {
	if len(images) == 0 {
		return Image{}
	}
	if cols < 1 {
		cols = int(math.Ceil(math.Sqrt(float64(len(images)))))
	}
	cols = min(cols, len(images))
	rows := (len(images) + cols - 1) / cols
	h, w, c := images[0].H, images[0].W, 0
	for i, m := range images {
		m.must("Grid")
		if m.H != h || m.W != w {
			panic(fmt.Sprintf("imageio: Grid: image %d is %d×%d, the first %d×%d", i, m.H, m.W, h, w))
		}
		c = max(c, m.C)
	}
	out := New(rows*(h+pad)+pad, cols*(w+pad)+pad, c)
	for i := range out.Pix {
		out.Pix[i] = bg
		if c == 4 && i%4 == 3 {
			out.Pix[i] = 255
		}
	}
	for i, m := range images {
		m = m.Convert(c)
		y0, x0 := pad+i/cols*(h+pad), pad+i%cols*(w+pad)
		for y := range h {
			copy(out.Pix[((y0+y)*out.W+x0)*c:], m.Pix[y*w*c:(y+1)*w*c])
		}
	}
	return out
}

// Resize returns m at h×w pixels by bicubic interpolation (Catmull-Rom, the a = −0.5 of PIL's BICUBIC), whose kernel widens when it
// shrinks, so that it does not alias. Where that is the size already, it returns m itself.
func (m Image) Resize(h, w int) Image { return m.scale(0, 0, m.H, m.W, h, w) }

// Cover returns m at h×w pixels without distortion: the largest centred part of that aspect, resized.
func (m Image) Cover(h, w int) Image {
	ch, cw := m.H, m.W
	if m.H*w > m.W*h { // too high
		ch = max(1, (m.W*h+w/2)/w)
	} else {
		cw = max(1, (m.H*w+h/2)/h)
	}
	return m.scale((m.H-ch)/2, (m.W-cw)/2, ch, cw, h, w)
}

// scale resizes the part of sh×sw pixels at (y, x). The target has 16 bits a channel: x/image would cut, not round, to 8.
func (m Image) scale(y, x, sh, sw, h, w int) Image {
	m.must("Resize")
	if h < 1 || w < 1 {
		panic(fmt.Sprintf("imageio: Resize to %d×%d", h, w))
	}
	if h == m.H && w == m.W && sh == m.H && sw == m.W {
		return m
	}
	dst := image.NewRGBA64(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(dst, dst.Bounds(), m.toImage(), image.Rect(x, y, x+sw, y+sh), draw.Src, nil)
	out := New(h, w, m.C)
	for i := range h * w {
		p, q := dst.Pix[i*8:], out.Pix[i*m.C:]
		alpha := uint32(p[6])<<8 | uint32(p[7])
		for c := range m.C {
			v := uint32(p[2*c])<<8 | uint32(p[2*c+1])
			if m.C == 4 && c < 3 && alpha > 0 { // x/image multiplies colours by opacity
				v = min((v*0xffff+alpha/2)/alpha, 0xffff)
			}
			q[c] = uint8((v + 128) / 257)
		}
	}
	return out
}
