package kernel

// The points of interpolation ±a and ±b, and what is made of them, exact in float32.
const (
	wa, wb   = 0.625, 1.5
	wa2, wb2 = wa * wa, wb * wb
	// 1/N of the points ±a and ±b: N(p) is the product of p's distances from the other finite points.
	wna, wnb = 1 / (2 * wa2 * (wa2 - wb2)), 1 / (2 * wb2 * (wb2 - wa2))
)

// The coefficients of the three transforms, as the assembly reads them.
var (
	winogradB = [6]float32{wa, wb, wa2, wb2, wa2 + wb2, wa2 * wb2}
	winogradG = [7]float32{1 / (wa2 * wb2), wna, wna * wa, wna * wa2, wnb, wnb * wb, wnb * wb2}
	winogradA = [6]float32{wa, wb, wa2, wb2, wa2 * wa, wb2 * wb}
)

// winogradInput computes, for n channels, a multiple of 8, of one patch d[i][j] = src[i*row+j*pix], i, j in 0..6:
//
//	dst[(i*6+j)*step] = (Bᵀ d B)[i][j]
//
// where Bᵀ has for each point the coefficients of the polynomial that is 0 at the other finite ones:
//
//	a²b²  0    -a²-b²  0       1   0
//	0    ∓ab²  -b²     ±a      1   0     (for ±a; for ±b with a and b exchanged)
//	0     a²b²  0      -a²-b²  0   1
func winogradInput(dst, src []float32, step, row, pix, n int) {
	_, _ = dst[(winogradPlaces-1)*step+n-1], src[(winogradPatch-1)*(row+pix)+n-1]
	if !winogradInputSIMD(dst, src, step, row, pix, n) {
		winogradInputGeneric(dst, src, step, row, pix, n)
	}
}

// winogradOutput computes, for n channels, a multiple of 8, of the products m[i][j] = src[(i*6+j)*step], i, j in 0..6:
//
//	dst[i*row+j*pix] = (Aᵀ m A)[i][j] + bias, i, j in 0..4
//
// where row i of Aᵀ has the powers i of the points: 0^i, (±a)^i, (±b)^i, and for ∞ a 1 in the last row.
func winogradOutput(dst, src, bias []float32, row, pix, step, n int) {
	_, _, _ = dst[(winogradTile-1)*(row+pix)+n-1], src[(winogradPlaces-1)*step+n-1], bias[n-1]
	if !winogradOutputSIMD(dst, src, bias, row, pix, step, n) {
		winogradOutputGeneric(dst, src, bias, row, pix, step, n)
	}
}

// winogradWeights computes, for rows input channels, row floats apart in src, and n output channels, a multiple of 8, of the weights
// g[i][j] = src[(i*3+j)*tap], i, j in 0..3:
//
//	dst[(i*6+j)*step] = (G g Gᵀ)[i][j]
//
// with n floats of dst from one input channel to the next, where G has for each point p the powers 1, p, p² divided by N(p), and for ∞
// 0, 0, 1.
func winogradWeights(dst, src []float32, step, tap, row, rows, n int) {
	_, _ = dst[(winogradPlaces-1)*step+rows*n-1], src[8*tap+(rows-1)*row+n-1]
	if !winogradWeightsSIMD(dst, src, step, tap, row, rows, n) {
		winogradWeightsGeneric(dst, src, step, tap, row, rows, n)
	}
}

func winogradInputGeneric(dst, src []float32, step, row, pix, n int) {
	for c := range n {
		var t [winogradPatch][winogradPatch]float32
		for j := range winogradPatch {
			d := src[j*pix+c:]
			t[j] = winogradB6([6]float32{d[0], d[row], d[2*row], d[3*row], d[4*row], d[5*row]})
		}
		for i := range winogradPatch {
			v := winogradB6([6]float32{t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]})
			for j := range v {
				dst[(i*winogradPatch+j)*step+c] = v[j]
			}
		}
	}
}

// winogradB6 is Bᵀd in one dimension.
func winogradB6(d [6]float32) [6]float32 {
	e1, o1 := d[4]-wb2*d[2], wa*(d[3]-wb2*d[1])
	e2, o2 := d[4]-wa2*d[2], wb*(d[3]-wa2*d[1])
	return [6]float32{d[4] - (wa2+wb2)*d[2] + wa2*wb2*d[0], e1 + o1, e1 - o1, e2 + o2, e2 - o2, d[5] - (wa2+wb2)*d[3] + wa2*wb2*d[1]}
}

func winogradOutputGeneric(dst, src, bias []float32, row, pix, step, n int) {
	for c := range n {
		var t [winogradPatch][winogradTile]float32
		for j := range winogradPatch {
			m := func(i int) float32 { return src[(i*winogradPatch+j)*step+c] }
			t[j] = winogradA4([6]float32{m(0), m(1), m(2), m(3), m(4), m(5)})
		}
		for i := range winogradTile {
			y := winogradA4([6]float32{t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]})
			for j := range y {
				dst[i*row+j*pix+c] = y[j] + bias[c]
			}
		}
	}
}

// winogradA4 is Aᵀm in one dimension.
func winogradA4(m [6]float32) [4]float32 {
	e1, o1, e2, o2 := m[1]+m[2], m[1]-m[2], m[3]+m[4], m[3]-m[4]
	return [4]float32{m[0] + e1 + e2, wa*o1 + wb*o2, wa2*e1 + wb2*e2, m[5] + wa2*wa*o1 + wb2*wb*o2}
}

func winogradWeightsGeneric(dst, src []float32, step, tap, row, rows, n int) {
	for c := range rows {
		for o := range n {
			var t [3][winogradPatch]float32
			for j := range 3 {
				g := src[j*tap+c*row+o:]
				t[j] = winogradG6(g[0], g[3*tap], g[6*tap])
			}
			for i := range winogradPatch {
				u := winogradG6(t[0][i], t[1][i], t[2][i])
				for j := range u {
					dst[(i*winogradPatch+j)*step+c*n+o] = u[j]
				}
			}
		}
	}
}

// winogradG6 is Gg in one dimension.
func winogradG6(g0, g1, g2 float32) [6]float32 {
	k := &winogradG
	e1, o1 := k[1]*g0+k[3]*g2, k[2]*g1
	e2, o2 := k[4]*g0+k[6]*g2, k[5]*g1
	return [6]float32{k[0] * g0, e1 + o1, e1 - o1, e2 + o2, e2 - o2, g2}
}
