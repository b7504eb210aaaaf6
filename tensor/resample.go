package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// Downsample filters every channel of x, N×H×W×C, with the outer product of
// taps with itself, divided by its sum, and keeps every second pixel; pad
// zeros surround the picture. The result has (H+2·pad−len(taps))/2+1 rows.
// Taps {1,1} and pad 0 give the mean of 2×2 pixels (EDM, DDPM++), {1,3,3,1}
// and pad 1 the filter of NCSN++.
func Downsample(t *Tape, x *Tensor, taps []float32, pad int) *Tensor {
	n, h, w, c := x.image("Downsample")
	oh, ow := (h+2*pad-len(taps))/2+1, (w+2*pad-len(taps))/2+1
	if h+2*pad < len(taps) || w+2*pad < len(taps) {
		panic(fmt.Sprintf("tensor.Downsample: x %v with padding %d is smaller than %d taps", x.Shape, pad, len(taps)))
	}
	f := outer(taps, 1)
	y := scratch(n, oh, ow, c)
	kernel.For(n, 1, func(i0, i1 int) {
		clear(y.Data[i0*oh*ow*c : i1*oh*ow*c])
		for i := i0; i < i1; i++ {
			gather(y.Data[i*oh*ow*c:][:oh*ow*c], x.Data[i*h*w*c:][:h*w*c], f, oh, ow, h, w, c, pad)
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				scatter(dx[i*h*w*c:][:h*w*c], dy[i*oh*ow*c:][:oh*ow*c], f, h, w, oh, ow, c, pad)
			}
		})
	}, x)
	return y
}

// Upsample is the transpose of [Downsample] times four: it spreads every
// pixel of x, N×H×W×C, over a picture of 2(H−1)−2·pad+len(taps) rows. Taps
// {1,1} and pad 0 repeat each pixel four times.
func Upsample(t *Tape, x *Tensor, taps []float32, pad int) *Tensor {
	n, h, w, c := x.image("Upsample")
	oh, ow := 2*(h-1)-2*pad+len(taps), 2*(w-1)-2*pad+len(taps)
	if oh < 1 || ow < 1 {
		panic(fmt.Sprintf("tensor.Upsample: x %v with padding %d and %d taps leaves nothing", x.Shape, pad, len(taps)))
	}
	f := outer(taps, 4)
	y := scratch(n, oh, ow, c)
	kernel.For(n, 1, func(i0, i1 int) {
		clear(y.Data[i0*oh*ow*c : i1*oh*ow*c])
		for i := i0; i < i1; i++ {
			scatter(y.Data[i*oh*ow*c:][:oh*ow*c], x.Data[i*h*w*c:][:h*w*c], f, oh, ow, h, w, c, pad)
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				gather(dx[i*h*w*c:][:h*w*c], dy[i*oh*ow*c:][:oh*ow*c], f, h, w, oh, ow, c, pad)
			}
		})
	}, x)
	return y
}

// outer returns gain·f⊗f/(Σf)² as a list of rows.
func outer(taps []float32, gain float64) [][]float32 {
	var sum float64
	for _, v := range taps {
		sum += float64(v)
	}
	f := make([][]float32, len(taps))
	for i, u := range taps {
		f[i] = make([]float32, len(taps))
		for j, v := range taps {
			f[i][j] = float32(gain * float64(u) * float64(v) / (sum * sum))
		}
	}
	return f
}

// gather: dst[y,x] += Σ f[i][j]·src[2y+i−pad, 2x+j−pad] for one image, zero
// outside src.
func gather(dst, src []float32, f [][]float32, dh, dw, sh, sw, c, pad int) {
	for y := range dh {
		for i, row := range f {
			sy := 2*y + i - pad
			if sy < 0 || sy >= sh {
				continue
			}
			for j, v := range row {
				x0, x1 := span(dw, sw, j-pad)
				if x0 < x1 {
					kernel.AddStrided(dst[(y*dw+x0)*c:], c, src[(sy*sw+2*x0+j-pad)*c:], 2*c, x1-x0, c, v)
				}
			}
		}
	}
}

// scatter is the transpose of gather: dst[2y+i−pad, 2x+j−pad] += f[i][j]·src[y,x].
func scatter(dst, src []float32, f [][]float32, dh, dw, sh, sw, c, pad int) {
	for y := range sh {
		for i, row := range f {
			dy := 2*y + i - pad
			if dy < 0 || dy >= dh {
				continue
			}
			for j, v := range row {
				x0, x1 := span(sw, dw, j-pad)
				if x0 < x1 {
					kernel.AddStrided(dst[(dy*dw+2*x0+j-pad)*c:], 2*c, src[(y*sw+x0)*c:], c, x1-x0, c, v)
				}
			}
		}
	}
}

// span returns the range of x in [0,small) with 2x+off in [0,big).
func span(small, big, off int) (x0, x1 int) {
	if off < 0 {
		x0 = (-off + 1) / 2
	}
	return x0, min(small, (big-off+1)/2)
}
