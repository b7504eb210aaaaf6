package kernel

import "fmt"

// attentionFloats is how many floats of a matrix of weights between all queries and all keys exist at a time: a block of rows that stays in
// the second-level cache. attentionBack is the same for the backward pass, which keeps two of them and goes over all keys' gradients
// once for every block.
const (
	attentionFloats = 1 << 17
	attentionBack   = 1 << 18
)

// attentionRows is how many of p rows, each of p floats, a block of floats floats has: whole tiles, and at least four.
func (t tiler) attentionRows(p, floats int) int {
	return min(p, max(4*t.mr, floats/p/t.mr*t.mr))
}

// AttentionForward computes y = softmax(scale·q·kᵀ)·v, p rows of d floats each, of which y's are ldy floats apart and the others follow
// one another:
//
//	for i in 0..p:
//	    s[j] = exp(scale·Σ_c q[i][c]·k[j][c] - max_j) for j in 0..p
//	    y[i*ldy+c] = Σ_j s[j]·v[j][c] / Σ_j s[j]      for c in 0..d
//
// A block of rows goes through all of it before the next, on one goroutine, so that never more than a few hundred kilobytes of s exist;
// unless keep, p×p floats, is there to receive all of it, with rows that sum to 1. It panics if a slice is too short.
//
// Tiles compute it in the given precision; float32 kernels do not round for it.
func AttentionForward(y []float32, ldy int, keep, q, k, v []float32, p, d int, scale float32, precision Precision) {
	checkAttention("AttentionForward", p, d, q, k, v)
	if p == 0 {
		return
	}
	checkMatrix("AttentionForward: y", y, p, d, ldy, p, d, p)
	checkKept("AttentionForward", keep, p)
	if precision.tiled() {
		amxAttention(y, ldy, keep, q, k, v, p, d, scale, precision)
		return
	}
	t := currentTiler()
	keys, values := t.panelsOf(k, d, p, d, true, p), t.panelsOf(v, p, d, d, false, p)
	defer keys.release()
	defer values.release()
	rows := t.attentionRows(p, attentionFloats)
	if p*p*d >= serialWork { // several blocks for each processor
		rows = min(rows, max(4*t.mr, p/wantedTasks()/t.mr*t.mr))
	}
	For((p-1)/rows+1, 1, func(i0, i1 int) {
		buf := scratch{}
		if keep == nil {
			buf = borrow(rows * p)
			defer buf.release()
		}
		for i := i0; i < i1; i++ {
			r := i * rows
			m, s := min(rows, p-r), buf.f
			if keep != nil {
				s = keep[r*p:]
			}
			t.block(s, p, rowsA(q, r*d, d, 1, d), 0, m, m, keys, 0, keys.count, epilogue{})
			SoftmaxRows(s, s, m, p, scale)
			t.block(y[r*ldy:], ldy, rowsA(s, 0, p, 1, p), 0, m, m, values, 0, values.count, epilogue{})
		}
	})
}

// AttentionBackward computes dq, dk and dv, the gradients with respect to q, k and v of the loss whose gradient with respect to
// AttentionForward's y is dy (rows lddy apart). With s as the forward pass left it in kept or, if that is nil, computed again a block of
// rows at a time,
//
//	ds = scale·s∘(dy·vᵀ − Σ_j s∘(dy·vᵀ)), dq = ds·k, dk = dsᵀ·q, dv = sᵀ·dy
//
// It panics if a slice is too short.
func AttentionBackward(dq, dk, dv, dy []float32, lddy int, kept, q, k, v []float32, p, d int, scale float32, precision Precision) {
	checkAttention("AttentionBackward", p, d, q, k, v, dq, dk, dv)
	if p == 0 {
		return
	}
	checkMatrix("AttentionBackward: dy", dy, p, d, lddy, p, d, p)
	checkKept("AttentionBackward", kept, p)
	if precision.tiled() {
		amxAttentionGrad(dq, dk, dv, dy, lddy, kept, q, k, v, p, d, scale, precision)
		return
	}
	t := currentTiler()
	values, keys := t.panelsOf(v, d, p, d, true, p), t.panelsOf(k, p, d, d, false, p)
	defer values.release()
	defer keys.release()
	rows := t.attentionRows(p, attentionBack)
	ds := borrow(rows * p)
	defer ds.release()
	softmax := func(r, m int) []float32 { return kept[r*p:] }
	if kept == nil {
		turned, buf := t.panelsOf(k, d, p, d, true, p), borrow(rows*p)
		defer turned.release()
		defer buf.release()
		softmax = func(r, m int) []float32 {
			t.matrix(buf.f, p, rowsA(q, r*d, d, 1, d), m, turned, epilogue{})
			SoftmaxRows(buf.f, buf.f, m, p, scale)
			return buf.f
		}
	}
	for r := 0; r < p; r += rows {
		m := min(rows, p-r)
		s := softmax(r, m)
		Gemm(dv, s, dy[r*lddy:], p, d, m, p, lddy, d, true, false, r > 0)
		t.matrix(ds.f, p, rowsA(dy, r*lddy, lddy, 1, d), m, values, epilogue{})
		SoftmaxRowsGrad(ds.f, ds.f, s, m, p, scale)
		t.matrix(dq[r*d:], d, rowsA(ds.f, 0, p, 1, p), m, keys, epilogue{})
		Gemm(dk, ds.f, q[r*d:], p, d, m, p, d, d, true, false, r > 0)
	}
}

// checkKept panics unless s is nil or holds p×p floats.
func checkKept(what string, s []float32, p int) {
	if s != nil && len(s) < p*p {
		panic(fmt.Sprintf("kernel: %s: %d floats for the weights between %d rows", what, len(s), p))
	}
}

// checkAttention panics unless all of list hold p·d floats.
func checkAttention(what string, p, d int, list ...[]float32) {
	for i, s := range list {
		if p < 0 || d < 1 || len(s) < p*d {
			panic(fmt.Sprintf("kernel: %s: operand %d has %d floats, %d rows of %d need %d", what, i, len(s), p, d, p*d))
		}
	}
}
