package kernel

// With few output channels (a network's last layer) a tile's columns are mostly empty. Then the taps take the place of the
// missing channels: a product with (tap, channel) as columns makes, for every input pixel, its contribution to each of the
// outputs around it, and a second pass collects them.

// narrow reports whether that takes less than half of the tiles; it depends on the weights' shape only.
func (t tiler) narrow(s *convShape) bool {
	taps := s.kh * s.kw
	return s.stride == 1 && s.cin >= 4 && 2*t.strips(taps*s.cout) <= taps*t.strips(s.cout)
}

// strips returns how many panels n columns take.
func (t tiler) strips(n int) int { return (n + t.nr - 1) / t.nr }

// correlateNarrow is correlate for narrow shapes.
func (t tiler) correlateNarrow(y, x []float32, p *panels, s convShape, e epilogue) {
	q := t.tapPanels(p, &s)
	defer q.release()
	ld := q.n
	rows := min(s.ho, max(1, 2*blockFloats/(s.w*ld)))
	for (s.ho-1)/rows+1 < (wantedTasks()-1)/s.n+1 && rows > 4 && t.work(&s) >= serialWork {
		rows = (rows + 1) / 2
	}
	bands := (s.ho-1)/rows + 1
	grain := 1
	if t.work(&s) < serialWork {
		grain = s.n * bands
	}
	For(s.n*bands, grain, func(b0, b1 int) {
		z := borrow((rows + s.kh - 1) * s.w * ld)
		defer z.release()
		for b := b0; b < b1; b++ {
			n, i0 := b/bands, b%bands*rows
			i1 := min(i0+rows, s.ho)
			y0, y1 := max(0, i0-s.padH), min(s.h, i1-1-s.padH+s.kh) // the input rows that matter
			if m := (y1 - y0) * s.w; m > 0 {
				in := rowsA(x, (n*s.h+y0)*s.w*s.cin, s.cin, 1, s.cin)
				t.block(z.f, ld, in, 0, m, m, q, 0, q.count, epilogue{})
			}
			s.collect(y[n*s.ho*s.wo*s.ldy:], z.f, ld, y0, y1, i0, i1, e)
		}
	})
}

// tapPanels rearranges packed weights to cin rows and (tap, channel) columns, rounded up to whole panels.
func (t tiler) tapPanels(p *panels, s *convShape) *panels {
	taps := s.kh * s.kw
	q := t.newPanels(s.cin, t.strips(taps*s.cout)*t.nr, 0)
	clear(q.buf.f)
	for o := range s.cout {
		b, bs := p.panel(o / t.nr)
		for tap := range taps {
			col := tap*s.cout + o
			dst := q.strip(col / t.nr)
			for c := range s.cin {
				dst[c*t.nr+col%t.nr] = b[(tap*s.cin+c)*bs+o%t.nr]
			}
		}
	}
	return q
}

// collect adds, for the output rows [i0, i1) of one picture y, the contributions z of the input rows [y0, y1), in the order
// of the taps.
func (s *convShape) collect(y, z []float32, ld, y0, y1, i0, i1 int, e epilogue) {
	for i := i0; i < i1; i++ {
		for j := range s.wo {
			out := y[(i*s.wo+j)*s.ldy:][:s.cout]
			switch {
			case e.accumulate:
			case e.init != nil:
				copy(out, e.init)
			default:
				clear(out)
			}
			x0 := j - s.padW
			lo, hi := max(0, -x0), min(s.kw, s.w-x0)
			for ky := range s.kh {
				yy := i - s.padH + ky
				if yy < y0 || yy >= y1 {
					continue
				}
				at := ((yy-y0)*s.w+x0+lo)*ld + (ky*s.kw+lo)*s.cout
				if s.cout == 1 {
					sum := out[0]
					for range hi - lo {
						sum += z[at]
						at += ld + 1
					}
					out[0] = sum
					continue
				}
				for range hi - lo {
					for o, v := range z[at : at+len(out)] {
						out[o] += v
					}
					at += ld + s.cout
				}
			}
		}
		e.finish(y[i*s.wo*s.ldy:], s.ldy, s.wo, 0, s.cout)
	}
}

// weightGradNarrow is weightGrad for narrow shapes: the product of xᵀ with the dy of each input pixel's surroundings,
// which is summed over all pixels before it is added to dw.
func (t tiler) weightGradNarrow(dw, dy, x []float32, s convShape) {
	f := s.flipped()
	taps := s.kh * s.kw
	q := panels{n: t.strips(taps*s.cout) * t.nr, nr: t.nr}
	q.count, q.ld = q.n/t.nr, q.n
	q.packed = q.count // all read in place
	pixels := s.h * s.w
	group := max(1, min(s.n, weightGroup/(pixels*q.n)))
	around, total := borrow(group*pixels*q.n), borrow(s.cin*q.n)
	defer around.release()
	defer total.release()
	clear(total.f)
	q.place = around.f
	for n0 := 0; n0 < s.n; n0 += group {
		count := min(group, s.n-n0)
		For(count, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				part := around.f[i*pixels*q.n : (i+1)*pixels*q.n]
				clear(part)
				f.columns(part, q.n, dy, (n0+i)*pixels, (n0+i+1)*pixels)
			}
		})
		q.k = count * pixels
		in := rowsA(x, n0*pixels*s.cin, 1, s.cin, q.k)
		t.matrix(total.f, q.n, in, s.cin, &q, epilogue{accumulate: true})
	}
	for tap := range taps {
		for c := range s.cin {
			row := dw[(tap*s.cin+c)*s.cout:][:s.cout]
			for o, v := range total.f[c*q.n+(taps-1-tap)*s.cout:][:s.cout] {
				row[o] += v
			}
		}
	}
}
