package metric

import (
	"fmt"
	"strings"

	"diffuse/imageio"
)

// A FrontDoor is how a library turns a picture into the Inception network's input. The network's weights are the same behind all
// of them, but distances through different doors differ by more than most papers' improvements (Parmar et al. 2022, arXiv
// 2104.11222).
type FrontDoor string

// The front doors, named after the libraries. TorchFidelity is TensorFlow 1's, and StyleGAN's and EDM's detectors follow it too.
const (
	TorchFidelity FrontDoor = "torch_fidelity" // TF1's bilinear, then (x−128)/128
	PytorchFID    FrontDoor = "pytorch_fid"    // torch's interpolate, bilinear, then 2x/255−1
	CleanFID      FrontDoor = "clean_fid"      // PIL's bicubic with antialiasing in floats, then (x−128)/128
)

// FrontDoors returns the front doors that there are.
func FrontDoors() []FrontDoor { return []FrontDoor{TorchFidelity, PytorchFID, CleanFID} }

// Prepare writes m as the network reads it, 299×299×3 values of about [-1, 1], to dst. Grey becomes three equal channels, opacity
// is dropped. An unknown door, and a picture whose Pix does not fit its size, are errors.
func (d FrontDoor) Prepare(dst []float32, m imageio.Image) error {
	const n = InceptionSize
	if err := sound(m); err != nil {
		return err
	}
	dst = dst[:n*n*3]
	m = m.Convert(3)
	switch d {
	case TorchFidelity:
		bilinear(dst, m, tf1Taps(m.H, n), tf1Taps(m.W, n))
	case PytorchFID:
		bilinear(dst, m, torchTaps(m.H, n), torchTaps(m.W, n))
		for i, v := range dst {
			dst[i] = v*(2.0/255) - 1
		}
		return nil
	case CleanFID:
		clean(dst, m)
	default:
		var names []string
		for _, known := range FrontDoors() {
			names = append(names, string(known))
		}
		return fmt.Errorf("no front door %q; there are %s", string(d), strings.Join(names, ", "))
	}
	for i, v := range dst {
		dst[i] = (v - 128) / 128
	}
	return nil
}

// clean writes m at 299×299 pixels by PIL's bicubic, each channel as a picture of floats, clipped to [0, 255] but not rounded.
func clean(dst []float32, m imageio.Image) {
	x := make([]float32, len(m.Pix))
	for i, v := range m.Pix {
		x[i] = float32(v)
	}
	for i, v := range imageio.ResizeFloat(x, m.H, m.W, m.C, InceptionSize, InceptionSize, imageio.Bicubic) {
		dst[i] = min(max(v, 0), 255)
	}
}

// A tap is where an output pixel lies between two input pixels: share of the way from lo to hi.
type tap struct {
	lo, hi int
	share  float64
}

// tf1Taps are those of TensorFlow 1's resize_bilinear: pixel i lies at i·size/n, in float32, and beyond the last pixel there is
// the last pixel. Shrinking skips pixels.
func tf1Taps(size, n int) []tap {
	scale := float32(size) / float32(n)
	out := make([]tap, n)
	for i := range out {
		at := float32(i) * scale
		lo := min(int(at), size-1)
		out[i] = tap{lo, min(lo+1, size-1), float64(at - float32(lo))}
	}
	return out
}

// torchTaps are those of torch's interpolate with align_corners False, in float32: pixel centres fall on each other's scale, and beyond
// the border there are the border's pixels.
func torchTaps(size, n int) []tap {
	scale := float32(size) / float32(n)
	out := make([]tap, n)
	for i := range out {
		at := max(0, float32((float32(i)+0.5)*scale)-0.5)
		lo := min(int(at), size-1)
		out[i] = tap{lo, min(lo+1, size-1), float64(at - float32(lo))}
	}
	return out
}

// bilinear writes m, as floats of 0 to 255, at the given rows and columns.
func bilinear(dst []float32, m imageio.Image, rows, cols []tap) {
	for i, r := range rows {
		top, bottom := m.Pix[r.lo*m.W*m.C:], m.Pix[r.hi*m.W*m.C:]
		out := dst[i*len(cols)*m.C:]
		for j, q := range cols {
			for c := range m.C {
				lo, hi := q.lo*m.C+c, q.hi*m.C+c
				a := between(float64(top[lo]), float64(top[hi]), q.share)
				b := between(float64(bottom[lo]), float64(bottom[hi]), q.share)
				out[j*m.C+c] = float32(between(a, b, r.share))
			}
		}
	}
}

// between returns the value at share of the way from a to b.
func between(a, b, share float64) float64 { return a + float64((b-a)*share) }
