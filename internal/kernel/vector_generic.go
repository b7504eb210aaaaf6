package kernel

import "math"

// The functions of this file are the reference loops of vector.go: exponentials and sums in float64,
// rounded once to float32. They run where no vector version does, and the tests hold those to them.

func axpyGeneric(y []float32, a float32, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] += a * x[i]
	}
}

func scaleToGeneric(dst []float32, a float32, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = a * x[i]
	}
}

func addToGeneric(dst, x, y []float32, a, b float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = a*x[i] + b*y[i]
	}
}

func mulToGeneric(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * y[i]
	}
}

func maxToGeneric(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = max(x[i], y[i])
	}
}

func lerpGeneric(dst, x []float32, beta float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = x[i] + beta*(dst[i]-x[i])
	}
}

func dotGeneric(x, y []float32) float64 {
	var s [4]float64 // four chains: one float64 addition a clock instead of a quarter
	y = y[:len(x)]
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s[0] += float64(x[i]) * float64(y[i])
		s[1] += float64(x[i+1]) * float64(y[i+1])
		s[2] += float64(x[i+2]) * float64(y[i+2])
		s[3] += float64(x[i+3]) * float64(y[i+3])
	}
	for ; i < len(x); i++ {
		s[0] += float64(x[i]) * float64(y[i])
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// siluOf is SiLU in float64. Below -1000 the answer is 0 to any precision, also for -Inf, where the
// formula would divide infinities.
func siluOf(z float64) float64 {
	if z < -1000 {
		return 0
	}
	return z / (1 + math.Exp(-z))
}

// siluSlope is the derivative s(1+z(1-s)) in float64, with its limits 0 and 1 at the infinities.
func siluSlope(z float64) float64 {
	switch {
	case z < -1000:
		return 0
	case z > 1000:
		return 1
	}
	s := 1 / (1 + math.Exp(-z))
	return s * (1 + z*(1-s))
}

func siluGeneric(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = float32(siluOf(float64(x[i])))
	}
}

func siluGradGeneric(dx, dy, x []float32) {
	dy, x = dy[:len(dx)], x[:len(dx)]
	for i := range dx {
		dx[i] += float32(float64(dy[i]) * siluSlope(float64(x[i])))
	}
}

func addStridedGeneric(dst []float32, dstStride int, src []float32, srcStride, rows, cols int, a float32) {
	for r := range rows {
		axpyGeneric(dst[r*dstStride:r*dstStride+cols], a, src[r*srcStride:r*srcStride+cols])
	}
}

func rectifyGeneric(x []float32, stride, rows, cols int) {
	for r := range rows {
		row := x[r*stride : r*stride+cols]
		for i, v := range row {
			row[i] = max(v, 0)
		}
	}
}
