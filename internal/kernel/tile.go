package kernel

// A tiler is one level's micro-kernel: tiles of mr rows and nr columns of C. The rows come in two halves of mr/2,
// each with its own start in A, so that a tile may cover two runs of pixels of different picture rows.
type tiler struct {
	level  Level
	mr, nr int
}

// Largest tile of any level; sizes scratch that holds one tile.
const (
	maxMR = 14
	maxNR = 32
)

// currentTiler returns the micro-kernel of the level in use.
func currentTiler() tiler { return tilerAt(Current()) }

// tilerAt returns the micro-kernel of level l.
func tilerAt(l Level) tiler {
	switch l {
	case AMX, AVX512BF16, AVX512:
		return tiler{AVX512, 14, 32}
	case AVX2:
		return tiler{AVX2, 6, 16}
	}
	return tiler{Generic, 8, 8}
}

// tileA says where a tile finds its A: row r of the upper half starts at data[off+r*rs], of the lower half at
// data[off2+r*rs]; its elements are pics times, picStep apart, segs runs, segStep apart, of k elements ks apart.
type tileA struct {
	data      []float32
	off, off2 int
	rs, ks    int
	k         int
	segs      int
	segStep   int
	pics      int
	picStep   int
}

// rowsA is an A that is simply a matrix: k elements ks apart, rows rs apart.
func rowsA(data []float32, off, rs, ks, k int) tileA {
	return tileA{data: data, off: off, rs: rs, ks: ks, k: k, segs: 1, pics: 1}
}

// last returns the index of the last float that a tile with rows half rows a half reads.
func (a *tileA) last(half int) int {
	return max(a.off, a.off2) + (half-1)*a.rs + (a.pics-1)*a.picStep + (a.segs-1)*a.segStep + (a.k-1)*a.ks
}

// run computes one full tile, in increasing order of k and with one rounding a step where the level has FMA:
//
//	for r in 0..mr, j in 0..nr:
//	    s = init[r*ldinit+j]           (0 if init is nil)
//	    for q in 0..pics·segs·k: s += A[r][q] * b[q*bs+j]
//	    c[r*ldc+j] = s
//
// All slices are checked here, since the assembly does not.
func (t tiler) run(a *tileA, b []float32, bs int, init []float32, ldinit int, c []float32, ldc int) {
	n := a.pics * a.segs * a.k
	if n == 0 {
		t.tileGeneric(a, b, bs, init, ldinit, c, ldc)
		return
	}
	_ = a.data[a.last(t.mr/2)]
	_ = b[(n-1)*bs+t.nr-1]
	_ = c[(t.mr-1)*ldc+t.nr-1]
	if init != nil {
		_ = init[(t.mr-1)*ldinit+t.nr-1]
	}
	t.runAsm(a, b, bs, init, ldinit, c, ldc)
}

// tileGeneric is run in plain Go, for any even mr and any nr that is a multiple of 4: blocks of 2×4 sums in registers.
func (t tiler) tileGeneric(a *tileA, b []float32, bs int, init []float32, ldinit int, c []float32, ldc int) {
	row := func(r int) int {
		if r < t.mr/2 {
			return a.off + r*a.rs
		}
		return a.off2 + (r-t.mr/2)*a.rs
	}
	for r := 0; r < t.mr; r += 2 {
		row0, row1 := row(r), row(r+1)
		for j := 0; j < t.nr; j += 4 {
			var s [8]float32
			if init != nil {
				copy(s[:4], init[r*ldinit+j:])
				copy(s[4:], init[(r+1)*ldinit+j:])
			}
			block2x4(&s, a, row0, row1, b[min(j, len(b)):], bs)
			copy(c[r*ldc+j:r*ldc+j+4], s[:4])
			copy(c[(r+1)*ldc+j:(r+1)*ldc+j+4], s[4:])
		}
	}
}

// block2x4 adds the products of two rows of A with four columns of B to s.
func block2x4(s *[8]float32, a *tileA, row0, row1 int, b []float32, bs int) {
	s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	q := 0
	for run := range a.pics * a.segs {
		i, d := row0+run/a.segs*a.picStep+run%a.segs*a.segStep, row1-row0
		for range a.k {
			u, v := a.data[i], a.data[i+d]
			w := b[q : q+4 : q+4]
			s0 += u * w[0]
			s1 += u * w[1]
			s2 += u * w[2]
			s3 += u * w[3]
			s4 += v * w[0]
			s5 += v * w[1]
			s6 += v * w[2]
			s7 += v * w[3]
			q += bs
			i += a.ks
		}
	}
	*s = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
}

// runPart computes a tile of which only rows [r0, r1) and columns [0, cols) are wanted: c is where row r0 goes,
// and nothing else of C is read or written. A and B must still be readable in full. The tile starts from c itself if
// accumulate, else from init as in run (with rows at stride 0 or nil).
func (t tiler) runPart(a *tileA, b []float32, bs int, accumulate bool, init []float32, c []float32, ldc, r0, r1, cols int) {
	var tile [maxMR * maxNR]float32
	ld := 0
	if accumulate {
		for r := r0; r < r1; r++ {
			copy(tile[r*t.nr:r*t.nr+cols], c[(r-r0)*ldc:])
		}
		init, ld = tile[:], t.nr
	}
	t.run(a, b, bs, init, ld, tile[:], t.nr)
	for r := r0; r < r1; r++ {
		copy(c[(r-r0)*ldc:(r-r0)*ldc+cols], tile[r*t.nr:])
	}
}

// put computes the wanted part of a tile (rows [r0, r1), columns [0, cols), c being where row r0 goes), directly in C
// when that is the whole tile.
func (t tiler) put(a *tileA, b []float32, bs int, accumulate bool, init []float32, c []float32, ldc, r0, r1, cols int) {
	switch {
	case r0 > 0 || r1 < t.mr || cols < t.nr:
		t.runPart(a, b, bs, accumulate, init, c, ldc, r0, r1, cols)
	case accumulate:
		t.run(a, b, bs, c, ldc, c, ldc)
	default:
		t.run(a, b, bs, init, 0, c, ldc)
	}
}
