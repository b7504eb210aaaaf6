package kernel

// matrixShape is the convolution that multiplies rows×in with in×out.
func matrixShape(rows, in, out int) convShape {
	return convShape{n: 1, h: 1, w: rows, cin: in, cout: out, kh: 1, kw: 1, stride: 1, ho: 1, wo: rows, ldy: out}
}

// amxAttention is AttentionForward by tiles. Blocks of rows go one after the other through products that are spread over the processors.
func amxAttention(y []float32, ldy int, keep, q, k, v []float32, p, d int, scale float32, precision Precision) {
	keys, values := borrowWeights(1, 1, d, p, precision), borrowWeights(1, 1, p, d, precision)
	defer keys.release()
	defer values.release()
	keys.fill(k, true)
	values.fill(v, false)
	rows := amxAttentionRows(p)
	buf := scratch{}
	if keep == nil {
		buf = borrow(rows * p)
		defer buf.release()
	}
	for r := 0; r < p; r += rows {
		m, s := min(rows, p-r), buf.f
		if keep != nil {
			s = keep[r*p:]
		}
		amxForward(s, q[r*d:], keys, matrixShape(m, d, p), epilogue{})
		softmaxBlock(s, m, p, scale)
		out := matrixShape(m, p, d)
		out.ldy = ldy
		amxForward(y[r*ldy:], s, values, out, epilogue{})
	}
}

// amxAttentionRows is how many of p rows a block has: enough to keep all processors busy, and no more than a few megabytes.
func amxAttentionRows(p int) int { return min(p, max(8*amxRows, attentionBack/p/amxRows*amxRows)) }

// softmaxBlock is SoftmaxRows in place, by several goroutines.
func softmaxBlock(s []float32, rows, p int, scale float32) {
	grain := max(1, (1<<14)/p)
	For(rows, grain, func(r0, r1 int) { SoftmaxRows(s[r0*p:r1*p], s[r0*p:r1*p], r1-r0, p, scale) })
}

// amxAttentionGrad is AttentionBackward by tiles.
func amxAttentionGrad(dq, dk, dv, dy []float32, lddy int, kept, q, k, v []float32, p, d int, scale float32, precision Precision) {
	values, keys := borrowWeights(1, 1, d, p, precision), borrowWeights(1, 1, p, d, precision)
	defer values.release()
	defer keys.release()
	values.fill(v, true)
	keys.fill(k, false)
	rows := amxAttentionRows(p)
	ds, up := borrow(rows*p), borrow(rows*d)
	defer ds.release()
	defer up.release()
	softmax := func(r, m int) []float32 { return kept[r*p:] }
	if kept == nil {
		turned, buf := borrowWeights(1, 1, d, p, precision), borrow(rows*p)
		defer turned.release()
		defer buf.release()
		turned.fill(k, true)
		softmax = func(r, m int) []float32 {
			amxForward(buf.f, q[r*d:], turned, matrixShape(m, d, p), epilogue{})
			softmaxBlock(buf.f, m, p, scale)
			return buf.f
		}
	}
	clear(dk[:p*d])
	clear(dv[:p*d])
	split := precision == BFloat16x3
	for r := 0; r < p; r += rows {
		m := min(rows, p-r)
		s := softmax(r, m)
		CopyStrided(up.f, d, dy[r*lddy:], lddy, m, d)
		amxWeightGrad(dv, up.f, s, matrixShape(m, p, d), split)
		amxForward(ds.f, up.f, values, matrixShape(m, d, p), epilogue{})
		SoftmaxRowsGrad(ds.f, ds.f, s, m, p, scale)
		amxForward(dq[r*d:], ds.f, keys, matrixShape(m, p, d), epilogue{})
		amxWeightGrad(dk, q[r*d:], ds.f, matrixShape(m, p, d), split)
	}
}
