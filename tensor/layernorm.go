package tensor

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// LayerNorm normalises the channels of every pixel of x, N×H×W×C, to zero mean and unit variance and applies gamma and
// beta, C values each, then scale and shift, N×C (Ba et al. 2016, arXiv 1607.06450; the adaptive form of DiT, Peebles & Xie
// 2022, arXiv 2212.09748, sec. 3.2):
//
//	y = ((x−mean)/sqrt(var+eps)·gamma + beta)·(1+scale) + shift
func LayerNorm(t *Tape, x, gamma, beta, scale, shift *Tensor, eps float32) *Tensor {
	n, h, w, c := x.image("LayerNorm")
	if gamma.Len() != c || beta.Len() != c || scale.Len() != n*c || shift.Len() != n*c {
		panic(fmt.Sprintf("tensor.LayerNorm: x %v, gamma %v, beta %v, scale %v, shift %v",
			x.Shape, gamma.Shape, beta.Shape, scale.Shape, shift.Shape))
	}
	p := h * w
	y := scratch(n, h, w, c)
	keep := take(2*n*c + 2*n*p) // y = (x−mean)·rstd·a + b
	a, b := keep[:n*c], keep[n*c:2*n*c]
	mean, rstd := keep[2*n*c:2*n*c+n*p], keep[2*n*c+n*p:]
	for i := range n * c {
		s := 1 + scale.Data[i]
		a[i], b[i] = gamma.Data[i%c]*s, beta.Data[i%c]*s+shift.Data[i]
	}
	kernel.For(n*p, 64, func(j0, j1 int) {
		for j := j0; j < j1; j++ {
			i := j / p
			mean[j], rstd[j] = normaliseRow(y.Data[j*c:][:c], x.Data[j*c:][:c], a[i*c:][:c], b[i*c:][:c], eps)
		}
	})
	if !t.tracks(x, gamma, beta, scale, shift) {
		give(keep)
	} else {
		t.own(keep)
	}
	t.Record(y, func(dy []float32) {
		layerNormBackward(t, dy, x, gamma, beta, scale, shift, a, mean, rstd)
	}, x, gamma, beta, scale, shift)
	return y
}

// normaliseRow writes one pixel of LayerNorm and returns its mean and 1/sqrt(var+eps).
func normaliseRow(y, x, a, b []float32, eps float32) (mean, rstd float32) {
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	mean = float32(sum / float64(len(x)))
	for k, v := range x {
		y[k] = v - mean
	}
	rstd = float32(1 / math.Sqrt(kernel.SumSquares(y)/float64(len(x))+float64(eps)))
	for k, v := range y {
		y[k] = v*rstd*a[k] + b[k]
	}
	return mean, rstd
}

// layerNormBackward is the gradient of LayerNorm. With x̂ = (x−mean)·rstd, the sums over a picture's pixels dA = Σdy·x̂ and
// dB = Σdy give those of gamma, beta, scale and shift; dx = rstd(a·dy − ⟨a·dy⟩ − x̂⟨a·dy·x̂⟩), ⟨⟩ the mean over channels.
func layerNormBackward(t *Tape, dy []float32, x, gamma, beta, scale, shift *Tensor, a, mean, rstd []float32) {
	n, h, w, c := x.image("LayerNorm")
	p := h * w
	dx := t.Grad(x)
	sums := takeZero(2 * n * c) // per picture: dA, dB
	defer give(sums)
	kernel.For(n, 1, func(i0, i1 int) {
		buf := take(c)
		defer give(buf)
		for i := i0; i < i1; i++ {
			dA, dB := sums[2*i*c:][:c], sums[(2*i+1)*c:][:c]
			for j := i * p; j < (i+1)*p; j++ {
				var into []float32
				if dx != nil {
					into = dx[j*c:][:c]
				}
				normaliseRowGrad(into, dA, dB, buf, dy[j*c:][:c], x.Data[j*c:][:c], a[i*c:][:c], mean[j], rstd[j])
			}
		}
	})
	dgamma, dbeta, dscale, dshift := t.Grad(gamma), t.Grad(beta), t.Grad(scale), t.Grad(shift)
	for i := range n { // in picture order: the sum must not depend on threads
		dA, dB := sums[2*i*c:][:c], sums[(2*i+1)*c:][:c]
		for k := range c {
			s := 1 + scale.Data[i*c+k]
			if dgamma != nil {
				dgamma[k] += s * dA[k]
			}
			if dbeta != nil {
				dbeta[k] += s * dB[k]
			}
			if dscale != nil {
				dscale[i*c+k] += gamma.Data[k]*dA[k] + beta.Data[k]*dB[k]
			}
			if dshift != nil {
				dshift[i*c+k] += dB[k]
			}
		}
	}
}

// normaliseRowGrad adds the gradient of one pixel to dx, if that is not nil, and to the sums dA and dB. buf holds a row.
func normaliseRowGrad(dx, dA, dB, buf, dy, x, a []float32, mean, rstd float32) {
	var m1, m2 float64
	for k, g := range dy {
		hat := (x[k] - mean) * rstd
		buf[k] = hat
		dA[k] += g * hat
		dB[k] += g
		z := float64(g * a[k])
		m1 += z
		m2 += z * float64(hat)
	}
	if dx == nil {
		return
	}
	f1, f2 := float32(m1/float64(len(x))), float32(m2/float64(len(x)))
	for k, g := range dy {
		dx[k] += rstd * (g*a[k] - f1 - buf[k]*f2)
	}
}
