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
				in := tileA{data: dy, off: (n*s.ho + i) * s.wo * s.cout, rs: s.cout, ks: 1, k: s.cout, segs: 1}
				t.matrix(col.f, k, in, (end-i)*s.wo, p, false, nil)
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

// weightGrad adds xᵀ·dy: for each tap row ky, rows of dw are the kw·cin floats of a patch's row, and
// the sum runs over pixels. Tiles of dw go in parallel; each is summed over the pictures, then over their pixels, in order.
func (t tiler) weightGrad(dw, dy, x []float32, s convShape) {
	pitch := s.pitch()
	picRows := (s.ho-1)*s.stride + s.kh
	picFloats := picRows * pitch
	group := max(1, min(s.n, weightGroup/picFloats))
	pics := borrow(group*picFloats + t.mr) // the last tile of a row reads past its end
	defer pics.release()
	clear(pics.f[group*picFloats:])
	dyFloats := s.ho * s.wo * s.cout
	keep := max(0, s.n-1-t.nr/dyFloats) // and the last panel past dy's end: the last pictures get a copy with room
	tail := borrow((s.n-keep)*dyFloats + t.nr)
	defer tail.release()
	clear(tail.f[copy(tail.f, dy[keep*dyFloats:s.n*dyFloats]):])

	run := s.kw * s.cin
	down, across := (run+t.mr-1)/t.mr, (s.cout+t.nr-1)/t.nr // tiles
	tiles := s.kh * across * down
	serial := t.work(&s) < serialWork
	grain := tiles
	if !serial {
		grain = max(1, tiles/wantedTasks())
	}
	for n0 := 0; n0 < s.n; n0 += group {
		n1 := min(n0+group, s.n)
		padGrain := 1
		if serial {
			padGrain = n1 - n0
		}
		For(n1-n0, padGrain, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				s.pad(pics.f[i*picFloats:(i+1)*picFloats], x[(n0+i)*s.h*s.w*s.cin:], -s.padH, picRows)
			}
		})
		For(tiles, grain, func(t0, t1 int) {
			for n := n0; n < n1; n++ {
				b := tail.f
				if n < keep {
					b = dy[n*dyFloats:]
				} else {
					b = b[(n-keep)*dyFloats:]
				}
				t.weightTiles(dw, b, pics.f, (n-n0)*picFloats, &s, t0, t1, down)
			}
		})
	}
}

// weightPixels is about how many pixels a tile of dw takes in at a time, so that their rows of x and dy stay in
// the first-level cache from one tile to the next.
const weightPixels = 200

// weightTiles adds one picture's part to the tiles [t0, t1) of dw, counted down the rows of a panel of a tap row; the
// padded picture begins at pics[off], and dy at b[0].
func (t tiler) weightTiles(dw, b, pics []float32, off int, s *convShape, t0, t1, down int) {
	pitch, run := s.pitch(), s.kw*s.cin
	across := (s.cout + t.nr - 1) / t.nr
	step := min(s.ho, max(1, weightPixels/s.wo))
	for i := 0; i < s.ho; i += step {
		a := tileA{data: pics, rs: 1, ks: s.stride * s.cin, k: s.wo, segs: min(step, s.ho-i), segStep: s.stride * pitch}
		for tile := t0; tile < t1; tile++ {
			e, j, ky := tile%down*t.mr, tile/down%across*t.nr, tile/(down*across)
			a.off = off + (i*s.stride+ky)*pitch + e
			a.off2 = a.off + t.mr/2
			c := dw[(ky*run+e)*s.cout+j:]
			t.put(&a, b[i*s.wo*s.cout+j:], s.cout, true, nil, c, s.cout, 0, min(t.mr, run-e), min(t.nr, s.cout-j))
		}
	}
}
