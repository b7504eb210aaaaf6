package tensor

import (
	"fmt"
	"slices"

	"diffuse/internal/kernel"
)

// grain is how many elements of an elementwise operation one goroutine takes
// at a time: enough to hide the cost of waking it.
const grain = 1 << 15

// Add returns a·x + b·y for tensors of one shape.
func Add(t *Tape, x, y *Tensor, a, b float32) *Tensor {
	if !slices.Equal(x.Shape, y.Shape) {
		panic(fmt.Sprintf("tensor.Add: x %v, y %v", x.Shape, y.Shape))
	}
	z := scratch(x.Shape...)
	kernel.For(len(z.Data), grain, func(i, j int) {
		kernel.AddTo(z.Data[i:j], x.Data[i:j], y.Data[i:j], a, b)
	})
	t.Record(z, func(dz []float32) {
		axpy(t.Grad(x), a, dz)
		axpy(t.Grad(y), b, dz)
	}, x, y)
	return z
}

// axpy adds a·x to y in parallel; a nil y is skipped.
func axpy(y []float32, a float32, x []float32) {
	if y != nil {
		kernel.For(len(x), grain, func(i, j int) { kernel.Axpy(y[i:j], a, x[i:j]) })
	}
}

// AddChannels adds e, N×C, to every pixel of x, N×H×W×C.
func AddChannels(t *Tape, x, e *Tensor) *Tensor {
	n, h, w, c := x.image("AddChannels")
	if e.Len() != n*c {
		panic(fmt.Sprintf("tensor.AddChannels: x %v, e %v", x.Shape, e.Shape))
	}
	p := h * w
	y := scratch(x.Shape...)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			kernel.AddChannels(y.Data[i*p*c:][:p*c], x.Data[i*p*c:][:p*c], e.Data[i*c:][:c], p, c)
		}
	})
	t.Record(y, func(dy []float32) {
		axpy(t.Grad(x), 1, dy)
		if de := t.Grad(e); de != nil {
			kernel.For(n, 1, func(i0, i1 int) {
				for i := i0; i < i1; i++ {
					kernel.SumChannels(de[i*c:][:c], dy[i*p*c:][:p*c], p, c)
				}
			})
		}
	}, x, e)
	return y
}

// SiLU returns x/(1+exp(−x)) element by element.
func SiLU(t *Tape, x *Tensor) *Tensor {
	y := scratch(x.Shape...)
	kernel.For(len(y.Data), grain, func(i, j int) { kernel.SiLU(y.Data[i:j], x.Data[i:j]) })
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(len(dy), grain, func(i, j int) { kernel.SiLUGrad(dx[i:j], dy[i:j], x.Data[i:j]) })
	}, x)
	return y
}

// Scale multiplies image i of x by s[i].
func Scale(t *Tape, x *Tensor, s []float32) *Tensor {
	n := x.Shape[0]
	if len(s) != n {
		panic(fmt.Sprintf("tensor.Scale: x %v, %d factors", x.Shape, len(s)))
	}
	y := scratch(x.Shape...)
	m := len(x.Data) / max(1, n)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			kernel.ScaleTo(y.Data[i*m:][:m], s[i], x.Data[i*m:][:m])
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				kernel.Axpy(dx[i*m:][:m], s[i], dy[i*m:][:m])
			}
		})
	}, x)
	return y
}

// Mix returns a[i]·x + b[i]·f for every image i: x is N×H×W×C, f is N×H×W×D
// with D ≥ C, of which the first C channels count. It assembles a denoiser
// from its preconditioning (EDM eq. 7).
func Mix(t *Tape, x, f *Tensor, a, b []float32) *Tensor {
	n, h, w, c := x.image("Mix")
	d := f.Shape[len(f.Shape)-1]
	if len(a) != n || len(b) != n || d < c || len(f.Data) != n*h*w*d {
		panic(fmt.Sprintf("tensor.Mix: x %v, f %v, %d and %d factors", x.Shape, f.Shape, len(a), len(b)))
	}
	p := h * w
	y := scratch(x.Shape...)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			kernel.ScaleTo(y.Data[i*p*c:][:p*c], a[i], x.Data[i*p*c:][:p*c])
			kernel.AddStrided(y.Data[i*p*c:], c, f.Data[i*p*d:], d, p, c, b[i])
		}
	})
	t.Record(y, func(dy []float32) {
		dx, df := t.Grad(x), t.Grad(f)
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				if dx != nil {
					kernel.Axpy(dx[i*p*c:][:p*c], a[i], dy[i*p*c:][:p*c])
				}
				if df != nil {
					kernel.AddStrided(df[i*p*d:], d, dy[i*p*c:], c, p, c, b[i])
				}
			}
		})
	}, x, f)
	return y
}

// AddBias adds b, C values, to every pixel of x, N×H×W×C.
func AddBias(t *Tape, x, b *Tensor) *Tensor {
	n, h, w, c := x.image("AddBias")
	if b.Len() != c {
		panic(fmt.Sprintf("tensor.AddBias: x %v, b %v", x.Shape, b.Shape))
	}
	p := n * h * w
	y := scratch(x.Shape...)
	kernel.AddChannels(y.Data, x.Data, b.Data, p, c)
	t.Record(y, func(dy []float32) {
		axpy(t.Grad(x), 1, dy)
		if db := t.Grad(b); db != nil {
			kernel.SumChannels(db, dy, p, c)
		}
	}, x, b)
	return y
}
