package kernel

// scatterGrad is the input gradient for any stride and padding: the gradient of the patches, dy·wᵀ, a block of output rows of
// one picture at a time, is added to the pixels they came from. Pictures go in parallel, so that every pixel is summed by
// one goroutine, in the order of the output pixels and of the taps.
func (t tiler) scatterGrad(dx, dy, w []float32, s convShape) {
	k := s.kh * s.kw * s.cin
	p := t.panelsOf(w, s.cout, k, s.cout, true, s.n*s.ho*s.wo)
	defer p.release()
	rows := min(s.ho, max(1, 2*blockFloats/(s.wo*k)))
	For(s.n, 1, func(n0, n1 int) {
		col := borrow(rows * s.wo * k)
		defer col.release()
		for n := n0; n < n1; n++ {
			pic := dx[n*s.h*s.w*s.cin : (n+1)*s.h*s.w*s.cin]
			for i := 0; i < s.ho; i += rows {
				end := min(i+rows, s.ho)
				in := rowsA(dy, (n*s.ho+i)*s.wo*s.cout, s.cout, 1, s.cout)
				t.matrix(col.f, k, in, (end-i)*s.wo, p, epilogue{})
				s.addColumns(pic, col.f, i, end)
			}
		}
	})
}

// addColumns adds the patches of the output rows [i0, i1) of one picture to its pixels; it undoes columns.
func (s *convShape) addColumns(pic, col []float32, i0, i1 int) {
	run := s.kw * s.cin
	for i := i0; i < i1; i++ {
		for j := range s.wo {
			x0 := j*s.stride - s.padW
			lo, hi := max(0, min(s.kw, -x0)), max(0, min(s.kw, s.w-x0))
			for ky := range s.kh {
				row := col[:run]
				col = col[run:]
				yy := i*s.stride - s.padH + ky
				if yy < 0 || yy >= s.h || lo >= hi {
					continue
				}
				row = row[lo*s.cin : hi*s.cin]
				d := pic[(yy*s.w+x0+lo)*s.cin:][:len(row)]
				for c, v := range row {
					d[c] += v
				}
			}
		}
	}
}

// weightGroup is how many floats of padded pictures the weight gradient keeps at a time.
const weightGroup = 1 << 18

// weightSums is the weight gradient in the making. Rows of dw are, for each tap row ky, the kw·cin floats of a patch's
// row; the sums run over pixels. They are kept as whole tiles, side by side, from the first picture to the last.
type weightSums struct {
	t            tiler
	s            *convShape
	dw           []float32
	tiles        []float32 // ky, panel, rows of a tap row, then one tile of mr×nr
	down, across int       // tiles down the rows of a tap row, and panels
	pics         []float32 // padded pictures
	picFloats    int
}

