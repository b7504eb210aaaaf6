package imageio

import (
	"fmt"
	"math"
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
