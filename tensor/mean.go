package tensor

import "diffuse/internal/kernel"

// Mean returns the mean over the pixels of every channel: N×C for x of N×H×W×C.
func Mean(t *Tape, x *Tensor) *Tensor {
	n, h, w, c := x.image("Mean")
	y := scratch(n, c)
	clear(y.Data)
	p := h * w
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			row := y.Data[i*c : (i+1)*c]
			kernel.SumChannels(row, x.Data[i*p*c:(i+1)*p*c], p, c)
			kernel.ScaleTo(row, 1/float32(p), row)
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				for j := range p {
					kernel.Axpy(dx[(i*p+j)*c:(i*p+j+1)*c], 1/float32(p), dy[i*c:(i+1)*c])
				}
			}
		})
	}, x)
	return y
}
