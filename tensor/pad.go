package tensor

// PadEnd returns x, N×H×W×C, with one row and one column of zeros after the
// last: N×(H+1)×(W+1)×C. A strided convolution of it is what TensorFlow calls
// "same" padding of pictures of even size.
func PadEnd(t *Tape, x *Tensor) *Tensor {
	n, h, w, c := x.image("PadEnd")
	y := scratch(n, h+1, w+1, c)
	clear(y.Data)
	rows := func(f func(small, large int)) {
		for i := range n {
			for r := range h {
				f((i*h+r)*w*c, (i*(h+1)+r)*(w+1)*c)
			}
		}
	}
	rows(func(small, large int) { copy(y.Data[large:], x.Data[small:small+w*c]) })
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		rows(func(small, large int) {
			for k, v := range dy[large : large+w*c] {
				dx[small+k] += v
			}
		})
	}, x)
	return y
}
