package kernel

// correlate computes y = x∗B with the epilogue e for weights packed as panels of (kh·kw·cin)×cout.
func (t tiler) correlate(y, x []float32, p *panels, s convShape, e epilogue) {
	if s.pointwise() {
		in := rowsA(x, 0, s.cin, 1, s.cin)
		t.matrix(y, s.ldy, in, s.n*s.ho*s.wo, p, e)
		return
	}
	if t.narrow(&s) {
		t.correlateNarrow(y, x, p, s, e)
		return
	}
	if t.winogradPays(&s) {
		t.winograd(y, x, p, s, e)
		return
	}
	if s.wo%(t.mr/2) == 0 {
		t.correlateRows(y, x, p, s, e)
		return
	}
	t.correlateColumns(y, x, p, s, e)
}

// blockFloats is the size that a task's share of the input should not exceed, so that it stays in the second-level cache.
const blockFloats = 1 << 16

// correlateRows is for widths that are a multiple of half a tile: then each half of a tile lies in one row of
// pixels, whose patches start a constant distance apart in the padded picture, and no patches need be copied.
func (t tiler) correlateRows(y, x []float32, p *panels, s convShape, e epilogue) {
	pitch := s.pitch()
	rows := s.n * s.ho // output rows of the whole batch
	grain := max(1, blockFloats/(pitch*s.stride))
	if t.work(&s) < serialWork {
		grain = rows
	}
	even := 2 // tiles that are full need an even number of halves
	if s.wo/(t.mr/2)%2 == 0 {
		even = 1
	}
	grain = (grain + even - 1) / even * even
	cols := p.count
	if t.work(&s) >= serialWork {
		units, panelCut := splitForThreads((rows-1)/even+1, p.count, grain/even, cols)
		grain, cols = units*even, panelCut
	}
	across := (p.count-1)/cols + 1
	For(((rows-1)/grain+1)*across, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			r0, p0 := i/across*grain, i%across*cols
			t.rowBlock(y, x, p, &s, r0, min(r0+grain, rows), p0, min(p0+cols, p.count), e)
		}
	})
}

// work returns the number of products.
func (t tiler) work(s *convShape) int { return s.outputs() * s.kh * s.kw * s.cin }

// pitch returns the floats in a row of the padded picture.
func (s *convShape) pitch() int { return ((s.wo-1)*s.stride + s.kw) * s.cin }

// rowBlock computes the output rows [r0, r1), counted over the batch, for the panels [p0, p1).
func (t tiler) rowBlock(y, x []float32, p *panels, s *convShape, r0, r1, p0, p1 int, e epilogue) {
	pitch, half := s.pitch(), t.mr/2
	groups := s.wo / half // halves of a tile in a row of pixels
	pic := borrow(s.paddedRows(r0, r1) * pitch)
	defer pic.release()
	starts := make([]int, 0, 256) // where the patch of each output row's first pixel begins
	fill := 0
	for r := r0; r < r1; {
		n, i := r/s.ho, r%s.ho
		end := min(s.ho, i+r1-r)
		for q := i; q < end; q++ {
			starts = append(starts, fill+(q-i)*s.stride*pitch)
		}
		have := (end-1-i)*s.stride + s.kh
		s.pad(pic.f[fill:fill+have*pitch], x[n*s.h*s.w*s.cin:], i*s.stride-s.padH, have)
		fill += have * pitch
		r += end - i
	}
	at := func(g int) int { return starts[g/groups] + g%groups*half*s.stride*s.cin }
	a := tileA{data: pic.f, rs: s.stride * s.cin, ks: 1, k: s.kw * s.cin, segs: s.kh, segStep: pitch, pics: 1}
	total := (r1 - r0) * groups
	for j := p0; j < p1; j++ {
		b, bs := p.panel(j)
		cols := min(t.nr, p.n-j*t.nr)
		var start []float32
		if e.init != nil {
			start = e.init[j*t.nr : (j+1)*t.nr]
		}
		for g := 0; g < total; g += 2 {
			a.off = at(g)
			a.off2 = at(min(g+1, total-1))
			c := y[(r0*s.wo+g*half)*s.ldy+j*t.nr:]
			t.put(&a, b, bs, e.accumulate, start, c, s.ldy, 0, min(2, total-g)*half, cols)
		}
	}
	e.finish(y[r0*s.wo*s.ldy:], s.ldy, (r1-r0)*s.wo, p0*t.nr, min(p1*t.nr, p.n))
}

