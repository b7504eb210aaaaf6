package tensor

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// NormOptions configures [GroupNorm].
type NormOptions struct {
	Groups int     // must divide the channels
	Eps    float32 // added to the variance
	SiLU   bool    // apply SiLU(z) = z/(1+exp(−z)) to the result
}

// GroupNorm normalises every group of channels of every image of x, N×H×W×C,
// to zero mean and unit variance, and applies gamma and beta (C values each):
//
//	z = (x−mean)/sqrt(var+eps)·gamma + beta
//	z = z·(1+scale) + shift        if scale and shift, N×C, are given
//	y = SiLU(z)                    if o.SiLU
//
// scale and shift are the adaptive form of ADM (Dhariwal & Nichol 2021,
// sec. 4.3); both are nil otherwise.
func GroupNorm(t *Tape, x, gamma, beta, scale, shift *Tensor, o NormOptions) *Tensor {
	n, h, w, c := x.image("GroupNorm")
	if o.Groups < 1 || c%o.Groups != 0 || gamma.Len() != c || beta.Len() != c ||
		(scale == nil) != (shift == nil) || (scale != nil && (scale.Len() != n*c || shift.Len() != n*c)) {
		panic(fmt.Sprintf("tensor.GroupNorm: x %v, gamma %v, beta %v, scale %v, shift %v, %d groups",
			x.Shape, gamma.Shape, beta.Shape, shapeOf(scale), shapeOf(shift), o.Groups))
	}
	p := h * w
	y := scratch(n, h, w, c)
	// y = f(x·a + b) with a = A/σ, b = B − mean·a, A = gamma(1+scale),
	// B = beta(1+scale)+shift.
	keep := take(n * (2*c + 2*o.Groups))
	a, b := keep[:n*c], keep[n*c:2*n*c]
	mean, rstd := keep[2*n*c:2*n*c+n*o.Groups], keep[2*n*c+n*o.Groups:]
	kernel.For(n, 1, func(i0, i1 int) {
		buf := take(3 * c)
		defer give(buf)
		for i := i0; i < i1; i++ {
			xi := x.Data[i*p*c:][:p*c]
			ai, bi := a[i*c:][:c], b[i*c:][:c]
			mi, ri := mean[i*o.Groups:][:o.Groups], rstd[i*o.Groups:][:o.Groups]
			groupMoments(mi, ri, xi, buf, p, c, o)
			for k := range c {
				A, B := gamma.Data[k], beta.Data[k]
				if scale != nil {
					s := 1 + scale.Data[i*c+k]
					A, B = A*s, B*s+shift.Data[i*c+k]
				}
				j := k / (c / o.Groups)
				ai[k] = A * ri[j]
				bi[k] = B - mi[j]*ai[k]
			}
			kernel.AffineSiLU(y.Data[i*p*c:][:p*c], xi, ai, bi, p, c, o.SiLU)
		}
	})
	if !t.tracks(x, gamma, beta, scale, shift) {
		give(keep)
	} else {
		t.own(keep)
	}
	t.Record(y, func(dy []float32) {
		normBackward(t, dy, x, gamma, beta, scale, shift, a, b, mean, rstd, o)
	}, x, gamma, beta, scale, shift)
	return y
}

// groupMoments computes mean and 1/sqrt(var+eps) of every group of one image
// in two passes, the second about the mean of the first. buf holds 3c floats.
func groupMoments(mean, rstd, x, buf []float32, p, c int, o NormOptions) {
	sum, sq, centre := buf[:c], buf[c:2*c], buf[2*c:3*c]
	cg := c / o.Groups
	m := float64(p * cg)
	kernel.ChannelMoments(sum, nil, x, nil, p, c)
	for k := range c {
		if k%cg == 0 {
			var s float64
			for _, v := range sum[k : k+cg] {
				s += float64(v)
			}
			mean[k/cg] = float32(s / m)
		}
		centre[k] = mean[k/cg]
	}
	kernel.ChannelMoments(sum, sq, x, centre, p, c)
	for j := range o.Groups {
		var s, q float64
		for k := j * cg; k < (j+1)*cg; k++ {
			s += float64(sum[k])
			q += float64(sq[k])
		}
		d := s / m // what float32 left of the mean
		mean[j] += float32(d)
		rstd[j] = float32(1 / math.Sqrt(max(0, q/m-d*d)+float64(o.Eps)))
	}
}

// normBackward is the gradient of GroupNorm. With x̂ = (x−mean)·rstd and
// dz = dy·f'(z), the sums over pixels s1 = Σdz and s2 = Σdz·x of each channel
// give everything: dB = s1, dA = Σdz·x̂ = rstd(s2 − mean·s1), and
// dx = rstd(A·dz − ⟨A·dz⟩ − x̂⟨A·dz·x̂⟩), ⟨⟩ the mean over the group.
func normBackward(t *Tape, dy []float32, x, gamma, beta, scale, shift *Tensor, a, b, mean, rstd []float32, o NormOptions) {
	n, h, w, c := x.image("GroupNorm")
	p, cg := h*w, c/o.Groups
	dx, dscale, dshift := t.Grad(x), t.Grad(scale), t.Grad(shift)
	sums := takeZero(2 * n * c) // per image: dA, dB
	defer give(sums)
	kernel.For(n, 1, func(i0, i1 int) {
		dz, buf := take(p*c), take(3*c)
		defer give(dz)
		defer give(buf)
		ca, cb, cc := buf[:c], buf[c:2*c], buf[2*c:]
		for i := i0; i < i1; i++ {
			xi := x.Data[i*p*c:][:p*c]
			dA, dB := sums[2*i*c:][:c], sums[(2*i+1)*c:][:c]
			kernel.AffineSiLUGrad(dz, dy[i*p*c:][:p*c], xi, a[i*c:][:c], b[i*c:][:c], dB, dA, p, c, o.SiLU)
			for j := range o.Groups {
				r, m := float64(rstd[i*o.Groups+j]), float64(mean[i*o.Groups+j])
				var m1, m2 float64
				for k := j * cg; k < (j+1)*cg; k++ {
					da := r * (float64(dA[k]) - m*float64(dB[k]))
					A := float64(a[i*c+k]) / r
					m1 += A * float64(dB[k])
					m2 += A * da
					dA[k] = float32(da)
				}
				m1 /= float64(p * cg)
				m2 /= float64(p * cg)
				for k := j * cg; k < (j+1)*cg; k++ {
					ca[k] = a[i*c+k]
					cb[k] = float32(-r * r * m2)
					cc[k] = float32(r * (r*m2*m - m1))
				}
			}
			if dx != nil {
				kernel.AffineAddGrad(dx[i*p*c:][:p*c], dz, xi, ca, cb, cc, p, c)
			}
			if dscale != nil {
				for k := range c {
					dscale[i*c+k] += dA[k]*gamma.Data[k] + dB[k]*beta.Data[k]
				}
			}
			if dshift != nil {
				kernel.Axpy(dshift[i*c:][:c], 1, dB)
			}
		}
	})
	dgamma, dbeta := t.Grad(gamma), t.Grad(beta)
	for i := range n { // in image order: the sum must not depend on threads
		for k := range c {
			s := float32(1)
			if scale != nil {
				s += scale.Data[i*c+k]
			}
			if dgamma != nil {
				dgamma[k] += s * sums[2*i*c+k]
			}
			if dbeta != nil {
				dbeta[k] += s * sums[(2*i+1)*c+k]
			}
		}
	}
}
