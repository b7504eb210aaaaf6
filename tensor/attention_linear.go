package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// LinearAttention is self-attention on the N×H×W×3C of [Attention] whose weights are φ(q)·φ(k), divided by their sum over the
// keys, φ(x) = elu(x) + 1 (Katharopoulos et al. 2020, arXiv 2006.16236, eq. 5 and 7). With row vectors,
//
//	y_i = φ(q_i)·S / (φ(q_i)·z + ε),  S = Σ_j φ(k_j)ᵀ·v_j,  z = Σ_j φ(k_j),  ε = 1e-6
//
// S and z, d×d and d numbers of a head, take up the pixels one after another: time grows with their number, not with its
// square, and no weight is ever written down. With base > 0 queries and keys turn as by [Rotate2D], behind φ and in φ(q)·S
// only, so that the divisor stays positive (Su et al. 2021, arXiv 2104.09864, eq. 19). It computes in float32.
func LinearAttention(t *Tape, qkv *Tensor, heads int, base float64) *Tensor {
	n, h, w, c3 := qkv.image("LinearAttention")
	if heads < 1 || c3%(3*heads) != 0 || base > 0 && c3%(12*heads) != 0 {
		panic(fmt.Sprintf("tensor.LinearAttention: qkv %v for %d heads, base %g", qkv.Shape, heads, base))
	}
	c := c3 / 3
	d, p := c/heads, h*w
	shape := linearShape{p: p, d: d, width: w, channels: c}
	if base > 0 {
		shape.turns = newTurns(max(h, w), d/4, base)
	}
	y := scratch(n, h, w, c)
	states := take(n * heads * d * (d + 1))
	state := func(u int) (s, z []float32) {
		b := states[u*d*(d+1):][:d*(d+1)]
		return b[:d*d], b[d*d:]
	}
	kernel.For(n*heads, 1, func(u0, u1 int) {
		b := newLinearBlock(shape)
		defer b.free()
		for u := u0; u < u1; u++ {
			i, k := u/heads, u%heads
			x := qkv.Data[i*p*c3+k*3*d:]
			s, z := state(u)
			b.absorb(s, z, x)
			b.answer(y.Data[i*p*c+k*d:], s, z, x)
		}
	})
	if t == nil {
		give(states)
	}
	t.own(states)
	t.Record(y, func(dy []float32) {
		dqkv := t.Grad(qkv)
		kernel.For(n*heads, 1, func(u0, u1 int) {
			b := newLinearBlock(shape)
			defer b.free()
			ds, dz := take(d*d), take(d)
			defer give(ds)
			defer give(dz)
			for u := u0; u < u1; u++ {
				i, k := u/heads, u%heads
				x, dx, at := qkv.Data[i*p*c3+k*3*d:], dqkv[i*p*c3+k*3*d:], i*p*c+k*d
				s, z := state(u)
				b.answerGrad(dx, ds, dz, y.Data[at:], dy[at:], s, z, x)
				b.absorbGrad(dx, ds, dz, x)
			}
		})
	}, qkv)
	return y
}

const (
	linearEps    = 1e-6
	linearPixels = 256 // of a block: its matrices stay in the second-level cache
)

// linearShape describes the rows of one head of one image: p pixels of pictures width wide, d of channels.
type linearShape struct {
	p, d, width, channels int
	turns                 turns // none without rotary positions
}

// A linearBlock holds matrices of linearPixels×d for some pixels of a head. Rows of qkv and of y begin at the head.
type linearBlock struct {
	linearShape
	buf                   []float32
	phi, turned, v, grads []float32
	divisor               []float32 // one of each pixel; its gradient in the backward pass
}

func newLinearBlock(s linearShape) *linearBlock {
	m := min(s.p, linearPixels)
	b := &linearBlock{linearShape: s, buf: take(4*m*s.d + m)}
	for i, part := range []*[]float32{&b.phi, &b.turned, &b.v, &b.grads} {
		*part = b.buf[i*m*s.d:][:m*s.d]
	}
	b.divisor = b.buf[4*m*s.d:]
	return b
}

func (b *linearBlock) free() { give(b.buf) }

// absorb computes the state of all keys and values.
func (b *linearBlock) absorb(s, z, qkv []float32) {
	d := b.d
	clear(z)
	for j := 0; j < b.p; j += linearPixels {
		m := b.features(qkv, 1, j)
		b.gather(b.v, qkv, 2, j, m)
		kernel.SumChannels(z, b.phi, m, d)
		kernel.Gemm(s, b.turned, b.v, d, d, m, d, d, d, true, false, j > 0)
	}
}

// answer writes what every query reads from the state.
func (b *linearBlock) answer(y, s, z, qkv []float32) {
	d, ld := b.d, b.channels
	for i := 0; i < b.p; i += linearPixels {
		m := b.features(qkv, 0, i)
		kernel.Gemm(y[i*ld:], b.turned, s, m, d, d, d, d, ld, false, false, false)
		for r := range m {
			row := y[(i+r)*ld:][:d]
			kernel.ScaleTo(row, b.reciprocal(r, z), row)
		}
	}
}

