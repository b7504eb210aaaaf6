package tensor

import (
	"fmt"
	"math/rand/v2"

	"diffuse/internal/kernel"
)

// Dropout zeroes each element of image i with probability p, drawn from
// rngs[i], and divides the others by 1−p. One generator per image keeps a
// picture's mask independent of its batch. p must be below 1; with p = 0 x
// itself is returned.
func Dropout(t *Tape, x *Tensor, p float64, rngs []*rand.Rand) *Tensor {
	if p == 0 {
		return x
	}
	n := x.Shape[0]
	if len(rngs) != n || !(p > 0 && p < 1) {
		panic(fmt.Sprintf("tensor.Dropout: x %v, p %g, %d generators", x.Shape, p, len(rngs)))
	}
	m := len(x.Data) / max(1, n)
	words := (m + 63) / 64
	limit, keep := uint64(p*65536+0.5), float32(1/(1-p))
	mask := t.mask(n*words, func(mask []uint64) {
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				drawMask(mask[i*words:][:words], m, limit, rngs[i])
			}
		})
	})
	y := scratch(x.Shape...)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			applyMask(x.Data[i*m:][:m], mask[i*words:], keep, func(at int, f, x []float32) {
				kernel.MulTo(y.Data[i*m+at:][:len(x)], x, f)
			})
		}
	})
	t.Record(y, func(dy []float32) {
		dx := t.Grad(x)
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				applyMask(dy[i*m:][:m], mask[i*words:], keep, func(at int, f, dy []float32) {
					kernel.MulTo(f, dy, f)
					kernel.Axpy(dx[i*m+at:][:len(dy)], 1, f)
				})
			}
		})
	}, x)
	return y
}

// drawMask sets the first m bits of mask where 16 bits from r are limit or more: four elements to a number.
func drawMask(mask []uint64, m int, limit uint64, r *rand.Rand) {
	for j := 0; j < m; j += 4 {
		bits := r.Uint64()
		var kept uint64
		for k := range 4 {
			if bits&0xffff >= limit {
				kept |= 1 << k
			}
			bits >>= 16
		}
		mask[j/64] |= kept << (j % 64)
	}
}

// applyMask calls f on pieces of x, the first of which begins at element at, with factors as long: keep where mask has a
// bit and 0 elsewhere. f may write to the factors.
func applyMask(x []float32, mask []uint64, keep float32, f func(at int, factors, x []float32)) {
	var buf [64]float32
	choice := [2]float32{0, keep}
	for at := 0; at < len(x); at += 64 {
		word := mask[at/64]
		for k := range buf {
			buf[k] = choice[word&1]
			word >>= 1
		}
		n := min(64, len(x)-at)
		f(at, buf[:n], x[at:at+n])
	}
}
