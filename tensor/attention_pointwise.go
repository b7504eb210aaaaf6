package tensor

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// ReLU2Attention is self-attention as [Attention], on the same N×H×W×3C, whose weights are max(0, q·k/√d)²/n for n keys in
// place of the softmax: the squared ReLU of Hua et al. 2022 (arXiv 2202.10447, sec. 3.2), divided by the number of keys as in
// Wortsman et al. 2023 (arXiv 2309.08586). A query that no key answers gets 0. It computes in float32, a tile of weights at a
// time.
func ReLU2Attention(t *Tape, qkv *Tensor, heads int) *Tensor {
	return pointwiseAttention(t, "ReLU2Attention", qkv, heads, func(d, keys int) pointwiseWeights {
		return pointwiseWeights{
			scale: float32(1 / math.Sqrt(float64(d*keys))), // its square divides by the keys
			weigh: func(w, s []float32) {
				kernel.RectifyStrided(s, len(s), 1, len(s))
				kernel.MulTo(w, s, s)
			},
			slope: func(ds, s, _ []float32) { kernel.ScaleTo(ds, 2, s) },
		}
	})
}

// SigmoidAttention is self-attention as [Attention], on the same N×H×W×3C, whose weights are σ(q·k/√d − ln n) for n keys in
// place of the softmax, σ(x) = 1/(1+exp(−x)) (Ramapuram et al. 2024, arXiv 2409.04431, eq. 3 and sec. 3): each key is weighed
// by itself, and the bias makes the weights of scores near 0 sum to about 1. It computes in float32, a tile of weights at a
// time.
func SigmoidAttention(t *Tape, qkv *Tensor, heads int) *Tensor {
	return pointwiseAttention(t, "SigmoidAttention", qkv, heads, func(d, keys int) pointwiseWeights {
		bias := float32(math.Log(float64(keys)))
		return pointwiseWeights{
			scale: float32(1 / math.Sqrt(float64(d))),
			weigh: func(w, s []float32) {
				for i := range s {
					s[i] -= bias
				}
				kernel.SiLU(w, s) // σ(x) is x·σ(x) / x, which has a kernel
				for i, x := range s {
					if x == 0 {
						w[i] = 0.5
					} else {
						w[i] /= x
					}
				}
			},
			slope: func(ds, _, w []float32) {
				kernel.MulTo(ds, w, w)
				kernel.AddTo(ds, w, ds, 1, -1)
			},
		}
	})
}

// pointwiseWeights say how a score of one query and one key becomes a weight.
type pointwiseWeights struct {
	scale float32                  // of q before the products
	weigh func(w, s []float32)     // writes the weights of the scores s, which it may change
	slope func(ds, s, w []float32) // writes their derivatives, from what weigh left
}

// The tile of weights that exists at a time has so many queries and keys; with the two beside it in the backward pass it
// stays in the second-level cache.
const (
	tileQueries = 128
	tileKeys    = 256
)

// pointwiseAttention is attention whose weights know of no other key: nothing is normalised across a row, so that tiles of
// keys are added one after another.
func pointwiseAttention(t *Tape, op string, qkv *Tensor, heads int, kind func(d, keys int) pointwiseWeights) *Tensor {
	n, h, w, c3 := qkv.image(op)
	if heads < 1 || c3%(3*heads) != 0 {
		panic(fmt.Sprintf("tensor.%s: qkv %v for %d heads", op, qkv.Shape, heads))
	}
	c := c3 / 3
	d, p := c/heads, h*w
	weights := kind(d, p)
	y := scratch(n, h, w, c)
	kernel.For(n*heads, 1, func(u0, u1 int) {
		head := newPointwiseHead(p, d)
		defer head.free()
		for u := u0; u < u1; u++ {
			i, k := u/heads, u%heads
			head.load(qkv.Data[i*p*c3+k*3*d:], c3, weights.scale)
			head.forward(y.Data[i*p*c+k*d:], c, weights)
		}
	})
	t.Record(y, func(dy []float32) {
		dqkv := t.Grad(qkv)
		kernel.For(n*heads, 1, func(u0, u1 int) {
			head := newPointwiseHead(p, d)
			defer head.free()
			buf := take(3 * p * d)
			defer give(buf)
			dq, dk, dv := buf[:p*d], buf[p*d:2*p*d], buf[2*p*d:]
			for u := u0; u < u1; u++ {
				i, k := u/heads, u%heads
				head.load(qkv.Data[i*p*c3+k*3*d:], c3, weights.scale)
				head.backward(dq, dk, dv, dy[i*p*c+k*d:], c, weights)
				kernel.ScaleTo(dq, weights.scale, dq)
				mergeAdd(dqkv[i*p*c3+k*3*d:], dq, dk, dv, p, d, c3)
			}
		})
	}, qkv)
	return y
}