// answerGrad adds the gradients of the queries and writes those of the state.
func (b *linearBlock) answerGrad(dqkv, ds, dz, y, dy, s, z, qkv []float32) {
	d, ld := b.d, b.channels
	clear(dz)
	for i := 0; i < b.p; i += linearPixels {
		m := b.features(qkv, 0, i)
		g := b.v // of φ(q)·S
		for r := range m {
			row := g[r*d:][:d]
			kernel.ScaleTo(row, b.reciprocal(r, z), dy[(i+r)*ld:][:d])
			b.divisor[r] = -float32(kernel.Dot(row, y[(i+r)*ld:][:d]))
			kernel.Axpy(dz, b.divisor[r], b.phi[r*d:][:d])
		}
		kernel.Gemm(ds, b.turned, g, d, d, m, d, d, d, true, false, i > 0)
		kernel.Gemm(b.grads, g, s, m, d, d, d, d, d, false, true, false)
		b.turn(b.grads, i, m, -1)
		for r := range m {
			kernel.Axpy(b.grads[r*d:][:d], b.divisor[r], z)
		}
		b.addFeatureGrads(dqkv, 0, i, m)
	}
}

// absorbGrad adds the gradients of keys and values.
func (b *linearBlock) absorbGrad(dqkv, ds, dz, qkv []float32) {
	d := b.d
	for j := 0; j < b.p; j += linearPixels {
		m := b.features(qkv, 1, j)
		kernel.Gemm(b.grads, b.turned, ds, m, d, d, d, d, d, false, false, false)
		b.scatterAdd(dqkv, b.grads, 2, j, m)
		b.gather(b.v, qkv, 2, j, m)
		kernel.Gemm(b.grads, b.v, ds, m, d, d, d, d, d, false, true, false)
		b.turn(b.grads, j, m, -1)
		kernel.AddChannels(b.grads, b.grads, dz, m, d)
		b.addFeatureGrads(dqkv, 1, j, m)
	}
}

// features computes φ of the queries (part 0) or keys (part 1) of a block of m pixels from i, and turns a copy of it.
func (b *linearBlock) features(qkv []float32, part, i int) (m int) {
	m = min(linearPixels, b.p-i)
	x := b.phi[:m*b.d]
	b.gather(x, qkv, part, i, m)
	eluPlusOne(x, b.turned[:m*b.d], b.grads[:m*b.d])
	copy(b.turned, x)
	b.turn(b.turned, i, m, 1)
	return m
}

// addFeatureGrads adds grads, the gradient of φ, times its slope to that of the queries or keys.
func (b *linearBlock) addFeatureGrads(dqkv []float32, part, i, m int) {
	g := b.grads[:m*b.d]
	for k, f := range b.phi[:m*b.d] {
		g[k] *= min(f, 1) // exp(x) where that is φ, else 1
	}
	b.scatterAdd(dqkv, g, part, i, m)
}

// eluPlusOne replaces x by elu(x) + 1, which is max(x, 0) + exp(min(x, 0)). The exponential comes from the kernel of
// SiLU(x) = x·σ(x): exp(x) = σ(x)/(1 − σ(x)). t and u are for intermediate results.
func eluPlusOne(x, t, u []float32) {
	for i, v := range x {
		t[i] = min(v, -1e-30) // 0 would be divided by 0
	}
	kernel.SiLU(u, t)
	for i, v := range x {
		x[i] = max(v, 0) + u[i]/(t[i]-u[i])
	}
}

// reciprocal returns 1/(φ(q)·z + ε) for row r of a block.
func (b *linearBlock) reciprocal(r int, z []float32) float32 {
	return float32(1 / (kernel.Dot(b.phi[r*b.d:][:b.d], z) + linearEps))
}

// turn turns m pixels from i, sign −1 back.
func (b *linearBlock) turn(x []float32, i, m int, sign float32) {
	if b.turns.quarter == 0 {
		return
	}
	for r := range m {
		pixel := x[r*b.d:][:b.d]
		b.turns.pairs(pixel[:b.d/2], (i+r)/b.width, sign)
		b.turns.pairs(pixel[b.d/2:], (i+r)%b.width, sign)
	}
}

// gather copies queries, keys or values (part 0, 1, 2) of m pixels from i into rows of d.
func (b *linearBlock) gather(dst, qkv []float32, part, i, m int) {
	for r := range m {
		src, row := qkv[(i+r)*3*b.channels:][:3*b.d], dst[r*b.d:][:b.d]
		for k := range row {
			row[k] = src[3*k+part]
		}
	}
}

// scatterAdd is the transpose of gather.
func (b *linearBlock) scatterAdd(dqkv, src []float32, part, i, m int) {
	for r := range m {
		dst := dqkv[(i+r)*3*b.channels:][:3*b.d]
		for k, v := range src[r*b.d:][:b.d] {
			dst[3*k+part] += v
		}
	}
}
