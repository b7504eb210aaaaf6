package kernel

import "fmt"

// serialWork is the number of products below which starting goroutines costs more than it saves (about 10 µs of FMA).
const serialWork = 1 << 20

// Gemm computes C = A·B, or C += A·B if accumulate, for the row-major m×k matrix A, the k×n matrix B and the m×n
// matrix C, whose rows are lda, ldb and ldc floats apart:
//
//	for i in 0..m, j in 0..n:
//	    s = accumulate ? c[i*ldc+j] : 0
//	    for q in 0..k: s += a[i*lda+q] * b[q*ldb+j]
//	    c[i*ldc+j] = s
//
// With transA, a holds Aᵀ (k×m: a[q*lda+i]); with transB, b holds Bᵀ (n×k: b[j*ldb+q]). C must not overlap A or B.
// Large products use several goroutines, and it may be called inside For. It panics if a slice is too short
// or a leading dimension smaller than its row.
func Gemm(c, a, b []float32, m, n, k, lda, ldb, ldc int, transA, transB, accumulate bool) {
	checkMatrix("Gemm: C", c, m, n, ldc, m, n, k)
	if transA {
		checkMatrix("Gemm: A (transposed)", a, k, m, lda, m, n, k)
	} else {
		checkMatrix("Gemm: A", a, m, k, lda, m, n, k)
	}
	if transB {
		checkMatrix("Gemm: B (transposed)", b, n, k, ldb, m, n, k)
	} else {
		checkMatrix("Gemm: B", b, k, n, ldb, m, n, k)
	}
	if m == 0 || n == 0 {
		return
	}
	t := currentTiler()
	p := t.panelsOf(b, k, n, ldb, transB, m)
	defer p.release()
	in := rowsA(a, 0, lda, 1, k)
	if transA {
		in.rs, in.ks = 1, lda
	}
	t.matrix(c, ldc, in, m, p, epilogue{accumulate: accumulate})
}

// checkMatrix panics unless s holds rows×cols floats at leading dimension ld.
func checkMatrix(what string, s []float32, rows, cols, ld, m, n, k int) {
	if m < 0 || n < 0 || k < 0 {
		panic(fmt.Sprintf("kernel: %s: negative size in %d×%d×%d (m, n, k)", what, m, n, k))
	}
	if rows == 0 || cols == 0 {
		return
	}
	if ld < cols || len(s) < (rows-1)*ld+cols {
		panic(fmt.Sprintf("kernel: %s: %d floats with leading dimension %d do not hold %d×%d (m, n, k = %d, %d, %d)",
			what, len(s), ld, rows, cols, m, n, k))
	}
}

// An epilogue says what the sums of a product start from, and what becomes of them.
type epilogue struct {
	accumulate bool      // they start from what is there,
	init       []float32 // else every row from this one, padded to whole panels, or from 0 if it is nil
	rectify    bool      // negative sums become 0
}

// finish does what is to be done with the columns [c0, c1) of rows complete rows of C.
func (e *epilogue) finish(c []float32, ldc, rows, c0, c1 int) {
	if e.rectify && rows > 0 && c0 < c1 {
		RectifyStrided(c[c0:], ldc, rows, c1-c0)
	}
}

// matrix computes the m rows of C = A·B with the epilogue e; a is a plain matrix. It splits the work over rows first, then over panels.
func (t tiler) matrix(c []float32, ldc int, a tileA, m int, p *panels, e epilogue) {
	k := a.k
	if m*p.n*k < serialWork {
		t.block(c, ldc, a, 0, m, m, p, 0, p.count, e)
		return
	}
	// A block's rows of A should stay in the second-level cache while the panels go by.
	tiles := (m-1)/t.mr + 1
	rows := max(1, min(tiles, (1<<17)/(t.mr*max(k, 1))))
	cols := p.count
	rows, cols = splitForThreads(tiles, p.count, rows, cols)
	down, across := (tiles-1)/rows+1, (p.count-1)/cols+1
	For(down*across, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			r0, p0 := i/across*rows*t.mr, i%across*cols
			t.block(c, ldc, a, r0, min(r0+rows*t.mr, m), m, p, p0, min(p0+cols, p.count), e)
		}
	})
}

// block computes rows [r0, r1) of the m rows of C for the panels [p0, p1), on this goroutine. a.off is row 0.
func (t tiler) block(c []float32, ldc int, a tileA, r0, r1, m int, p *panels, p0, p1 int, e epilogue) {
	half := t.mr / 2
	short := scratch{}
	if m < t.mr { // too few rows to read: give the tile a copy with room for the others
		short = borrow(t.mr * max(a.k, 1))
		defer short.release()
		clear(short.f)
		for r := range m {
			row := short.f[r*a.k : (r+1)*a.k]
			for q := range row {
				row[q] = a.data[a.off+r*a.rs+q*a.ks]
			}
		}
		a = rowsA(short.f, 0, a.k, 1, a.k)
	}
	first, k := a.off, a.k
	step := sumBlock
	if a.ks != 1 { // every term of A is on a line of its own
		step = 128
	}
	for q := 0; q < max(k, 1); q += step {
		a.k = min(step, k-q)
		for j := p0; j < p1; j++ {
			b, bs := p.panel(j)
			cols := min(t.nr, p.n-j*t.nr)
			var start []float32
			if e.init != nil {
				start = e.init[j*t.nr : (j+1)*t.nr]
			}
			for r := r0; r < r1; r += t.mr {
				// The last tile moves up so that it reads rows that exist, and keeps only those that are new.
				top := max(0, min(r, m-t.mr))
				a.off = first + top*a.rs + q*a.ks
				a.off2 = a.off + half*a.rs
				t.put(&a, b[q*bs:], bs, e.accumulate || q > 0, start, c[r*ldc+j*t.nr:], ldc, r-top, min(t.mr, r1-top), cols)
			}
		}
	}
	e.finish(c[r0*ldc:], ldc, r1-r0, p0*t.nr, min(p1*t.nr, p.n))
}

// sumBlock is how many terms a tile sums before the next tile's turn, so that a panel's rows stay in the first-
// and second-level cache. It does not change a bit: a tile goes on from the sums that C holds.
const sumBlock = 640

// splitForThreads cuts a rows×cols grid of tiles into blocks of at most rows0×cols0 and smaller, until there are
// a few blocks a thread: rows are halved first, then panels.
func splitForThreads(tiles, panels, rows, cols int) (int, int) {
	want := wantedTasks()
	for (tiles+rows-1)/rows*((panels+cols-1)/cols) < want {
		switch {
		case rows > 4 || rows > 1 && cols == 1:
			rows = (rows + 1) / 2
		case cols > 1:
			cols = (cols + 1) / 2
		default:
			return rows, cols
		}
	}
	return rows, cols
}
