package kernel

// A convolution by Winograd's method, F(4×4, 3×3) (Lavin & Gray 2016, arXiv 1509.09308, sec. 4.1): tiles of 4×4 output pixels are computed
// from patches of 6×6 input pixels, which overlap by two. Patches and weights are transformed by channel, the convolution becomes
// 36 matrix products, one for each place of the transformed patch, and their results are transformed back:
//
//	Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A
//
// That is 36 products for every 16 outputs of one channel pair instead of 144. The transforms interpolate at the points 0, ±a, ±b and ∞
// with a = 5/8 and b = 3/2, which keep the sizes of all terms near one another: the error is about 1.7 times that of summing
// the 9·Cin products in order, where the customary ±1, ±2 have four times. Weights are transformed in every call, which costs less memory
// traffic than fetching transformed weights, which are four times as large, and cannot go stale.

// winogradTile is the side of a tile of outputs, winogradPatch that of a patch of inputs, winogradPlaces the number of products.
const (
	winogradTile   = 4
	winogradPatch  = 6
	winogradPlaces = winogradPatch * winogradPatch
)

// winogradPays reports whether the method is faster, as it is where it halves the products of a picture, the micro-kernel's unused rows among
// them; what else it saves there is more than the transforms cost. It does not depend on the number of pictures, lest bytes depend on it.
// (With AVX-512 that was not measured. Its micro-kernel wants more rows, and the transforms are those of AVX2.)
func (t tiler) winogradPays(s *convShape) bool {
	if !winogradFits(s) || min(s.cin, s.cout) < 16 {
		return false
	}
	down, across := s.winogradTiles()
	return 2*winogradPlaces*t.filled(down*across) <= s.kh*s.kw*s.ho*s.wo
}

// filled returns the rows that the micro-kernel computes for rows rows.
func (t tiler) filled(rows int) int { return (rows + t.mr - 1) / t.mr * t.mr }

// winogradFits reports whether the method can compute s at all.
func winogradFits(s *convShape) bool {
	return s.kh == 3 && s.kw == 3 && s.stride == 1 && s.cin%8 == 0 && s.cout%8 == 0
}

// winogradTiles returns how many tiles cover a picture.
func (s *convShape) winogradTiles() (down, across int) {
	return (s.ho-1)/winogradTile + 1, (s.wo-1)/winogradTile + 1
}

// How many floats of patches and products are in flight at a time: as many as a third-level cache holds, or if the weights are few and the
// tiles are many, as many for each processor as its second-level cache holds.
const (
	winogradFloats = 1 << 21
	winogradWidth  = 1 << 18 // of weights
	winogradBeside = 1 << 16
)

// A winogradJob is one call in flight, or what one task does of it.
type winogradJob struct {
	t            tiler
	s            *convShape
	y, x         []float32
	epilogue     epilogue
	bias         []float32 // one padded row, of the channels in hand
	down, across int       // tiles of a picture
	from, cout   int       // first panel and number of the output channels in hand
	panel        panels    // the shape of one place's weights in hand
	small        bool      // not worth several goroutines
	room         int       // tiles that the buffers hold, a multiple of the micro-kernel's rows

	// By place: weights of strips × cin × nr, patches of room × cin, products of room × padded cout.
	weights, patches, products         []float32
	weightStep, patchStep, productStep int // floats from one place to the next
}

// apart returns the distance between the parts of a buffer that a transform writes or reads at once, parts of n floats: they begin on
// different lines of the first-level cache, which otherwise could not hold them together.
func apart(n int) int { return (n+1023)/1024*1024 + 16 }

