package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// SpaceToDepth turns every k×k patch of x, N×H×W×C, into one pixel of
// N×(H/k)×(W/k)×(k·k·C): rows, then columns, then channels of the patch. It
// is the patching of Simple diffusion (Hoogeboom et al. 2023, sec. 3.3)
// without its linear map, which the next convolution supplies.
func SpaceToDepth(t *Tape, x *Tensor, k int) *Tensor {
	n, h, w, c := x.image("SpaceToDepth")
	if k < 1 || h%k != 0 || w%k != 0 {
		panic(fmt.Sprintf("tensor.SpaceToDepth: x %v in patches of %d", x.Shape, k))
	}
	y := scratch(n, h/k, w/k, k*k*c)
	movePatches(n, h, w, c, k, func(big, small, run int) { copy(y.Data[small:small+run], x.Data[big:big+run]) })
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		movePatches(n, h, w, c, k, func(big, small, run int) {
			kernel.Axpy(dx[big:big+run], 1, dy[small:small+run])
		})
	}, x)
	return y
}

// DepthToSpace undoes [SpaceToDepth]: N×H×W×(k·k·C) becomes N×kH×kW×C.
func DepthToSpace(t *Tape, x *Tensor, k int) *Tensor {
	n, h, w, d := x.image("DepthToSpace")
	if k < 1 || d%(k*k) != 0 {
		panic(fmt.Sprintf("tensor.DepthToSpace: x %v in patches of %d", x.Shape, k))
	}
	c := d / (k * k)
	y := scratch(n, h*k, w*k, c)
	movePatches(n, h*k, w*k, c, k, func(big, small, run int) { copy(y.Data[big:big+run], x.Data[small:small+run]) })
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		movePatches(n, h*k, w*k, c, k, func(big, small, run int) {
			kernel.Axpy(dx[small:small+run], 1, dy[big:big+run])
		})
	}, x)
	return y
}

// movePatches calls move for every run of k·c values that is contiguous in
// both forms of a picture: at big in N×H×W×C, at small in patches.
func movePatches(n, h, w, c, k int, move func(big, small, run int)) {
	kernel.For(n, 1, func(i0, i1 int) {
		for r := i0 * h; r < i1*h; r++ {
			for x := 0; x < w; x += k {
				small := ((r/k)*(w/k)+x/k)*k*k*c + r%k*k*c
				move((r*w+x)*c, small, k*c)
			}
		}
	})
}
