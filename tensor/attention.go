package tensor

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// Attention is scaled dot-product self-attention among the pixels of each
// image. qkv is N×H×W×3C with EDM's interleaved channels: for a head of
// d = C/heads channels, channel head·3d + 3·i + {0,1,2} holds component i of
// query, key and value. The result is N×H×W×C: softmax(q·kᵀ/√d)·v per head.
// The softmax, as long as the square of the number of pixels, is never whole in
// memory; for the backward pass it is computed again, or kept where it is no
// longer than qkv. Both products are those of precision, where the CPU has
// kernels for it, else of float32.
func Attention(t *Tape, qkv *Tensor, heads int, precision Precision) *Tensor {
	n, h, w, c3 := qkv.image("Attention")
	if heads < 1 || c3%(3*heads) != 0 {
		panic(fmt.Sprintf("tensor.Attention: qkv %v for %d heads", qkv.Shape, heads))
	}
	c := c3 / 3
	d, p := c/heads, h*w
	scale := float32(1 / math.Sqrt(float64(d)))
	y := scratch(n, h, w, c)
	var kept []float32 // the softmax, for the backward pass
	if p <= 3*d && t.tracks(qkv) {
		kept = take(n * heads * p * p)
		t.own(kept)
	}
	part := func(u int) []float32 {
		if kept == nil {
			return nil
		}
		return kept[u*p*p:][:p*p]
	}
	kernel.For(n*heads, 1, func(u0, u1 int) {
		buf := take(3 * p * d)
		defer give(buf)
		q, k, v := buf[:p*d], buf[p*d:2*p*d], buf[2*p*d:]
		for u := u0; u < u1; u++ {
			i, head := u/heads, u%heads
			split(q, k, v, qkv.Data[i*p*c3+head*3*d:], p, d, c3)
			kernel.AttentionForward(y.Data[i*p*c+head*d:], c, part(u), q, k, v, p, d, scale, precision)
		}
	})
	t.Record(y, func(dy []float32) {
		dqkv := t.Grad(qkv)
		kernel.For(n*heads, 1, func(u0, u1 int) {
			buf := take(6 * p * d)
			defer give(buf)
			m := func(i int) []float32 { return buf[i*p*d:][:p*d] }
			q, k, v, dq, dk, dv := m(0), m(1), m(2), m(3), m(4), m(5)
			for u := u0; u < u1; u++ {
				i, head := u/heads, u%heads
				split(q, k, v, qkv.Data[i*p*c3+head*3*d:], p, d, c3)
				kernel.AttentionBackward(dq, dk, dv, dy[i*p*c+head*d:], c, part(u), q, k, v, p, d, scale, precision)
				mergeAdd(dqkv[i*p*c3+head*3*d:], dq, dk, dv, p, d, c3)
			}
		})
	}, qkv)
	return y
}

// split copies one head's interleaved q, k, v, p rows ld apart, into three
// p×d matrices.
func split(q, k, v, qkv []float32, p, d, ld int) {
	for i := range p {
		row := qkv[i*ld:][:3*d]
		q, k, v := q[i*d:][:d], k[i*d:][:d], v[i*d:][:d]
		for j := range q {
			three := (*[3]float32)(row[3*j:])
			q[j], k[j], v[j] = three[0], three[1], three[2]
		}
	}
}

// mergeAdd is the transpose of split: it adds the gradients of q, k, v into
// the interleaved rows.
func mergeAdd(qkv, q, k, v []float32, p, d, ld int) {
	for i := range p {
		row := qkv[i*ld:][:3*d]
		q, k, v := q[i*d:][:d], k[i*d:][:d], v[i*d:][:d]
		for j := range q {
			three := (*[3]float32)(row[3*j:])
			three[0] += q[j]
			three[1] += k[j]
			three[2] += v[j]
		}
	}
}
