package kernel

import "runtime"

// panels is a k×n matrix B cut into strips of nr columns, for the micro-kernel: each strip k rows of nr floats, the last one
// padded with zeros. Whole strips may be read in place, in the caller's matrix.
type panels struct {
	k, n, nr, count int
	buf             scratch
	packed          int       // the first strip that lies in buf; those before it are read in place
	place           []float32 // the caller's matrix
	ld              int
}

// newPanels returns panels of which the strips from packed on have room in a scratch buffer, yet to be filled.
func (t tiler) newPanels(k, n, packed int) *panels {
	p := &panels{k: k, n: n, nr: t.nr, count: (n + t.nr - 1) / t.nr, packed: packed}
	p.buf = borrow((p.count-packed)*k*t.nr + t.nr) // never empty: panel slices it even if k is 0
	return p
}

func (p *panels) release() { p.buf.release() }

// panel returns strip j and the distance of its rows.
func (p *panels) panel(j int) (b []float32, bs int) {
	if j < p.packed {
		return p.place[min(j*p.nr, len(p.place)):], p.ld
	}
	return p.strip(j), p.nr
}

// strip returns the buffer of strip j.
func (p *panels) strip(j int) []float32 {
	n := p.k * p.nr
	return p.buf.f[(j-p.packed)*n : (j-p.packed+1)*n]
}

// B is read in place if that is for no more than fewTiles row tiles, since then a copy does not pay, or if its rows are no longer
// than shortRow floats, so that a strip does not lie scattered over too many pages.
const (
	fewTiles = 6
	shortRow = 128
)

// panelsOf makes the panels of a k×n matrix (stored n×k if trans) that m rows of A will meet.
func (t tiler) panelsOf(b []float32, k, n, ld int, trans bool, m int) *panels {
	packed := 0
	if !trans && (m <= fewTiles*t.mr || ld <= shortRow) {
		packed = n / t.nr
	}
	p := t.newPanels(k, n, packed)
	p.place, p.ld = b, ld
	p.fillAll(b, ld, trans)
	return p
}

// fillAll fills the buffer with strips of the matrix b.
func (p *panels) fillAll(b []float32, ld int, trans bool) {
	grain := 1
	if p.k*p.n < 1<<16 {
		grain = p.count
	}
	For(p.count-p.packed, grain, func(j0, j1 int) {
		for j := j0 + p.packed; j < j1+p.packed; j++ {
			if trans {
				p.fill(j, 0, b, p.k, 1, ld)
			} else {
				p.fill(j, 0, b, p.k, ld, 1)
			}
		}
	})
}

// fill copies rows rows into strip j from its row q0 on; the element of row q and column c of the matrix (c counted over all
// strips) is src[q*sk+c*sj], where one of the two strides is 1.
func (p *panels) fill(j, q0 int, src []float32, rows, sk, sj int) {
	dst := p.strip(j)[q0*p.nr : (q0+rows)*p.nr]
	c0 := j * p.nr
	cols := min(p.nr, p.n-c0)
	if cols < p.nr {
		clear(dst)
	}
	if rows == 0 {
		return
	}
	if sj == 1 {
		for q := range rows {
			copy(dst[q*p.nr:q*p.nr+cols], src[q*sk+c0:])
		}
		return
	}
	transpose(dst, p.nr, src[c0*sj:], sj, rows, cols)
}

// transpose sets dst[q*ld+c] = src[q+c*sj] for rows q and cols c.
func transpose(dst []float32, ld int, src []float32, sj, rows, cols int) {
	r, c := 0, 0
	if Current() >= AVX2 {
		r, c = transposeBlocks(dst, ld, src, sj, rows, cols)
	}
	transposeGeneric(dst[min(r*ld, len(dst)):], ld, src[min(r, len(src)):], sj, rows-r, c) // below the blocks
	transposeGeneric(dst[min(c, len(dst)):], ld, src[min(c*sj, len(src)):], sj, rows, cols-c)
}

// transposeGeneric is transpose in plain Go, a few columns at a time so that the reads are runs and the writes stay
// within lines.
func transposeGeneric(dst []float32, ld int, src []float32, sj, rows, cols int) {
	c := 0
	for ; rows > 0 && c+4 <= cols; c += 4 {
		s0, s1, s2, s3 := src[c*sj:][:rows], src[(c+1)*sj:][:rows], src[(c+2)*sj:][:rows], src[(c+3)*sj:][:rows]
		for q := range rows {
			d := dst[q*ld+c : q*ld+c+4 : q*ld+c+4]
			d[0], d[1], d[2], d[3] = s0[q], s1[q], s2[q], s3[q]
		}
	}
	for ; rows > 0 && c < cols; c++ {
		for q, v := range src[c*sj:][:rows] {
			dst[q*ld+c] = v
		}
	}
}

// wantedTasks is how many pieces work is cut into: one on one processor, else enough to even out their ends.
func wantedTasks() int {
	if p := runtime.GOMAXPROCS(0); p > 1 {
		return 4 * p
	}
	return 1
}
