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
func Attention(t *Tape, qkv *Tensor, heads int) *Tensor {
	n, h, w, c3 := qkv.image("Attention")
	if heads < 1 || c3%(3*heads) != 0 {
		panic(fmt.Sprintf("tensor.Attention: qkv %v for %d heads", qkv.Shape, heads))
	}
	c := c3 / 3
	d, p := c/heads, h*w
	scale := float32(1 / math.Sqrt(float64(d)))
	y := scratch(n, h, w, c)
	var probs []float32
	if t.tracks(qkv) {
		probs = take(n * heads * p * p)
		t.own(probs)
	}
	kernel.For(n*heads, 1, func(u0, u1 int) {
		buf := take(3*p*d + p*p)
		defer give(buf)
		q, k, v := buf[:p*d], buf[p*d:2*p*d], buf[2*p*d:3*p*d]
		for u := u0; u < u1; u++ {
			i, head := u/heads, u%heads
			s := buf[3*p*d:]
			if probs != nil {
				s = probs[u*p*p:][:p*p]
			}
			split(q, k, v, qkv.Data[i*p*c3+head*3*d:], p, d, c3)
			kernel.Gemm(s, q, k, p, p, d, d, d, p, false, true, false)
			kernel.SoftmaxRows(s, s, p, p, scale)
			kernel.Gemm(y.Data[i*p*c+head*d:], s, v, p, d, p, p, d, c, false, false, false)
		}
	})
	t.Record(y, func(dy []float32) {
		dqkv := t.Grad(qkv)
		kernel.For(n*heads, 1, func(u0, u1 int) {
			buf := take(6*p*d + p*p)
			defer give(buf)
			part := func(i int) []float32 { return buf[i*p*d:][:p*d] }
			q, k, v, dq, dk, dv := part(0), part(1), part(2), part(3), part(4), part(5)
			ds := buf[6*p*d:]
			for u := u0; u < u1; u++ {
				i, head := u/heads, u%heads
				s := probs[u*p*p:][:p*p]
				do := dy[i*p*c+head*d:] // p rows of d values, c apart
				split(q, k, v, qkv.Data[i*p*c3+head*3*d:], p, d, c3)
				kernel.Gemm(dv, s, do, p, d, p, p, c, d, true, false, false)  // dv = sᵀ·do
				kernel.Gemm(ds, do, v, p, p, d, c, d, p, false, true, false)  // ds = do·vᵀ
				kernel.SoftmaxRowsGrad(ds, ds, s, p, p, scale)                // now of q·kᵀ
				kernel.Gemm(dq, ds, k, p, d, p, p, d, d, false, false, false) // dq = ds·k
				kernel.Gemm(dk, ds, q, p, d, p, p, d, d, true, false, false)  // dk = dsᵀ·q
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
		for j := range d {
			q[i*d+j], k[i*d+j], v[i*d+j] = row[3*j], row[3*j+1], row[3*j+2]
		}
	}
}

// mergeAdd is the transpose of split: it adds the gradients of q, k, v into
// the interleaved rows.
func mergeAdd(qkv, q, k, v []float32, p, d, ld int) {
	for i := range p {
		row := qkv[i*ld:][:3*d]
		for j := range d {
			row[3*j] += q[i*d+j]
			row[3*j+1] += k[i*d+j]
			row[3*j+2] += v[i*d+j]
		}
	}
}