// winograd is correlate by Winograd's method. Tiles are transformed, multiplied and transformed back. Where few weights serve many tiles,
// each task does all of this for a few tiles; where all tiles fit into the third-level cache, for a few weights. Otherwise some hundred
// tiles at a time go through one phase after the other, each spread over the processors.
func (t tiler) winograd(y, x []float32, p *panels, s convShape, e epilogue) {
	j := winogradJob{t: t, s: &s, y: y, x: x, epilogue: e}
	j.down, j.across = s.winogradTiles()
	tiles := s.n * j.down * j.across
	bias := borrow(p.count * t.nr)
	defer bias.release()
	clear(bias.f[copy(bias.f, e.init):])
	j.cout, j.panel = s.cout, panels{n: p.count * t.nr, nr: t.nr, count: p.count}
	j.weightStep = apart(s.cin * j.panel.n)
	j.small = winogradPlaces*tiles*s.cin*j.panel.n < serialWork
	j.fit(winogradBeside, tiles)
	if blocks := (tiles-1)/j.room + 1; winogradPlaces*j.weightStep <= winogradWidth && blocks >= wantedTasks() {
		weights := borrow(winogradPlaces * j.weightStep)
		defer weights.release()
		j.weights, j.bias = weights.f, bias.f
		j.loadWeights(p)
		j.spread(blocks, func(i0, i1 int) {
			own := j
			defer own.reserve()()
			for i := i0; i < i1; i++ {
				t0, t1 := i*j.room, min((i+1)*j.room, tiles)
				own.load(t0, t0, t1)
				own.multiply(t1-t0, 0, winogradPlaces, 0, s.cin)
				own.store(t0, t0, t1)
			}
		})
		return
	}
	if winogradPlaces*tiles*s.cin <= winogradFloats {
		j.byPanel(p, bias.f, tiles)
		return
	}
	j.fit(winogradFloats, tiles)
	weights := borrow(winogradPlaces * j.weightStep)
	defer weights.release()
	defer j.reserve()()
	j.weights, j.bias = weights.f, bias.f
	j.loadWeights(p)
	for t0 := 0; t0 < tiles; t0 += j.room {
		t1 := min(t0+j.room, tiles)
		parts := (t1-t0-1)/t.mr + 1 // a micro-tile's rows each
		j.spread(parts, func(i0, i1 int) { j.load(t0, t0+i0*t.mr, min(t0+i1*t.mr, t1)) })
		j.spread(winogradPlaces, func(i0, i1 int) { j.multiply(t1-t0, i0, i1, 0, s.cin) })
		j.spread(parts, func(i0, i1 int) { j.store(t0, t0+i0*t.mr, min(t0+i1*t.mr, t1)) })
	}
}

// loadWeights transforms all panels of p.
func (j *winogradJob) loadWeights(p *panels) {
	cin, nr := j.s.cin, j.t.nr
	j.spread(j.panel.count, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			b, bs := p.panel(i)
			winogradWeights(j.weights[i*cin*nr:], b, j.weightStep, cin*bs, bs, cin, nr)
		}
	})
}

// spread is For over single tasks, unless the whole job is not worth it.
func (j *winogradJob) spread(tasks int, f func(i0, i1 int)) {
	grain := 1
	if j.small {
		grain = tasks
	}
	For(tasks, grain, f)
}

// fit chooses the number of tiles whose patches and products take about so many floats.
func (j *winogradJob) fit(floats, tiles int) {
	mr := j.t.mr
	j.room = max(mr, min(floats/(winogradPlaces*(j.s.cin+j.panel.n)), tiles+mr-1)/mr*mr)
	j.patchStep, j.productStep = apart(j.room*j.s.cin), apart(j.room*j.panel.n)
}

// reserve borrows the buffers for room tiles, and returns what gives them back.
func (j *winogradJob) reserve() (release func()) {
	patches, products := borrow(winogradPlaces*j.patchStep), borrow(winogradPlaces*j.productStep)
	j.patches, j.products = patches.f, products.f
	return func() {
		patches.release()
		products.release()
	}
}

// place returns the picture of a tile, counted over the batch, and its first output pixel.
func (j *winogradJob) place(tile int) (n, y, x int) {
	per := j.down * j.across
	return tile / per, tile % per / j.across * winogradTile, tile % j.across * winogradTile
}

