package kernel

// The weight gradient by Winograd's method is the forward pass read backwards: with V = Bᵀ d B of every patch d and P = A dY Aᵀ of every
// tile dY of the output's gradient, the gradient of the transformed weights is a matrix product over the tiles for each of the 36
// places, and that of the weights is
//
//	dg = Gᵀ (Σ_tiles V ⊙ P) G

// winogradGradPays reports whether that is faster; unlike the forward pass's bytes, these are a sum over the batch anyway.
func (t tiler) winogradGradPays(s *convShape) bool {
	if !winogradFits(s) || min(s.cin, s.cout) < 16 {
		return false
	}
	down, across := s.winogradTiles()
	return s.n*down*across >= 16 && 8*down*across <= s.ho*s.wo
}

// winogradWeightGrad is weightGrad by Winograd's method. As many tiles at a time as the caches hold are transformed, then each place takes
// them in, in order, by one goroutine.
func (t tiler) winogradWeightGrad(dw, dy, x []float32, s convShape) {
	ld := t.strips(s.cout) * t.nr
	j := winogradJob{t: t, s: &s, y: dy, x: x, panel: panels{n: ld, nr: t.nr, count: ld / t.nr, packed: ld / t.nr, ld: ld}}
	j.down, j.across = s.winogradTiles()
	tiles := s.n * j.down * j.across
	j.weightStep = apart(s.cin * ld)
	sums := borrow(winogradPlaces * j.weightStep)
	defer sums.release()
	j.weights = sums.f
	j.fit(winogradFloats, tiles)
	defer j.reserve()()
	j.small = winogradPlaces*tiles*s.cin*ld < serialWork
	for t0 := 0; t0 < tiles; t0 += j.room {
		t1 := min(t0+j.room, tiles)
		parts := (t1-t0-1)/t.mr + 1
		j.spread(parts, func(i0, i1 int) {
			j.load(t0, t0+i0*t.mr, min(t0+i1*t.mr, t1))
			j.loadGrad(t0, t0+i0*t.mr, min(t0+i1*t.mr, t1))
		})
		j.spread(winogradPlaces, func(i0, i1 int) { j.sum(t1-t0, i0, i1, t0 > 0) })
	}
	const rows = 8 // input channels a task transforms back
	j.spread((s.cin-1)/rows+1, func(i0, i1 int) {
		for c := i0 * rows; c < min(i1*rows, s.cin); c++ {
			winogradWeightsGrad(dw[c*s.cout:], j.weights[c*ld:], s.cin*s.cout, j.weightStep, s.cout)
		}
	})
}

// loadGrad transforms the output's gradient in the tiles [t0, t1); tile first lies at 0.
func (j *winogradJob) loadGrad(first, t0, t1 int) {
	s, ld := j.s, j.panel.n
	edge := borrow(winogradTile * winogradTile * s.cout)
	defer edge.release()
	for tile := t0; tile < t1; tile++ {
		n, i0, j0 := j.place(tile)
		src, row := j.y[((n*s.ho+i0)*s.wo+j0)*s.cout:], s.wo*s.cout
		if rows, run := min(winogradTile, s.ho-i0), min(winogradTile, s.wo-j0)*s.cout; rows < winogradTile || run < winogradTile*s.cout {
			clear(edge.f)
			CopyStrided(edge.f, winogradTile*s.cout, src, row, rows, run)
			src, row = edge.f, winogradTile*s.cout
		}
		dst := j.products[(tile-first)*ld:]
		winogradOutputGrad(dst, src, j.productStep, row, s.cout, s.cout)
		for place := range winogradPlaces {
			clear(dst[place*j.productStep+s.cout : place*j.productStep+ld])
		}
	}
}

// sum adds the products of the first tiles tiles to the places [i0, i1), or makes them their first.
func (j *winogradJob) sum(tiles, i0, i1 int, add bool) {
	ld := j.panel.n
	for i := i0; i < i1; i++ {
		p := j.panel
		p.place, p.k = j.products[i*j.productStep:][:tiles*ld], tiles
		in := rowsA(j.patches[i*j.patchStep:], 0, 1, j.s.cin, tiles)
		j.t.block(j.weights[i*j.weightStep:], ld, in, 0, j.s.cin, j.s.cin, &p, 0, p.count, epilogue{accumulate: add})
	}
}

// winogradOutputGrad computes, for n channels, a multiple of 8, of one tile y[i][j] = src[i*row+j*pix], i, j in 0..4:
//
//	dst[(i*6+j)*step] = (A y Aᵀ)[i][j], i, j in 0..6
func winogradOutputGrad(dst, src []float32, step, row, pix, n int) {
	_, _ = dst[(winogradPlaces-1)*step+n-1], src[(winogradTile-1)*(row+pix)+n-1]
	if !winogradOutputGradSIMD(dst, src, step, row, pix, n) {
		winogradOutputGradGeneric(dst, src, step, row, pix, n)
	}
}

// winogradWeightsGrad computes, for n output channels, a multiple of 8, of one input channel's u[i][j] = src[(i*6+j)*step], i, j in 0..6:
//
//	dst[(i*3+j)*tap] += (Gᵀ u G)[i][j], i, j in 0..3
func winogradWeightsGrad(dst, src []float32, tap, step, n int) {
	_, _ = dst[8*tap+n-1], src[(winogradPlaces-1)*step+n-1]
	if !winogradWeightsGradSIMD(dst, src, tap, step, n) {
		winogradWeightsGradGeneric(dst, src, tap, step, n)
	}
}

func winogradOutputGradGeneric(dst, src []float32, step, row, pix, n int) {
	for c := range n {
		var t [winogradTile][winogradPatch]float32
		for j := range winogradTile {
			y := src[j*pix+c:]
			t[j] = winogradA6(y[0], y[row], y[2*row], y[3*row])
		}
		for i := range winogradPatch {
			p := winogradA6(t[0][i], t[1][i], t[2][i], t[3][i])
			for j := range p {
				dst[(i*winogradPatch+j)*step+c] = p[j]
			}
		}
	}
}

// winogradA6 is Ay in one dimension.
func winogradA6(y0, y1, y2, y3 float32) [6]float32 {
	e1, o1 := y0+wa2*y2, wa*y1+wa2*wa*y3
	e2, o2 := y0+wb2*y2, wb*y1+wb2*wb*y3
	return [6]float32{y0, e1 + o1, e1 - o1, e2 + o2, e2 - o2, y3}
}

func winogradWeightsGradGeneric(dst, src []float32, tap, step, n int) {
	for o := range n {
		var t [winogradPatch][3]float32
		for j := range winogradPatch {
			u := func(i int) float32 { return src[(i*winogradPatch+j)*step+o] }
			t[j] = winogradG3([6]float32{u(0), u(1), u(2), u(3), u(4), u(5)})
		}
		for i := range 3 {
			g := winogradG3([6]float32{t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]})
			for j := range g {
				dst[(i*3+j)*tap+o] += g[j]
			}
		}
	}
}

// winogradG3 is Gᵀu in one dimension.
func winogradG3(u [6]float32) [3]float32 {
	k := &winogradG
	e1, o1, e2, o2 := u[1]+u[2], u[1]-u[2], u[3]+u[4], u[3]-u[4]
	return [3]float32{k[0]*u[0] + k[1]*e1 + k[4]*e2, k[2]*o1 + k[5]*o2, u[5] + k[3]*e1 + k[6]*e2}
}
