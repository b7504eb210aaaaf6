package tensor

import (
	"fmt"
	"maps"

	"diffuse/internal/kernel"
)

// A Precision says how products are computed; sums are kept in float32.
type Precision = kernel.Precision

// The precisions.
const (
	Float32    = kernel.Float32    // exact products of float32 numbers
	BFloat16x3 = kernel.BFloat16x3 // each number as the sum of two bfloat16 numbers: float32-class, 2^-16 a product
	BFloat16   = kernel.BFloat16   // numbers rounded to bfloat16
)

// Precisions lists all precisions by name: "f32", "bf16x3", "bf16".
func Precisions() map[string]Precision { return maps.Clone(kernel.Precisions) }

// BestPrecision returns the fastest precision on this CPU that is float32-class.
func BestPrecision() Precision { return kernel.BestPrecision() }

// ConvOptions says how a convolution moves over the picture, and how it is
// computed.
type ConvOptions struct {
	Stride    int // distance between outputs in both directions; 0 means 1
	Pad       int // zeros added on every side
	Precision Precision
	Packed    *PackedConv // the weights as [PackConv] made them for Precision, in place of w's values, and no tape; nil = w is read
}

// A PackedConv holds weights of a convolution in the order in which kernels
// read them.
type PackedConv = kernel.Packed

// PackConv makes of the weights w, KH×KW×Cin×Cout, what convolutions of
// precision p read fastest. It takes over w's memory, so that there is no
// second copy: w keeps its shape and loses its values. It returns nil, and
// leaves w alone, if they read w as it is.
func PackConv(w *Tensor, p Precision) *PackedConv {
	if len(w.Shape) != 4 {
		panic(fmt.Sprintf("tensor.PackConv: w %v", w.Shape))
	}
	kh, kw := w.Shape[0], w.Shape[1]
	packed := kernel.PackConv(w.Data, kernel.Conv{H: kh, W: kw, Cin: w.Shape[2], Cout: w.Shape[3], KH: kh, KW: kw, Stride: 1, Precision: p})
	if packed != nil {
		w.Data = nil
	}
	return packed
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
		KH: w.Shape[0], KW: w.Shape[1], Stride: max(1, o.Stride), PadH: o.Pad, PadW: o.Pad, Precision: o.Precision}
	if h+2*o.Pad < g.KH || wd+2*o.Pad < g.KW {
		panic(fmt.Sprintf("tensor.Conv2D: x %v with padding %d is smaller than w %v", x.Shape, o.Pad, w.Shape))
	}
	y := scratch(n, g.OutH(), g.OutW(), g.Cout)
	kernel.ConvForwardPacked(y.Data, x.Data, w.Data, o.Packed, dataOf(b), g)
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