// load transforms the patches of the tiles [t0, t1), and clears what follows the last one up to whole micro-tiles; tile first lies at 0.
func (j *winogradJob) load(first, t0, t1 int) {
	s := j.s
	edge := borrow(winogradPlaces * s.cin)
	defer edge.release()
	for tile := t0; tile < t1; tile++ {
		n, i0, j0 := j.place(tile)
		pic := j.x[n*s.h*s.w*s.cin : (n+1)*s.h*s.w*s.cin]
		y0, x0 := i0-s.padH, j0-s.padW
		src, row := edge.f, winogradPatch*s.cin
		if y0 >= 0 && x0 >= 0 && y0+winogradPatch <= s.h && x0+winogradPatch <= s.w {
			src, row = pic[(y0*s.w+x0)*s.cin:], s.w*s.cin
		} else {
			s.cut(edge.f, pic, y0, x0)
		}
		winogradInput(j.patches[(tile-first)*s.cin:], src, j.patchStep, row, s.cin, s.cin)
	}
	for r := t1 - first; r%j.t.mr != 0; r++ {
		for place := range winogradPlaces {
			clear(j.patches[place*j.patchStep+r*s.cin:][:s.cin])
		}
	}
}

// cut copies the patch at row y0 and column x0 of a picture to dst, with zeros for what is outside.
func (s *convShape) cut(dst, pic []float32, y0, x0 int) {
	lo, hi := max(0, -x0), max(0, min(winogradPatch, s.w-x0))
	lo = min(lo, hi)
	for i := range winogradPatch {
		row := dst[i*winogradPatch*s.cin:][:winogradPatch*s.cin]
		yy := y0 + i
		if yy < 0 || yy >= s.h {
			clear(row)
			continue
		}
		clear(row[:lo*s.cin])
		if lo < hi {
			copy(row[lo*s.cin:hi*s.cin], pic[(yy*s.w+x0+lo)*s.cin:])
		}
		clear(row[hi*s.cin:])
	}
}

// multiply makes the products of the places [i0, i1) for the first tiles tiles, of n input channels from c on, whose weights are in hand; they
// are added to those of the channels before c.
func (j *winogradJob) multiply(tiles, i0, i1, c, n int) {
	rows := j.t.filled(tiles)
	p := j.panel
	p.k = n
	for i := i0; i < i1; i++ {
		p.buf.f = j.weights[i*j.weightStep:][:n*p.n]
		in := rowsA(j.patches[i*j.patchStep:], c, j.s.cin, 1, n)
		j.t.block(j.products[i*j.productStep:], p.n, in, 0, rows, rows, &p, 0, p.count, epilogue{accumulate: c > 0})
	}
}

// store transforms the products of the tiles [t0, t1) back and puts or adds them to the output.
func (j *winogradJob) store(first, t0, t1 int) {
	s, ld, cout, c0 := j.s, j.panel.n, j.cout, j.from*j.t.nr
	edge := borrow(winogradTile * winogradTile * cout)
	defer edge.release()
	for tile := t0; tile < t1; tile++ {
		n, i0, j0 := j.place(tile)
		out := j.y[((n*s.ho+i0)*s.wo+j0)*s.ldy+c0:]
		m := j.products[(tile-first)*ld:]
		rows, cols := min(winogradTile, s.ho-i0), min(winogradTile, s.wo-j0)
		if !j.epilogue.accumulate && rows == winogradTile && cols == winogradTile {
			winogradOutput(out, m, j.bias, s.wo*s.ldy, s.ldy, j.productStep, cout)
		} else {
			winogradOutput(edge.f, m, j.bias, winogradTile*cout, cout, j.productStep, cout)
			for i := range rows {
				dst, src := out[i*s.wo*s.ldy:], edge.f[i*winogradTile*cout:]
				if j.epilogue.accumulate {
					AddStrided(dst, s.ldy, src, cout, cols, cout, 1)
				} else {
					CopyStrided(dst, s.ldy, src, cout, cols, cout)
				}
			}
		}
		for i := range rows {
			j.epilogue.finish(out[i*s.wo*s.ldy:], s.ldy, cols, 0, cout)
		}
	}
}
