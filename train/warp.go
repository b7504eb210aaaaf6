package train

import (
	"math"

	"diffuse/internal/kernel"
)

// sym6 is the low-pass filter of the wavelet symlet 6 (Daubechies, Ten Lectures on Wavelets, 1992, section 6.4), whose double shifts are
// orthonormal: up- and downsampling by it undo each other.
var sym6 = [12]float32{
	0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466, 0.787641141030194,
	0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
}

// sym6Reach is how many pixels the filter reaches to a side, at the picture's own resolution.
const sym6Reach = 3

// warp moves a picture H×W×C by the inverse map g (pixels from the centre) in place, as EDM does: the picture is continued by reflection as far as
// g looks, upsampled to twice its size by sym6, read there with bilinear interpolation, and downsampled by sym6.
func warp(picture []float32, h, w, c int, g affine) {
	m := margins(g, h, w)
	up := upsample(picture, h, w, c, m)
	hu, wu := 2*(h+m.top+m.bottom), 2*(w+m.left+m.right)
	toPadded := translation(float64(m.left-m.right)/2, float64(m.top-m.bottom)/2).after(g)

	// Only what the downsampling filter reads is sampled: positions 1 to 2n+10 of a line of 2n+12, the first of which lies
	// sym6Reach pixels before the picture.
	hs, ws := 2*h+4*sym6Reach-2, 2*w+4*sym6Reach-2
	sampled := make([]float32, hs*ws*c)
	for y := range hs {
		for x := range ws {
			sx, sy := toPadded.at(float64(x+2-w-2*sym6Reach)/2, float64(y+2-h-2*sym6Reach)/2)
			bilinear(sampled[(y*ws+x)*c:][:c], up, hu, wu, 2*sx-1+float64(wu)/2, 2*sy-1+float64(hu)/2)
		}
	}
	row := w * c
	narrow := make([]float32, hs*row)
	for y := range hs {
		line, out := sampled[y*ws*c:][:ws*c], narrow[y*row:][:row]
		for i := range out {
			for k, f := range sym6 {
				out[i] += f * line[(2*(i/c)+k)*c+i%c]
			}
		}
	}
	clear(picture)
	for y := range h {
		for k, f := range sym6 {
			kernel.Axpy(picture[y*row:][:row], f, narrow[(2*y+k)*row:][:row])
		}
	}
}

// padding is how far a picture is continued at each side.
type padding struct{ left, right, top, bottom int }

// margins returns how far g looks beyond a picture of h×w, filters included, but no farther than one reflection reaches.
func margins(g affine, h, w int) padding {
	cx, cy := float64(w-1)/2, float64(h-1)/2
	var x0, x1, y0, y1 float64
	for _, corner := range [4][2]float64{{-cx, -cy}, {cx, -cy}, {cx, cy}, {-cx, cy}} {
		x, y := g.at(corner[0], corner[1])
		x0, x1, y0, y1 = max(x0, -x), max(x1, x), max(y0, -y), max(y1, y)
	}
	whole := func(reach, centre float64, side int) int {
		return int(math.Ceil(min(max(reach+2*sym6Reach-centre, 0), float64(side-1))))
	}
	return padding{whole(x0, cx, w), whole(x1, cx, w), whole(y0, cy, h), whole(y1, cy, h)}
}

// upsample returns the picture, continued by reflection, at twice its size: U[i] = Σ_j P[j]·sym6[i+5−2j] along both axes.
func upsample(picture []float32, h, w, c int, m padding) []float32 {
	wide, hp, wp := 2*(w+m.left+m.right), h+m.top+m.bottom, w+m.left+m.right
	rows := make([]float32, h*wide*c)
	for y := range h {
		src := picture[y*w*c:][:w*c]
		for x := range wide {
			dst := rows[(y*wide+x)*c:][:c]
			for j, end := taps(x, wp); j < end; j++ {
				f, from := sym6[x+5-2*j], reflect(j-m.left, w)*c
				for k := range dst {
					dst[k] += f * src[from+k]
				}
			}
		}
	}
	row := wide * c
	up := make([]float32, 2*hp*row)
	for y := range 2 * hp {
		dst := up[y*row:][:row]
		for j, end := taps(y, hp); j < end; j++ {
			kernel.Axpy(dst, sym6[y+5-2*j], rows[reflect(j-m.top, h)*row:][:row])
		}
	}
	return up
}

// taps returns the range of the elements of a line of n that element i of the upsampled line is made of.
func taps(i, n int) (first, end int) { return max(0, (i-5)/2), min(n, (i+5)/2+1) }

// reflect maps a position beyond a line of n to the one that it mirrors at the first or last element.
func reflect(i, n int) int {
	if i < 0 {
		return -i
	}
	if i >= n {
		return 2*(n-1) - i
	}
	return i
}

// bilinear makes dst the picture's value at (x, y), which counts pixels from the centre of the first; beyond the picture is 0.
func bilinear(dst, picture []float32, h, w int, x, y float64) {
	clear(dst)
	x0, y0 := math.Floor(x), math.Floor(y)
	if !(x0 >= -1 && y0 >= -1 && x0 < float64(w) && y0 < float64(h)) {
		return
	}
	fx, fy := float32(x-x0), float32(y-y0)
	add := func(x, y int, weight float32) {
		if x < 0 || y < 0 || x >= w || y >= h {
			return
		}
		src := picture[(y*w+x)*len(dst):][:len(dst)]
		for k, v := range src {
			dst[k] += weight * v
		}
	}
	ix, iy := int(x0), int(y0)
	add(ix, iy, (1-fx)*(1-fy))
	add(ix+1, iy, fx*(1-fy))
	add(ix, iy+1, (1-fx)*fy)
	add(ix+1, iy+1, fx*fy)
}
