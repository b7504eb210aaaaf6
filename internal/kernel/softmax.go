package kernel

import "math"

// SoftmaxRows computes dst = softmax(scale*x) for each of rows rows of cols floats, the row's maximum
// subtracted first; dst may be x. A row with a NaN, or with nothing but -Inf, comes out as NaN.
func SoftmaxRows(dst, x []float32, rows, cols int, scale float32) {
	if rows <= 0 || cols <= 0 {
		return
	}
	needLen("SoftmaxRows", "dst", len(dst), rows*cols)
	needLen("SoftmaxRows", "x", len(x), rows*cols)
	if !softmaxSIMD(dst, x, rows, cols, scale) {
		softmaxRowsGeneric(dst, x, rows, cols, scale)
	}
}

// SoftmaxRowsGrad computes dx = scale*p*(dy - Σ p·dy) for each of rows rows of cols floats, where p is
// what SoftmaxRows returned; dx may be dy.
func SoftmaxRowsGrad(dx, dy, p []float32, rows, cols int, scale float32) {
	if rows <= 0 || cols <= 0 {
		return
	}
	needLen("SoftmaxRowsGrad", "dx", len(dx), rows*cols)
	needLen("SoftmaxRowsGrad", "dy", len(dy), rows*cols)
	needLen("SoftmaxRowsGrad", "p", len(p), rows*cols)
	if !softmaxGradSIMD(dx, dy, p, rows, cols, scale) {
		softmaxRowsGradGeneric(dx, dy, p, rows, cols, scale)
	}
}

func softmaxRowsGeneric(dst, x []float32, rows, cols int, scale float32) {
	for r := range rows {
		in, out := x[r*cols:(r+1)*cols], dst[r*cols:(r+1)*cols]
		top := math.Inf(-1)
		for _, v := range in {
			top = max(top, float64(scale)*float64(v)) // max keeps NaN
		}
		sum := 0.0
		for i, v := range in {
			e := math.Exp(float64(scale)*float64(v) - top)
			sum += e
			out[i] = float32(e)
		}
		for i := range out {
			out[i] = float32(float64(out[i]) / sum)
		}
	}
}

func softmaxRowsGradGeneric(dx, dy, p []float32, rows, cols int, scale float32) {
	for r := range rows {
		g, q, out := dy[r*cols:(r+1)*cols], p[r*cols:(r+1)*cols], dx[r*cols:(r+1)*cols]
		mean := dotGeneric(q, g)
		for i := range out {
			out[i] = float32(float64(scale) * float64(q[i]) * (float64(g[i]) - mean))
		}
	}
}
