package imageio

import (
	"fmt"
	"math"
)

// A Transform is a way to bring pictures of any size to one size.
type Transform string

// The transforms. Wherever a picture is scaled, the filter widens with the factor, so that nothing aliases.
const (
	CentreCrop   Transform = "centre-crop"          // the largest centred part of the aspect asked for, scaled (Cover): EDM's center-crop, but bicubic
	Pad          Transform = "pad"                  // the whole picture, scaled to fit, between margins of the background
	Stretch      Transform = "stretch"              // the whole picture, scaled in height and width apart
	CropWide     Transform = "centre-crop-wide"     // the largest centred part of 4:3, scaled to the full width, black above and below: as EDM's center-crop-wide makes square pictures of cars
	CropDhariwal Transform = "centre-crop-dhariwal" // halved by averages, then scaled to cover, then cut: the ImageNet of ADM (Dhariwal & Nichol 2021, arXiv 2105.05233) and EDM
)

// Transforms lists all transforms, the default first.
func Transforms() []Transform { return []Transform{CentreCrop, Pad, Stretch, CropWide, CropDhariwal} }

// Apply returns m, which has 1 or 3 channels, at h×w pixels. Pad fills with background (luma of it for grey pictures). An unknown transform panics.
func (t Transform) Apply(m Image, h, w int, background [3]uint8) Image {
	switch t {
	case CentreCrop:
		return m.Cover(h, w)
	case Stretch:
		return m.Resize(h, w)
	case Pad:
		ch, cw := h, w
		if m.H*w > m.W*h { // too high
			cw = max(1, (m.W*h+m.H/2)/m.H)
		} else {
			ch = max(1, (m.H*w+m.W/2)/m.W)
		}
		return m.Resize(ch, cw).frame(h, w, background)
	case CropWide:
		return m.Cover(max(1, min(h, (3*w+2)/4)), w).frame(h, w, [3]uint8{})
	case CropDhariwal:
		return m.dhariwal(h, w)
	}
	panic(fmt.Sprintf("imageio: transform %q", t))
}

// dhariwal is center_crop_arr of ADM's data loader for any aspect: sides shrink by two with a box filter while both stay
// at least twice what is asked for, the bicubic filter does the rest, and the centre is cut out.
func (m Image) dhariwal(h, w int) Image {
	for m.H >= 2*h && m.W >= 2*w {
		m = m.ResizeWith(m.H/2, m.W/2, Box)
	}
	scale := max(float64(h)/float64(m.H), float64(w)/float64(m.W))
	side := func(n, least int) int { return max(least, int(math.RoundToEven(float64(n)*scale))) }
	m = m.Resize(side(m.H, h), side(m.W, w))
	return m.crop((m.H-h)/2, (m.W-w)/2, h, w)
}

// frame puts m in the middle of h×w pixels of one colour.
func (m Image) frame(h, w int, colour [3]uint8) Image {
	if m.H == h && m.W == w {
		return m
	}
	fill := Image{1, 1, 3, colour[:]}.Convert(m.C)
	out := New(h, w, m.C)
	for i := 0; i < len(out.Pix); i += m.C {
		copy(out.Pix[i:], fill.Pix)
	}
	y0, x0 := (h-m.H)/2, (w-m.W)/2
	for y := range m.H {
		copy(out.Pix[((y0+y)*w+x0)*m.C:], m.Pix[y*m.W*m.C:(y+1)*m.W*m.C])
	}
	return out
}

// Over returns m, if it has opacity, as RGB in front of a background; otherwise m itself. Each value is a·c + (255−a)·b
// divided by 255 and rounded.
func (m Image) Over(background [3]uint8) Image {
	if m.C != 4 {
		return m
	}
	out := New(m.H, m.W, 3)
	for i := range m.H * m.W {
		from, to := m.Pix[4*i:4*i+4], out.Pix[3*i:3*i+3]
		a := uint32(from[3])
		for c := range 3 {
			to[c] = uint8((a*uint32(from[c]) + (255-a)*uint32(background[c]) + 127) / 255)
		}
	}
	return out
}
