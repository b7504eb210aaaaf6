package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestTileTwins holds the micro-kernels against their generic twin for every kind of stride: both halves apart, several
// runs and pictures, A by rows and by columns, B in strips and in place, each kind of start.
func TestTileTwins(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]float32, 1<<15)
	for i := range data {
		data[i] = float32(rng.NormFloat64())
	}
	for l := Generic; l <= Best(); l++ {
		tl := tilerAt(l)
		for k := 0; k <= 40; k++ {
			for _, a := range []tileA{
				{off: 3, off2: 3 + tl.mr/2*41, rs: 41, ks: 1, segs: 1, pics: 1},
				{off: 0, off2: tl.mr / 2, rs: 1, ks: 37, segs: 1, pics: 1},
				{off: 5, off2: 1900, rs: 3, ks: 2, segs: 4, segStep: 203, pics: 1},
				{off: 2000, off2: 7, rs: 50, ks: 1, segs: 2, segStep: 11, pics: 3, picStep: 1001},
			} {
				a.data, a.k = data, k
				testTile(t, tl, &a, data[100:], tl.nr)
				testTile(t, tl, &a, data[100:], tl.nr+9)
			}
		}
	}
}

func testTile(t *testing.T, tl tiler, a *tileA, b []float32, bs int) {
	t.Helper()
	ldc := tl.nr + 5
	n := (tl.mr-1)*ldc + tl.nr
	for kind, start := range map[string]struct {
		init []float32
		ld   int
	}{"zero": {nil, 0}, "row": {b[7:], 0}, "matrix": {b[3:], 40}} {
		want, got := make([]float32, n+64), make([]float32, n+64)
		for i := range want {
			want[i], got[i] = -77.25, -77.25
		}
		tl.tileGeneric(a, b, bs, start.init, start.ld, want[32:32+n], ldc)
		tl.run(a, b, bs, start.init, start.ld, got[32:32+n], ldc)
		// Both round each of k sums once (one of them each product as well): 2k·2^-24·Σ|terms|, terms of size up to 16.
		tol := float64(2*a.k*a.segs*a.pics) * math.Exp2(-24) * 16 * float64(a.k*a.segs*a.pics+1)
		for i := range want {
			if d := math.Abs(float64(want[i]) - float64(got[i])); !(d <= tol) {
				t.Fatalf("%v, k=%d segs=%d pics=%d rs=%d ks=%d bs=%d, %s start: [%d] = %g, generic %g (allowed %g)", tl.level,
					a.k, a.segs, a.pics, a.rs, a.ks, bs, kind, i-32, got[i], want[i], tol)
			}
		}
	}
}

func TestTranspose(t *testing.T) {
	src := make([]float32, 40*75)
	for i := range src {
		src[i] = float32(i)
	}
	for l := Generic; l <= Best(); l++ {
		restore := SetLevel(l)
		for rows := 0; rows <= 70; rows++ {
			for _, cols := range []int{0, 1, 3, 4, 7, 8, 9, 16, 31, 32} {
				name := fmt.Sprintf("%v %d×%d", l, rows, cols)
				dst := make([]float32, 71*33)
				for i := range dst {
					dst[i] = -1
				}
				transpose(dst[:max(0, rows*33)], 33, src, 75, rows, cols)
				for q := range 71 {
					for c := range 33 {
						want := float32(-1)
						if q < rows && c < cols {
							want = src[q+c*75]
						}
						if got := dst[q*33+c]; got != want {
							t.Fatalf("%s: row %d column %d = %g, want %g", name, q, c, got, want)
						}
					}
				}
			}
		}
		restore()
	}
}
