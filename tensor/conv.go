package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// ConvOptions says how a convolution moves over the picture.
type ConvOptions struct {
	Stride int // distance between outputs in both directions; 0 means 1
	Pad    int // zeros added on every side
}

// Conv2D cross-correlates x, N×H×W×Cin, with w, KH×KW×Cin×Cout, and adds b,
// Cout values or nil. The result is N×Ho×Wo×Cout with
// Ho = (H + 2·Pad − KH)/Stride + 1, as in every deep-learning library.
func Conv2D(t *Tape, x, w, b *Tensor, o ConvOptions) *Tensor {
	n, h, wd, c := x.image("Conv2D")
	if len(w.Shape) != 4 || w.Shape[2] != c || (b != nil && b.Len() != w.Shape[3]) {
		panic(fmt.Sprintf("tensor.Conv2D: x %v, w %v, b %v", x.Shape, w.Shape, shapeOf(b)))
	}
	g := kernel.Conv{N: n, H: h, W: wd, Cin: c, Cout: w.Shape[3],
		KH: w.Shape[0], KW: w.Shape[1], Stride: max(1, o.Stride), PadH: o.Pad, PadW: o.Pad}
	if h+2*o.Pad < g.KH || wd+2*o.Pad < g.KW {
		panic(fmt.Sprintf("tensor.Conv2D: x %v with padding %d is smaller than w %v", x.Shape, o.Pad, w.Shape))
	}
	y := scratch(n, g.OutH(), g.OutW(), g.Cout)
	kernel.ConvForward(y.Data, x.Data, w.Data, dataOf(b), g)
	t.Record(y, func(dy []float32) {
		if dx := t.Grad(x); dx != nil {
			kernel.ConvInputGrad(dx, dy, w.Data, g)
		}
		dw, db := t.Grad(w), t.Grad(b)
		if dw != nil || db != nil {
			kernel.ConvWeightGrad(dw, db, dy, x.Data, g)
		}
	}, x, w, b)
	return y
}

func shapeOf(x *Tensor) []int {
	if x == nil {
		return nil
	}
	return x.Shape
}

func dataOf(x *Tensor) []float32 {
	if x == nil {
		return nil
	}
	return x.Data
}
