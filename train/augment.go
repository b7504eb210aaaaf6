package train

import (
	"math"
	"math/rand/v2"

	"diffuse/tensor"
)

// AugmentLabels is the number of labels that tell a network how its picture was augmented.
const AugmentLabels = 9

// Augmentable is a [Network] that can be told how its pictures were augmented, so that it learns what they would be without it and the
// augmentation does not leak into what it draws. Options.Augment needs one.
type Augmentable interface {
	Network
	// WithAugment returns the network for pictures with the given labels, N×AugmentLabels. It shares the weights.
	WithAugment(labels *tensor.Tensor) Network
}

// Augmentation is one draw of EDM's augmentation (arXiv 2206.00364, appendix F.2, after Karras et al. 2020, arXiv 2006.06676):
// what is done to one picture. The zero value does nothing, and has zero labels.
type Augmentation struct {
	FlipX, FlipY         bool
	Scale                float64 // the picture is enlarged by 2^(Scale/5)
	Rotate               float64 // counter-clockwise, radians
	Stretch, StretchAxis float64 // along an axis at an angle, by 2^(Stretch/5), and across it by the inverse
	ShiftX, ShiftY       float64 // to the right and down, in eighths of a side
}

// DrawAugmentation draws what is done to a picture: mirrored left to right in half of all cases, and with probability p each,
// independently, mirrored top to bottom in half of them, scaled, rotated, stretched (half of these along an axis at an angle) and shifted.
func DrawAugmentation(r *rand.Rand, p float64) Augmentation {
	bit := func() bool { return r.Uint64()>>63 == 1 }
	angle := func() float64 { return (2*r.Float64() - 1) * math.Pi }
	often := func() bool { return r.Float64() < p }
	a := Augmentation{FlipX: bit()}
	flip, doFlip := bit(), often()
	a.FlipY = flip && doFlip
	if v, do := r.NormFloat64(), often(); do {
		a.Scale = v
	}
	if v, do := angle(), often(); do {
		a.Rotate = v
	}
	if v, axis, do, turned := r.NormFloat64(), angle(), often(), bit(); do {
		a.Stretch = v
		if turned {
			a.StretchAxis = axis
		}
	}
	if x, y, do := r.NormFloat64(), r.NormFloat64(), often(); do {
		a.ShiftX, a.ShiftY = x, y
	}
	return a
}

// Labels writes the AugmentLabels numbers that a network is told, in EDM's order.
func (a Augmentation) Labels(dst []float32) {
	flag := func(b bool) float32 {
		if b {
			return 1
		}
		return 0
	}
	dst[0], dst[1], dst[2] = flag(a.FlipX), flag(a.FlipY), float32(a.Scale)
	dst[3], dst[4] = float32(math.Cos(a.Rotate)-1), float32(math.Sin(a.Rotate))
	dst[5], dst[6] = float32(a.Stretch*math.Cos(a.StretchAxis)), float32(a.Stretch*math.Sin(a.StretchAxis))
	dst[7], dst[8] = float32(a.ShiftX), float32(a.ShiftY)
}

// Apply augments a picture H×W×C in place. What comes in from outside is its reflection, as far as that reaches, then 0.
func (a Augmentation) Apply(picture []float32, h, w, c int) {
	if a.FlipX {
		Mirror(picture, h, w, c)
	}
	if a.FlipY {
		row := w * c
		for y := range h / 2 {
			top, bottom := picture[y*row:(y+1)*row], picture[(h-1-y)*row:(h-y)*row]
			for i := range top {
				top[i], bottom[i] = bottom[i], top[i]
			}
		}
	}
	if g := a.inverse(h, w); g != identity {
		warp(picture, h, w, c, g)
	}
}

// An affine map of the plane, (x, y) to (m[0]·x + m[1]·y + m[2], m[3]·x + m[4]·y + m[5]).
type affine [6]float64

var identity = affine{1, 0, 0, 0, 1, 0}

// after returns the map that does b first.
func (m affine) after(b affine) affine {
	return affine{
		m[0]*b[0] + m[1]*b[3], m[0]*b[1] + m[1]*b[4], m[0]*b[2] + m[1]*b[5] + m[2],
		m[3]*b[0] + m[4]*b[3], m[3]*b[1] + m[4]*b[4], m[3]*b[2] + m[4]*b[5] + m[5],
	}
}

func (m affine) at(x, y float64) (float64, float64) {
	return m[0]*x + m[1]*y + m[2], m[3]*x + m[4]*y + m[5]
}

func scaling(x, y float64) affine     { return affine{x, 0, 0, 0, y, 0} }
func translation(x, y float64) affine { return affine{1, 0, x, 0, 1, y} }

func rotation(angle float64) affine {
	sin, cos := math.Sincos(angle)
	return affine{cos, -sin, 0, sin, cos, 0}
}

// inverse returns where in the picture a point of the augmented one comes from, in pixels from the centre, x to the right, y down.
func (a Augmentation) inverse(h, w int) affine {
	g := identity
	if a.Scale != 0 {
		s := math.Exp2(-0.2 * a.Scale)
		g = g.after(scaling(s, s))
	}
	if a.Rotate != 0 {
		g = g.after(rotation(a.Rotate))
	}
	if a.Stretch != 0 {
		s := math.Exp2(0.2 * a.Stretch)
		g = g.after(rotation(-a.StretchAxis)).after(scaling(1/s, s)).after(rotation(a.StretchAxis))
	}
	if a.ShiftX != 0 || a.ShiftY != 0 {
		g = g.after(translation(-a.ShiftX*float64(w)/8, -a.ShiftY*float64(h)/8))
	}
	return g
}

// Mirror turns an H×W×C picture left to right in place.
func Mirror[T uint8 | float32](pixels []T, h, w, c int) {
	for y := range h {
		row := pixels[y*w*c : (y+1)*w*c]
		for a, b := 0, (w-1)*c; a < b; a, b = a+c, b-c {
			for k := range c {
				row[a+k], row[b+k] = row[b+k], row[a+k]
			}
		}
	}
}
