package metric

// dotTile writes the products a_i·b_j of rows a0 ≤ i < a1 of a with rows b0 ≤ j < b1 of b, row-major, into dst. Each product is
// summed in the order of the columns, so it does not depend on the tile it falls into.
func dotTile(dst []float64, a Features, a0, a1 int, b Features, b0, b1 int) {
	w := b1 - b0
	for i := a0; i < a1; i += 2 {
		x0, row0 := a.Row(i), dst[(i-a0)*w:]
		x1, row1 := x0, row0 // an odd last row is computed twice
		if i+1 < a1 {
			x1, row1 = a.Row(i+1), dst[(i+1-a0)*w:]
		}
		j := b0
		for ; j+4 <= b1; j += 4 {
			s := dot2x4(x0, x1, b.Row(j), b.Row(j+1), b.Row(j+2), b.Row(j+3))
			copy(row0[j-b0:], s[:4])
			copy(row1[j-b0:], s[4:])
		}
		for ; j < b1; j++ {
			var s0, s1 float64
			for k, y := range b.Row(j) {
				s0 += float64(x0[k] * y)
				s1 += float64(x1[k] * y)
			}
			row0[j-b0], row1[j-b0] = s0, s1
		}
	}
}

// dot2x4 keeps eight sums in registers: enough independent chains to hide the latency of an addition. The conversions forbid fused
// multiply-adds, which would make results depend on the architecture.
func dot2x4(x0, x1, y0, y1, y2, y3 []float64) (s [8]float64) {
	n := len(x0)
	x1, y0, y1, y2, y3 = x1[:n], y0[:n], y1[:n], y2[:n], y3[:n]
	var s0, s1, s2, s3, s4, s5, s6, s7 float64
	for k, a := range x0 {
		b := x1[k]
		s0 += float64(a * y0[k])
		s4 += float64(b * y0[k])
		s1 += float64(a * y1[k])
		s5 += float64(b * y1[k])
		s2 += float64(a * y2[k])
		s6 += float64(b * y2[k])
		s3 += float64(a * y3[k])
		s7 += float64(b * y3[k])
	}
	return [8]float64{s0, s1, s2, s3, s4, s5, s6, s7}
}

// distance returns the squared distance Σ(x_k − y_k)² from differences: |x|²+|y|²−2xy would cost digits and break ties. It is
// exactly symmetric, and exactly 0 for equal rows.
func distance(x, y []float64) (s float64) {
	y = y[:len(x)]
	for k, v := range x {
		u := v - y[k]
		s += float64(u * u)
	}
	return s
}