// paddedRows returns how many rows of padded picture the output rows [r0, r1), counted over the batch, read.
func (s *convShape) paddedRows(r0, r1 int) int {
	n := 0
	for r := r0; r < r1; {
		i := r % s.ho
		count := min(s.ho-i, r1-r)
		n += (count-1)*s.stride + s.kh
		r += count
	}
	return n
}

// pad copies rows rows of one picture from row y0 on (which may lie above or below the picture) into dst, with zeros around it.
func (s *convShape) pad(dst, x []float32, y0, rows int) {
	pitch := s.pitch()
	left := min(s.padW*s.cin, pitch)
	n := min(s.w*s.cin, pitch-left) // floats of the picture's row that are read at all
	for r := range rows {
		row := dst[r*pitch : (r+1)*pitch]
		if yy := y0 + r; yy < 0 || yy >= s.h {
			clear(row)
		} else {
			clear(row[:left])
			copy(row[left:left+n], x[yy*s.w*s.cin:])
			clear(row[left+n:])
		}
	}
}

// correlateColumns is for every other width: a block of pixels' patches is copied out ("im2col"), then multiplied.
func (t tiler) correlateColumns(y, x []float32, p *panels, s convShape, e epilogue) {
	k := s.kh * s.kw * s.cin
	pixels := s.n * s.ho * s.wo
	tiles := (pixels-1)/t.mr + 1
	rows, cols := min(tiles, max(1, 2*blockFloats/(t.mr*k))), p.count
	if t.work(&s) < serialWork {
		rows = min(tiles, max(rows, 8))
	} else {
		rows, cols = splitForThreads(tiles, p.count, rows, cols)
	}
	across := (p.count-1)/cols + 1
	grain := 1
	if t.work(&s) < serialWork {
		grain = tiles * across
	}
	For(((tiles-1)/rows+1)*across, grain, func(i0, i1 int) {
		col := borrow(rows * t.mr * k)
		defer col.release()
		for i := i0; i < i1; i++ {
			r0, p0 := i/across*rows*t.mr, i%across*cols
			r1 := min(r0+rows*t.mr, pixels)
			s.columns(col.f, k, x, r0, r1)
			in := rowsA(col.f, 0, k, 1, k)
			t.block(y[r0*s.ldy:], s.ldy, in, 0, r1-r0, r1-r0, p, p0, min(p0+cols, p.count), e)
		}
	})
}

// columns copies the patches of the pixels [p0, p1), counted over the batch, to dst: kh·kw·cin floats a pixel, ld
// from one to the next.
func (s *convShape) columns(dst []float32, ld int, x []float32, p0, p1 int) {
	n, i, j := p0/(s.ho*s.wo), p0/s.wo%s.ho, p0%s.wo
	run := s.kw * s.cin
	for q := range p1 - p0 {
		patch := dst[q*ld:]
		pic := x[n*s.h*s.w*s.cin : (n+1)*s.h*s.w*s.cin]
		x0 := j*s.stride - s.padW // the patch's left column; [lo, hi) of its columns lie in the picture
		lo, hi := max(0, min(s.kw, -x0)), max(0, min(s.kw, s.w-x0))
		hi = max(lo, hi)
		for ky := range s.kh {
			row := patch[ky*run : (ky+1)*run]
			yy := i*s.stride - s.padH + ky
			if yy < 0 || yy >= s.h || lo == hi {
				clear(row)
				continue
			}
			clear(row[:lo*s.cin])
			copy(row[lo*s.cin:hi*s.cin], pic[(yy*s.w+x0+lo)*s.cin:])
			clear(row[hi*s.cin:])
		}
		if j++; j == s.wo {
			j = 0
			if i++; i == s.ho {
				i, n = 0, n+1
			}
		}
	}
}