// weightGrad adds xᵀ·dy. Tiles of dw go in parallel; each is summed over the pictures, then over their pixels, in order,
// by one goroutine at a time.
func (t tiler) weightGrad(dw, dy, x []float32, s convShape) {
	picRows := (s.ho-1)*s.stride + s.kh
	w := weightSums{t: t, s: &s, dw: dw, picFloats: picRows * s.pitch()}
	w.down, w.across = (s.kw*s.cin-1)/t.mr+1, t.strips(s.cout)
	count := s.kh * w.across * w.down
	group := max(1, min(s.n, weightGroup/w.picFloats))
	sums, pics := borrow(count*t.mr*t.nr), borrow(group*w.picFloats+t.mr)
	defer sums.release()
	defer pics.release()
	w.tiles, w.pics = sums.f, pics.f
	clear(pics.f[group*w.picFloats:]) // the last tile of a tap row reads past its end
	dyFloats := s.ho * s.wo * s.cout
	keep := max(0, s.n-1-t.nr/dyFloats) // and the last panel past dy's end: the last pictures get a copy with room
	tail := borrow((s.n-keep)*dyFloats + t.nr)
	defer tail.release()
	clear(tail.f[copy(tail.f, dy[keep*dyFloats:s.n*dyFloats]):])

	band := max(1, (1<<14)/s.pitch()) // rows of padded picture a task copies
	bands := (picRows-1)/band + 1
	grain, padGrain := count, group*bands
	if t.work(&s) >= serialWork {
		grain, padGrain = max(1, count/wantedTasks()), 1
	}
	for n0 := 0; n0 < s.n; n0 += group {
		n1 := min(n0+group, s.n)
		For((n1-n0)*bands, padGrain, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				n, y0 := i/bands, i%bands*band
				y1 := min(y0+band, picRows)
				dst := pics.f[n*w.picFloats+y0*s.pitch() : n*w.picFloats+y1*s.pitch()]
				s.pad(dst, x[(n0+n)*s.h*s.w*s.cin:], y0-s.padH, y1-y0)
			}
		})
		For(count, grain, func(t0, t1 int) {
			if n0 == 0 {
				w.move(t0, t1, false)
			}
			cut := max(n0, min(n1, keep))
			if n0 < cut {
				w.add(dy[n0*dyFloats:], 0, cut-n0, t0, t1)
			}
			if cut < n1 {
				w.add(tail.f[(cut-keep)*dyFloats:], cut-n0, n1-n0, t0, t1)
			}
			if n1 == s.n {
				w.move(t0, t1, true)
			}
		})
	}
}

// place returns where tile i lies: tap row, first row within it, first column.
func (w *weightSums) place(i int) (ky, e, j int) {
	return i / (w.down * w.across), i % w.down * w.t.mr, i / w.down % w.across * w.t.nr
}

// move copies the tiles [t0, t1) from dw, with zeros in what is not part of it, or back to dw.
func (w *weightSums) move(t0, t1 int, back bool) {
	run, mr, nr, cout := w.s.kw*w.s.cin, w.t.mr, w.t.nr, w.s.cout
	for i := t0; i < t1; i++ {
		ky, e, j := w.place(i)
		tile := w.tiles[i*mr*nr : (i+1)*mr*nr]
		if !back {
			clear(tile)
		}
		for r := range min(mr, run-e) {
			at := (ky*run+e+r)*cout + j
			cols := min(nr, cout-j)
			if back {
				copy(w.dw[at:at+cols], tile[r*nr:])
			} else {
				copy(tile[r*nr:r*nr+cols], w.dw[at:])
			}
		}
	}
}

// weightPixels is about how many pixels a tile of dw takes in at a time, so that their rows of x and dy stay in
// the first-level cache from one tile to the next.
const weightPixels = 200

// add adds the part of the padded pictures [n0, n1) to the tiles [t0, t1); dy of picture n0 begins at b[0].
func (w *weightSums) add(b []float32, n0, n1, t0, t1 int) {
	s, t, pitch := w.s, w.t, w.s.pitch()
	rows := min(s.ho, max(1, weightPixels/s.wo))
	pics := max(1, weightPixels/(s.wo*s.ho))
	for n := n0; n < n1; n += pics {
		for i := 0; i < s.ho; i += rows { // one turn if there are several pictures
			a := tileA{data: w.pics, rs: 1, ks: s.stride * s.cin, k: s.wo, segs: min(rows, s.ho-i), segStep: s.stride * pitch,
				pics: min(pics, n1-n), picStep: w.picFloats}
			for tile := t0; tile < t1; tile++ {
				ky, e, j := w.place(tile)
				a.off = n*w.picFloats + (i*s.stride+ky)*pitch + e
				a.off2 = a.off + t.mr/2
				c := w.tiles[tile*t.mr*t.nr : (tile+1)*t.mr*t.nr]
				t.run(&a, b[((n-n0)*s.ho+i)*s.wo*s.cout+j:], s.cout, c, t.nr, c, t.nr)
			}
		}
	}
}
