package tensor

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// Rotate2D turns queries and keys by the place of their pixel, so that [Attention] sees places relative to one another
// (rotary embedding, Su et al. 2021, arXiv 2104.09864, eq. 34, in two dimensions). qkv is as Attention reads it, N×H×W×3C,
// heads of d = C/heads channels, d a multiple of 4. Components 2j and 2j+1 of a head form a pair; in the first half of the
// head pair i turns by the angle row·base^(−4i/d), in the second half by column·base^(−4i/d), i = 0 … d/4−1. Values stay.
func Rotate2D(t *Tape, qkv *Tensor, heads int, base float64) *Tensor {
	n, h, w, c3 := qkv.image("Rotate2D")
	if heads < 1 || c3%(12*heads) != 0 || !(base > 0) {
		panic(fmt.Sprintf("tensor.Rotate2D: qkv %v for %d heads, base %g", qkv.Shape, heads, base))
	}
	turns := newTurns(max(h, w), c3/(12*heads), base)
	row := w * c3
	y := scratch(qkv.Shape...)
	kernel.For(n*h, 4, func(r0, r1 int) {
		for r := r0; r < r1; r++ {
			turns.row(y.Data[r*row:][:row], qkv.Data[r*row:][:row], r%h, w, heads, 1)
		}
	})
	t.Record(y, func(dy []float32) {
		dqkv := t.Grad(qkv)
		kernel.For(n*h, 4, func(r0, r1 int) {
			buf := take(row)
			defer give(buf)
			for r := r0; r < r1; r++ {
				turns.row(buf, dy[r*row:][:row], r%h, w, heads, -1)
				kernel.Axpy(dqkv[r*row:][:row], 1, buf)
			}
		})
	}, qkv)
	return y
}

// turns holds cosines and sines of place·base^(−i/quarter), quarter of them for each place.
type turns struct {
	quarter  int // of a head's channels: the pairs in one of its halves
	cos, sin []float32
}

func newTurns(places, quarter int, base float64) turns {
	t := turns{quarter, make([]float32, places*quarter), make([]float32, places*quarter)}
	for p := range places {
		for i := range quarter {
			s, c := math.Sincos(float64(p) * math.Pow(base, -float64(i)/float64(quarter)))
			t.cos[p*quarter+i], t.sin[p*quarter+i] = float32(c), float32(s)
		}
	}
	return t
}

// row turns the w pixels of picture row r from src to dst; sign −1 turns back.
func (t turns) row(dst, src []float32, r, w, heads int, sign float32) {
	half := 6 * t.quarter // queries, keys and values of half a head
	for x := range w {
		for range heads {
			t.half(dst[:half], src[:half], r, sign)
			t.half(dst[half:2*half], src[half:2*half], x, sign)
			dst, src = dst[2*half:], src[2*half:]
		}
	}
}

// half turns the pairs of half a head by their angles at one place.
func (t turns) half(dst, src []float32, place int, sign float32) {
	cos, sin := t.cos[place*t.quarter:][:t.quarter], t.sin[place*t.quarter:][:t.quarter]
	for i, c := range cos {
		s := sign * sin[i]
		a, b := src[6*i:][:6], dst[6*i:][:6]
		b[0], b[3] = a[0]*c-a[3]*s, a[0]*s+a[3]*c
		b[1], b[4] = a[1]*c-a[4]*s, a[1]*s+a[4]*c
		b[2], b[5] = a[2], a[5]
	}
}

// pairs turns half a head of queries or keys alone, components next to one another, in place.
func (t turns) pairs(x []float32, place int, sign float32) {
	cos, sin := t.cos[place*t.quarter:][:t.quarter], t.sin[place*t.quarter:][:t.quarter]
	for i, c := range cos {
		s, a, b := sign*sin[i], x[2*i], x[2*i+1]
		x[2*i], x[2*i+1] = a*c-b*s, a*s+b*c
	}
}

// AddPlaces adds the vector of its place to every pixel of x, N×H×W×C (learned positions). table is R×S×C with R ≥ H and
// S ≥ W; a smaller picture uses the part that begins at row and column 0.
func AddPlaces(t *Tape, x, table *Tensor) *Tensor {
	n, h, w, c := x.image("AddPlaces")
	if s := table.Shape; len(s) != 3 || s[0] < h || s[1] < w || s[2] != c {
		panic(fmt.Sprintf("tensor.AddPlaces: x %v, table %v", x.Shape, s))
	}
	row, wide := w*c, table.Shape[1]*c
	y := scratch(x.Shape...)
	kernel.For(n*h, 4, func(r0, r1 int) {
		for r := r0; r < r1; r++ {
			kernel.AddTo(y.Data[r*row:][:row], x.Data[r*row:][:row], table.Data[r%h*wide:][:row], 1, 1)
		}
	})
	t.Record(y, func(dy []float32) {
		axpy(t.Grad(x), 1, dy)
		if dt := t.Grad(table); dt != nil {
			for r := range n * h { // in the order of the pictures
				kernel.Axpy(dt[r%h*wide:][:row], 1, dy[r*row:][:row])
			}
		}
	}, x, table)
	return y
}
