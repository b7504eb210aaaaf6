package tensor

import (
	"fmt"
	"slices"
)

// FileShape returns the shape that a weight of the given shape has in files and in peers: convolutions KH×KW×Cin×Cout become
// Cout×Cin×KH×KW, linear maps In×Out become Out×In, all else stays. The result may be s itself.
func FileShape(s []int) []int {
	switch len(s) {
	case 4:
		return []int{s[3], s[2], s[0], s[1]}
	case 2:
		return []int{s[1], s[0]}
	}
	return s
}

// ToFile returns a copy of a weight in the layout of [FileShape].
func ToFile(x *Tensor) []float32 {
	y := slices.Clone(x.Data)
	if taps, in, out := weight(x); out > 0 {
		swapLayout(y, x.Data, taps, in, out, true)
	}
	return y
}

// FromFile fills the weight dst from data in the layout of [FileShape]; it panics unless the sizes agree.
func FromFile(dst *Tensor, data []float32) {
	if len(data) != len(dst.Data) {
		panic(fmt.Sprintf("tensor.FromFile: %d values for shape %v", len(data), dst.Shape))
	}
	if taps, in, out := weight(dst); out > 0 {
		swapLayout(dst.Data, data, taps, in, out, false)
		return
	}
	copy(dst.Data, data)
}

// weight reads a convolution or a linear map as taps×in×out; all zero for other shapes.
func weight(x *Tensor) (taps, in, out int) {
	switch s := x.Shape; len(s) {
	case 4:
		return s[0] * s[1], s[2], s[3]
	case 2:
		return 1, s[0], s[1]
	}
	return 0, 0, 0
}

// swapLayout converts x of taps×in×out to y of out×in×taps, or back. It goes through as many outputs at a time as fill a cache line, so that both sides
// are touched once.
func swapLayout(y, x []float32, taps, in, out int, toFile bool) {
	const line = 16
	for o0 := 0; o0 < out; o0 += line {
		n := min(line, out-o0)
		for i := range in {
			for k := range taps {
				a, b := (k*in+i)*out+o0, (o0*in+i)*taps+k
				if toFile {
					for _, v := range x[a : a+n] {
						y[b] = v
						b += in * taps
					}
					continue
				}
				row := y[a : a+n]
				for o := range row {
					row[o] = x[b]
					b += in * taps
				}
			}
		}
	}
}
