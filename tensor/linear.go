package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// Linear returns x·w + b for x of N×In, w of In×Out and b of Out values or
// nil.
func Linear(t *Tape, x, w, b *Tensor) *Tensor {
	n, in := x.matrix("Linear")
	wi, out := w.matrix("Linear")
	if wi != in || (b != nil && b.Len() != out) {
		panic(fmt.Sprintf("tensor.Linear: x %v, w %v, b %v", x.Shape, w.Shape, shapeOf(b)))
	}
	y := scratch(n, out)
	kernel.Gemm(y.Data, x.Data, w.Data, n, out, in, in, out, out, false, false, false)
	if b != nil {
		kernel.AddChannels(y.Data, y.Data, b.Data, n, out)
	}
	t.Record(y, func(dy []float32) {
		if dx := t.Grad(x); dx != nil { // dx += dy·wᵀ
			kernel.Gemm(dx, dy, w.Data, n, in, out, out, out, in, false, true, true)
		}
		if dw := t.Grad(w); dw != nil { // dw += xᵀ·dy
			kernel.Gemm(dw, x.Data, dy, in, out, n, in, out, out, true, false, true)
		}
		if db := t.Grad(b); db != nil {
			kernel.SumChannels(db, dy, n, out)
		}
	}, x, w, b)
	return y
}

// Columns returns columns lo to hi−1 of a matrix.
func Columns(t *Tape, x *Tensor, lo, hi int) *Tensor {
	n, c := x.matrix("Columns")
	if lo < 0 || hi > c || lo >= hi {
		panic(fmt.Sprintf("tensor.Columns: x %v, columns %d to %d", x.Shape, lo, hi))
	}
	y := scratch(n, hi-lo)
	kernel.CopyStrided(y.Data, hi-lo, x.Data[lo:], c, n, hi-lo)
	t.Record(y, func(dy []float32) {
		kernel.AddStrided(t.Grad(x)[lo:], c, dy, hi-lo, n, hi-lo, 1)
	}, x)
	return y
}