// A pointwiseHead holds queries, keys and values of one head of one image, p×d each, and a tile of scores, of weights, and of
// gradients.
type pointwiseHead struct {
	p, d    int
	buf     []float32
	q, k, v []float32
	tile    [3][]float32
}

func newPointwiseHead(p, d int) *pointwiseHead {
	size := min(p, tileQueries) * min(p, tileKeys)
	h := &pointwiseHead{p: p, d: d, buf: take(3*p*d + 3*size)}
	h.q, h.k, h.v = h.buf[:p*d], h.buf[p*d:2*p*d], h.buf[2*p*d:3*p*d]
	for i := range h.tile {
		h.tile[i] = h.buf[3*p*d+i*size:][:size]
	}
	return h
}

func (h *pointwiseHead) free() { give(h.buf) }

// load reads interleaved rows ld apart.
func (h *pointwiseHead) load(qkv []float32, ld int, scale float32) {
	split(h.q, h.k, h.v, qkv, h.p, h.d, ld)
	kernel.ScaleTo(h.q, scale, h.q)
}

// tiles calls f for the tiles, row by row: m queries from i, n keys from j, with their scores.
func (h *pointwiseHead) tiles(f func(i, j, m, n int, s []float32)) {
	for i := 0; i < h.p; i += tileQueries {
		for j := 0; j < h.p; j += tileKeys {
			m, n := min(tileQueries, h.p-i), min(tileKeys, h.p-j)
			s := h.tile[0][:m*n]
			kernel.Gemm(s, h.q[i*h.d:], h.k[j*h.d:], m, n, h.d, h.d, h.d, n, false, true, false)
			f(i, j, m, n, s)
		}
	}
}

// forward writes y, rows ld apart.
func (h *pointwiseHead) forward(y []float32, ld int, weights pointwiseWeights) {
	h.tiles(func(i, j, m, n int, s []float32) {
		w := h.tile[1][:m*n]
		weights.weigh(w, s)
		kernel.Gemm(y[i*ld:], w, h.v[j*h.d:], m, h.d, n, n, h.d, ld, false, false, j > 0)
	})
}

// backward writes the gradients of q as it was multiplied, of k and of v; dy's rows are ld apart.
func (h *pointwiseHead) backward(dq, dk, dv, dy []float32, ld int, weights pointwiseWeights) {
	d := h.d
	h.tiles(func(i, j, m, n int, s []float32) {
		w, ds := h.tile[1][:m*n], h.tile[2][:m*n]
		weights.weigh(w, s)
		kernel.Gemm(dv[j*d:], w, dy[i*ld:], n, d, m, n, ld, d, true, false, i > 0)
		weights.slope(ds, s, w)
		kernel.Gemm(w, dy[i*ld:], h.v[j*d:], m, n, d, ld, d, n, false, true, false) // of the weights
		kernel.MulTo(ds, ds, w)
		kernel.Gemm(dq[i*d:], ds, h.k[j*d:], m, d, n, n, d, d, false, false, j > 0)
		kernel.Gemm(dk[j*d:], ds, h.q[i*d:], n, d, m, n, d, d, true, false, i > 0)
	})
}
