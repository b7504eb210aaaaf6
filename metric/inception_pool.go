package metric

import "diffuse/internal/kernel"

// maxPool3 writes the maximum of each 3×3 window of x that lies inside the picture to the channels from at on of y:
//
//	y[n][i][j][at+c] = max over ky, kx in 0..3 of x[n][i*stride+ky-pad][j*stride+kx-pad][c]
//
// NaN wins over every number. Rows come first, then columns.
func maxPool3(y activations, at int, x activations, stride, pad int) {
	run := x.w * x.c
	eachRow(y, x.c, func(n, i int) {
		y0, y1 := max(0, i*stride-pad), min(x.h, i*stride-pad+3)
		rows := x.data[(n*x.h+y0)*run : (n*x.h+y1)*run]
		if y1-y0 > 1 {
			most := make([]float32, run)
			kernel.MaxTo(most, rows[:run], rows[run:2*run])
			for r := 2; r < y1-y0; r++ {
				kernel.MaxTo(most, most, rows[r*run:(r+1)*run])
			}
			rows = most
		}
		for j := range y.w {
			x0, x1 := max(0, j*stride-pad), min(x.w, j*stride-pad+3)
			out := y.data[((n*y.h+i)*y.w+j)*y.c+at:][:x.c]
			copy(out, rows[x0*x.c:])
			for xx := x0 + 1; xx < x1; xx++ {
				kernel.MaxTo(out, out, rows[xx*x.c:(xx+1)*x.c])
			}
		}
	})
}

// averagePool3 writes the mean of the part of each 3×3 window of x, one around every pixel, that lies inside the picture to the
// channels from at on of y:
//
//	y[n][i][j][at+c] = mean over yy in i-1..i+1, xx in j-1..j+1, inside, of x[n][yy][xx][c]
//
// Rows are summed first, then columns.
func averagePool3(y activations, at int, x activations) {
	run := x.w * x.c
	eachRow(y, x.c, func(n, i int) {
		y0, y1 := max(0, i-1), min(x.h, i+2)
		rows := x.data[(n*x.h+y0)*run : (n*x.h+y1)*run]
		sum := make([]float32, run)
		copy(sum, rows)
		for r := 1; r < y1-y0; r++ {
			kernel.AddTo(sum, sum, rows[r*run:(r+1)*run], 1, 1)
		}
		for j := range x.w {
			x0, x1 := max(0, j-1), min(x.w, j+2)
			out := y.data[((n*y.h+i)*y.w+j)*y.c+at:][:x.c]
			copy(out, sum[x0*x.c:])
			for xx := x0 + 1; xx < x1; xx++ {
				kernel.AddTo(out, out, sum[xx*x.c:(xx+1)*x.c], 1, 1)
			}
			kernel.ScaleTo(out, 1/float32((y1-y0)*(x1-x0)), out)
		}
	})
}

// elementGrain is about how many values a task of an element-wise loop handles.
const elementGrain = 1 << 14

// eachRow calls f for every row i of every picture n of y, of whose channels c are at stake.
func eachRow(y activations, c int, f func(n, i int)) {
	kernel.For(y.n*y.h, elementGrain/(y.w*c)+1, func(r0, r1 int) {
		for r := r0; r < r1; r++ {
			f(r/y.h, r%y.h)
		}
	})
}
