package metric

import (
	"slices"

	"diffuse/internal/kernel"
)

// Activations are n×h×w×c values between two operations.
type activations struct {
	n, h, w, c int
	data       []float32
}

// means returns the n×c means over the pictures.
func (x activations) means() []float64 {
	out := make([]float64, x.n*x.c)
	pixels := x.h * x.w
	kernel.For(x.n, 1, func(n0, n1 int) {
		for n := n0; n < n1; n++ {
			row := out[n*x.c : (n+1)*x.c]
			for p := range pixels {
				for i, v := range x.data[(n*pixels+p)*x.c:][:x.c] {
					row[i] += float64(v)
				}
			}
			for i := range row {
				row[i] /= float64(pixels)
			}
		}
	})
	return out
}

// A workspace keeps the buffers that a pass has no more use for.
type workspace struct{ free [][]float32 }

// take returns activations with undefined contents, in the smallest free buffer that holds it.
func (ws *workspace) take(n, h, w, c int) activations {
	size, best := n*h*w*c, -1
	for i, b := range ws.free {
		if cap(b) >= size && (best < 0 || cap(b) < cap(ws.free[best])) {
			best = i
		}
	}
	if best < 0 {
		return activations{n, h, w, c, make([]float32, size)}
	}
	b := ws.free[best]
	ws.free = slices.Delete(ws.free, best, best+1)
	return activations{n, h, w, c, b[:size]}
}

func (ws *workspace) give(x activations) { ws.free = append(ws.free, x.data) }

// run returns the stage's output, which is to be given back.
func (s *stage) run(x activations, ws *workspace) activations {
	_, h, w := s.branches[0].ends[0].shape(x) // chains keep the picture's size
	y := ws.take(x.n, h, w, s.cout)
	at := 0
	for _, b := range s.branches {
		z := x
		for i := range b.chain {
			o := &b.chain[i]
			_, h, w := o.shape(z)
			next := ws.take(z.n, h, w, o.cout)
			o.into(next, 0, z)
			if i > 0 {
				ws.give(z)
			}
			z = next
		}
		for i := range b.ends {
			b.ends[i].into(y, at, z)
			at += b.ends[i].cout
		}
		if len(b.chain) > 0 {
			ws.give(z)
		}
	}
	return y
}

// shape returns o on x as the kernels see it, and the height and width of its output.
func (o *op) shape(x activations) (g kernel.Conv, h, w int) {
	g = kernel.Conv{N: x.n, H: x.h, W: x.w, Cin: o.cin, Cout: o.cout, KH: o.kh, KW: o.kw, Stride: o.stride, PadH: o.padH, PadW: o.padW}
	return g, g.OutH(), g.OutW()
}

// into writes o's output for x to the channels from at on of y.
func (o *op) into(y activations, at int, x activations) {
	switch o.pool {
	case maxPool:
		maxPool3(y, at, x, o.stride, o.padH)
		return
	case averagePool:
		averagePool3(y, at, x)
		return
	}
	g, _, _ := o.shape(x)
	kernel.ConvForwardInto(y.data[at:], y.c, x.data, o.weights, o.bias, true, g)
}
