package tensor

import (
	"fmt"
	"slices"
)

// A Tensor is a dense, row-major array. Data has exactly the product of
// Shape elements; the last dimension is contiguous.
type Tensor struct {
	Shape []int
	Data  []float32
}

// New returns a zeroed tensor of the given shape. A dimension may be 0, none
// may be negative.
func New(shape ...int) *Tensor {
	return &Tensor{Shape: slices.Clone(shape), Data: make([]float32, volume(shape))}
}

// From wraps data, which is not copied, in a tensor of the given shape.
// It panics if the shape does not hold exactly len(data) elements.
func From(data []float32, shape ...int) *Tensor {
	if n := volume(shape); n != len(data) {
		panic(fmt.Sprintf("tensor.From: %d values for shape %v (%d elements)", len(data), shape, n))
	}
	return &Tensor{Shape: slices.Clone(shape), Data: data}
}

// scratch returns a tensor from the free list; its contents are undefined.
func scratch(shape ...int) *Tensor {
	return &Tensor{Shape: slices.Clone(shape), Data: take(volume(shape))}
}

// Len returns the number of elements.
func (x *Tensor) Len() int { return len(x.Data) }

// Clone returns a copy that shares nothing with x.
func (x *Tensor) Clone() *Tensor {
	return &Tensor{Shape: slices.Clone(x.Shape), Data: slices.Clone(x.Data)}
}

func volume(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			panic(fmt.Sprintf("tensor: negative dimension in shape %v", shape))
		}
		n *= d
	}
	return n
}

// image returns the four dimensions of an N×H×W×C tensor.
func (x *Tensor) image(op string) (n, h, w, c int) {
	if len(x.Shape) != 4 {
		panic(fmt.Sprintf("tensor.%s: shape %v, want N×H×W×C", op, x.Shape))
	}
	return x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
}

// matrix returns the two dimensions of a rows×columns tensor.
func (x *Tensor) matrix(op string) (rows, cols int) {
	if len(x.Shape) != 2 {
		panic(fmt.Sprintf("tensor.%s: shape %v, want a matrix", op, x.Shape))
	}
	return x.Shape[0], x.Shape[1]
}

// FromNCHW fills dst, an N×H×W×C tensor, from src in N×C×H×W order.
func FromNCHW[F float32 | float64](dst *Tensor, src []F) {
	n, h, w, c := dst.image("FromNCHW")
	if len(src) != len(dst.Data) {
		panic(fmt.Sprintf("tensor.FromNCHW: %d values for shape %v", len(src), dst.Shape))
	}
	p := h * w
	for i := range n {
		for k := range c {
			plane := src[(i*c+k)*p:][:p]
			for j, v := range plane {
				dst.Data[(i*p+j)*c+k] = float32(v)
			}
		}
	}
}

// ToNCHW writes src, an N×H×W×C tensor, to dst in N×C×H×W order.
func ToNCHW[F float32 | float64](dst []F, src *Tensor) {
	n, h, w, c := src.image("ToNCHW")
	if len(dst) != len(src.Data) {
		panic(fmt.Sprintf("tensor.ToNCHW: %d values for shape %v", len(dst), src.Shape))
	}
	p := h * w
	for i := range n {
		for k := range c {
			plane := dst[(i*c+k)*p:][:p]
			for j := range plane {
				plane[j] = F(src.Data[(i*p+j)*c+k])
			}
		}
	}
}
