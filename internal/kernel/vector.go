package kernel

import "fmt"

// needLen panics when a slice handed to a kernel is shorter than its shape says.
func needLen(kernel, name string, have, want int) {
	if have < want {
		panic(fmt.Sprintf("kernel: %s: %s has %d elements, %d needed", kernel, name, have, want))
	}
}

// sameLen panics when two flat operands differ in length.
func sameLen(kernel, a string, na int, b string, nb int) {
	if na != nb {
		panic(fmt.Sprintf("kernel: %s: %s has %d elements, %s has %d", kernel, a, na, b, nb))
	}
}

// Axpy computes y[i] += a*x[i] for slices of one length.
func Axpy(y []float32, a float32, x []float32) {
	sameLen("Axpy", "y", len(y), "x", len(x))
	if len(y) == 0 || axpySIMD(y, x, a) {
		return
	}
	axpyGeneric(y, a, x)
}

// ScaleTo computes dst[i] = a*x[i] for slices of one length; dst may be x.
func ScaleTo(dst []float32, a float32, x []float32) {
	sameLen("ScaleTo", "dst", len(dst), "x", len(x))
	if len(dst) == 0 || scaleSIMD(dst, x, a) {
		return
	}
	scaleToGeneric(dst, a, x)
}

// AddTo computes dst[i] = a*x[i] + b*y[i] for slices of one length; dst may be x or y.
func AddTo(dst, x, y []float32, a, b float32) {
	sameLen("AddTo", "dst", len(dst), "x", len(x))
	sameLen("AddTo", "dst", len(dst), "y", len(y))
	if len(dst) == 0 || addSIMD(dst, x, y, a, b) {
		return
	}
	addToGeneric(dst, x, y, a, b)
}

// MulTo computes dst[i] = x[i]*y[i] for slices of one length; dst may be x or y.
func MulTo(dst, x, y []float32) {
	sameLen("MulTo", "dst", len(dst), "x", len(x))
	sameLen("MulTo", "dst", len(dst), "y", len(y))
	if len(dst) == 0 || mulSIMD(dst, x, y) {
		return
	}
	mulToGeneric(dst, x, y)
}

// MaxTo computes dst[i] = max(x[i], y[i]) for slices of one length; dst may be x or y. NaN wins over every number.
func MaxTo(dst, x, y []float32) {
	sameLen("MaxTo", "dst", len(dst), "x", len(x))
	sameLen("MaxTo", "dst", len(dst), "y", len(y))
	if len(dst) == 0 || maxSIMD(dst, x, y) {
		return
	}
	maxToGeneric(dst, x, y)
}

// RectifyStrided replaces the negative ones among rows of cols floats, row r from x[r*stride:], by 0 (ReLU). NaN stays.
func RectifyStrided(x []float32, stride, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	needStrided("RectifyStrided", x, stride, x, stride, rows, cols)
	if rectifySIMD(x, stride, rows, cols) {
		return
	}
	rectifyGeneric(x, stride, rows, cols)
}

// Lerp computes dst[i] = x[i] + beta*(dst[i]-x[i]), one step of an exponential moving average
// that keeps the share beta of its past.
func Lerp(dst, x []float32, beta float32) {
	sameLen("Lerp", "dst", len(dst), "x", len(x))
	if len(dst) == 0 || lerpSIMD(dst, x, beta) {
		return
	}
	lerpGeneric(dst, x, beta)
}

// Dot returns Σ x[i]*y[i], each product and the sum in float64, in an order that depends on the
// length alone.
func Dot(x, y []float32) float64 {
	sameLen("Dot", "x", len(x), "y", len(y))
	if len(x) == 0 {
		return 0
	}
	if s, ok := dotSIMD(x, y); ok {
		return s
	}
	return dotGeneric(x, y)
}

// SumSquares returns Σ x[i]², as Dot(x, x).
func SumSquares(x []float32) float64 { return Dot(x, x) }

// SiLU computes dst[i] = x[i]/(1+exp(-x[i])); dst may be x. NaN gives NaN, -Inf its limit 0.
func SiLU(dst, x []float32) {
	sameLen("SiLU", "dst", len(dst), "x", len(x))
	if len(dst) == 0 || siluSIMD(dst, x) {
		return
	}
	siluGeneric(dst, x)
}

// SiLUGrad computes dx[i] += dy[i]*silu'(x[i]) with silu'(x) = s(1+x(1-s)) and s = 1/(1+exp(-x));
// dx may be dy or x.
func SiLUGrad(dx, dy, x []float32) {
	sameLen("SiLUGrad", "dx", len(dx), "dy", len(dy))
	sameLen("SiLUGrad", "dx", len(dx), "x", len(x))
	if len(dx) == 0 || siluGradSIMD(dx, dy, x) {
		return
	}
	siluGradGeneric(dx, dy, x)
}

// CopyStrided copies rows of cols floats: row r goes from src[r*srcStride:] to dst[r*dstStride:].
func CopyStrided(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	needStrided("CopyStrided", dst, dstStride, src, srcStride, rows, cols)
	if dstStride == cols && srcStride == cols {
		copy(dst[:rows*cols], src)
		return
	}
	for r := range rows {
		copy(dst[r*dstStride:r*dstStride+cols], src[r*srcStride:r*srcStride+cols])
	}
}

// AddStrided adds a times rows of cols floats: row r of src, from src[r*srcStride:], is added to the
// one that starts at dst[r*dstStride:].
func AddStrided(dst []float32, dstStride int, src []float32, srcStride, rows, cols int, a float32) {
	if rows <= 0 || cols <= 0 {
		return
	}
	needStrided("AddStrided", dst, dstStride, src, srcStride, rows, cols)
	if addStridedSIMD(dst, dstStride, src, srcStride, rows, cols, a) {
		return
	}
	addStridedGeneric(dst, dstStride, src, srcStride, rows, cols, a)
}

func needStrided(kernel string, dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	if dstStride < cols || srcStride < cols {
		panic(fmt.Sprintf("kernel: %s: rows of %d floats do not fit strides %d (dst) and %d (src)", kernel, cols, dstStride, srcStride))
	}
	needLen(kernel, "dst", len(dst), (rows-1)*dstStride+cols)
	needLen(kernel, "src", len(src), (rows-1)*srcStride+cols)
}
