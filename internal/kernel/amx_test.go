package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// amxShapes cover every stride and padding, runs that are whole and that are not, pictures that share a task and that are cut into several, and
// channels that fill groups and panels or do not.
var amxShapes = []Conv{
	{N: 1, H: 1, W: 1, Cin: 1, Cout: 1, KH: 1, KW: 1, Stride: 1},
	{N: 2, H: 5, W: 4, Cin: 3, Cout: 37, KH: 1, KW: 1, Stride: 1},
	{N: 3, H: 16, W: 16, Cin: 40, Cout: 65, KH: 1, KW: 1, Stride: 1},
	{N: 1, H: 1, W: 1, Cin: 5, Cout: 3, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 5, H: 4, W: 4, Cin: 37, Cout: 3, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 3, H: 7, W: 7, Cin: 33, Cout: 33, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 14, W: 14, Cin: 64, Cout: 96, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 28, W: 28, Cin: 1, Cout: 8, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 1, H: 33, W: 29, Cin: 32, Cout: 32, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 32, W: 32, Cin: 96, Cout: 20, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 2, H: 28, W: 28, Cin: 32, Cout: 5, KH: 3, KW: 3, Stride: 2, PadH: 1, PadW: 1},
	{N: 2, H: 11, W: 13, Cin: 2, Cout: 3, KH: 2, KW: 5, Stride: 3, PadH: 4, PadW: 4},
	{N: 2, H: 6, W: 9, Cin: 3, Cout: 4, KH: 4, KW: 3, Stride: 1},
	{N: 1, H: 5, W: 6, Cin: 3, Cout: 2, KH: 2, KW: 2, Stride: 1, PadH: 3, PadW: 3},
	{N: 1, H: 5, W: 5, Cin: 8, Cout: 8, KH: 3, KW: 3, Stride: 1, PadH: 4, PadW: 7},
	{N: 1, H: 3, W: 3, Cin: 2, Cout: 2, KH: 1, KW: 1, Stride: 2, PadH: 1, PadW: 1},
	{N: 2, H: 6, W: 6, Cin: 5, Cout: 4, KH: 1, KW: 1, Stride: 2},
	{N: 1, H: 2, W: 20, Cin: 3, Cout: 4, KH: 5, KW: 7, Stride: 1, PadH: 2, PadW: 2},
	{N: 2, H: 17, W: 17, Cin: 5, Cout: 33, KH: 1, KW: 7, Stride: 1, PadW: 3},
	{N: 2, H: 9, W: 11, Cin: 3, Cout: 10, KH: 3, KW: 3, Stride: 2, PadW: 2},
	{N: 1, H: 2, W: 700, Cin: 3, Cout: 4, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1},
	{N: 40, H: 1, W: 1, Cin: 2, Cout: 1, KH: 3, KW: 3, Stride: 2, PadH: 1, PadW: 1},
}

// A term is the exact sum of products and of their sizes.
type term struct{ sum, size float64 }

func (t *term) add(x, y float32) {
	p := float64(x) * float64(y)
	t.sum += p
	t.size += math.Abs(p)
}

// amxReference returns y and the gradients of x and w in float64.
func amxReference(x, w, dy []float32, s *convShape) (y, dx, dw []term) {
	y, dx, dw = make([]term, s.outputs()), make([]term, s.inputs()), make([]term, s.weights())
	for p := range s.n * s.ho * s.wo {
		n, i, j := p/(s.ho*s.wo), p/s.wo%s.ho, p%s.wo
		for tap := range s.kh * s.kw {
			yy, xx := i*s.stride+tap/s.kw-s.padH, j*s.stride+tap%s.kw-s.padW
			if yy < 0 || yy >= s.h || xx < 0 || xx >= s.w {
				continue
			}
			for c := range s.cin {
				ix := ((n*s.h+yy)*s.w+xx)*s.cin + c
				for o := range s.cout {
					iw, iy := (tap*s.cin+c)*s.cout+o, p*s.cout+o
					y[iy].add(x[ix], w[iw])
					dx[ix].add(dy[iy], w[iw])
					dw[iw].add(x[ix], dy[iy])
				}
			}
		}
	}
	return y, dx, dw
}

// checkTerms allows a relative error of each product, and the rounding of n additions in float32.
func checkTerms(t *testing.T, what string, got, start []float32, want []term, product float64, n int) {
	t.Helper()
	for i, w := range want {
		exact := w.sum + float64(start[i])
		most := (product+float64(n+2)*math.Exp2(-24))*w.size + math.Exp2(-23)*math.Abs(float64(start[i]))
		if d := math.Abs(float64(got[i]) - exact); !(d <= most) {
			t.Fatalf("%s: [%d] = %g, want %g (off by %g, allowed %g)", what, i, got[i], exact, d, most)
		}
	}
}

// TestTiles: convolutions and their gradients by tiles, or by their twins where there are none, agree with sums in float64, and do not depend on
// the number of threads. Operands of plain bfloat16 are rounded before; those of bf16x3 are not: the product that is
// left out, and what a smaller part is rounded by, are together at most 2^-16 of it.
func TestTiles(t *testing.T) {
	levels := []Level{Generic}
	for _, l := range []Level{AVX2, AVX512BF16, AMX} { // plain AVX-512 has the twins that AVX2 has
		if l <= Best() {
			levels = append(levels, l)
		}
	}
	if testing.Short() {
		levels = []Level{Best()}
	}
	for _, l := range levels {
		t.Run(l.String(), func(t *testing.T) {
			defer SetLevel(l)()
			for _, g := range amxShapes {
				if testing.Short() && g.N*g.H*g.W*g.Cin*g.Cout > 1<<17 {
					continue
				}
				for _, p := range []Precision{BFloat16, BFloat16x3} {
					testTiles(t, g, p)
				}
			}
		})
	}
}

func testTiles(t *testing.T, g Conv, p Precision) {
	s := g.shape("test")
	what := fmt.Sprintf("%+v %v ", g, p)
	rng := rand.New(rand.NewPCG(uint64(g.H*100+g.W), uint64(g.Cin*100+g.Cout)))
	x, w, dy, bias := normals(rng, s.inputs()), normals(rng, s.weights()), normals(rng, s.outputs()), normals(rng, g.Cout)
	startX, startW := normals(rng, s.inputs()), normals(rng, s.weights())
	split, product := p == BFloat16x3, math.Exp2(-16)
	if !split {
		product = 0
		for _, v := range [][]float32{x, w, dy} {
			roundBF16Generic(v, v)
		}
	}
	wantY, wantX, wantW := amxReference(x, w, dy, &s)

	init := make([]float32, (g.Cout+31)/32*32)
	copy(init, bias)
	startY := make([]float32, s.outputs())
	for i := range startY {
		startY[i] = bias[i%g.Cout]
	}
	run := func() (y, dx, dw []float32) {
		packed := borrowWeights(s.kh, s.kw, s.cin, s.cout, p)
		defer packed.release()
		packed.fill(w, false)
		y, wholeY := banded(s.outputs())
		amxForward(y, x, packed, s, epilogue{init: init})
		dx, wholeX := banded(s.inputs())
		copy(dx, startX)
		if s.stride == 1 && s.padH < s.kh && s.padW < s.kw {
			turned := borrowWeights(s.kh, s.kw, s.cout, s.cin, p)
			defer turned.release()
			turned.fill(w, true)
			amxForward(dx, dy, turned, s.flipped(), epilogue{accumulate: true})
		} else {
			dx = nil
		}
		dw, wholeW := banded(s.weights())
		copy(dw, startW)
		amxWeightGrad(dw, dy, x, s, split)
		if !wholeY() || !wholeX() || !wholeW() {
			t.Fatalf("%s: guard band overwritten", what)
		}
		return y, dx, dw
	}
	y, dx, dw := run()
	checkTerms(t, what+"y", y, startY, wantY, product, 3*s.kh*s.kw*s.cin)
	if dx != nil {
		checkTerms(t, what+"dx", dx, startX, wantX, product, 3*s.kh*s.kw*s.cout)
	}
	checkTerms(t, what+"dw", dw, startW, wantW, product, 3*s.n*s.ho*s.wo)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(5))
	y5, dx5, dw5 := run()
	for _, c := range [][2][]float32{{y, y5}, {dx, dx5}, {dw, dw5}} {
		for i, v := range c[0] {
			if math.Float32bits(v) != math.Float32bits(c[1][i]) {
				t.Fatalf("%s: depends on the number of threads", what)
			}
		}
	}
}

// specials are numbers whose rounding is not a matter of course.
func specials(rng *rand.Rand, n int) []float32 {
	list := []uint32{0, 1 << 31, 0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffc12345,
		0x7fffffff, 1, 0x807fffff, 0x00800000, 0x007fffff, 0x7f7f8000, 0x7f7f7fff}
	s := normals(rng, n)
	for i := range s {
		if i%3 == 0 {
			s[i] = math.Float32frombits(list[rng.IntN(len(list))])
		}
	}
	return s
}

// TestRoundBF16: rounding at every level is that of the definition, to the last bit; and toBF16 is the nearest number.
func TestRoundBF16(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	src := specials(rng, 1003)
	want := make([]float32, len(src))
	roundBF16Generic(want, src)
	for i, v := range src {
		w := want[i]
		b := math.Float32bits(w)
		below, above := math.Float32frombits(b-1<<16), math.Float32frombits(b+1<<16)
		switch {
		case v != v:
			if w == w {
				t.Errorf("%x: NaN becomes %g", math.Float32bits(v), w)
			}
		case math.Abs(float64(v)) < math.Exp2(-126):
			if w != 0 || math.Signbit(float64(w)) != math.Signbit(float64(v)) {
				t.Errorf("%g becomes %g, want a zero of its sign", v, w)
			}
		case math.IsInf(float64(v), 0) || math.Abs(float64(v)) >= 0x1.ffp127:
			if !math.IsInf(float64(w), 0) || (w > 0) != (v > 0) {
				t.Errorf("%g becomes %g, want infinity of its sign", v, w)
			}
		default:
			d := math.Abs(float64(w) - float64(v))
			for _, u := range []float32{below, above} {
				if e := math.Abs(float64(u) - float64(v)); e < d || e == d && b>>16&1 == 1 {
					t.Errorf("%x becomes %x, %x is nearer", math.Float32bits(v), b, math.Float32bits(u))
				}
			}
		}
	}
	eachTiler(t, func(t *testing.T, tl tiler) {
		got, whole := banded(len(src))
		roundBF16(got, src)
		for i, v := range got {
			if math.Float32bits(v) != math.Float32bits(want[i]) {
				t.Errorf("%x becomes %x, want %x", math.Float32bits(src[i]), math.Float32bits(v), math.Float32bits(want[i]))
			}
		}
		if !whole() {
			t.Error("guard band overwritten")
		}
	})
}

// TestTilesTwins holds the assembly against its twins, bit for bit but for NaNs, and for sums without AMX, whose terms are added in another order.
func TestTilesTwins(t *testing.T) {
	if Best() < AVX512BF16 {
		t.Skipf("needs AVX512-BF16, this CPU offers %v", Best())
	}
	rng := rand.New(rand.NewPCG(3, 4))
	src := specials(rng, 40*50)
	same := func(what string, got, want []uint16) {
		t.Helper()
		for i, w := range want {
			if g := got[i]; g != w && !(fromBF16(g) != fromBF16(g) && fromBF16(w) != fromBF16(w)) {
				t.Fatalf("%s: [%d] = %x, want %x", what, i, g, w)
			}
		}
	}
	for _, size := range [][2]int{{1, 1}, {32, 32}, {7, 16}, {31, 17}, {16, 31}, {2, 32}} {
		rows, cols := size[0], size[1]
		for _, split := range []int{0, 1, 2048} {
			got, want := make([]uint16, 4096), make([]uint16, 4096)
			if split != 1 {
				amxNarrow(got, split, src, 41, rows, cols)
				amxNarrowGeneric(want, split, src, 41, rows, cols)
				same(fmt.Sprintf("narrow %v", size), got, want)
			}
			amxPair(got, split == 1, src, 41, rows, cols)
			amxPairGeneric(want, split == 1, src, 41, rows, cols)
			same(fmt.Sprintf("pair %v", size), got, want)
		}
	}
	for l := AVX512BF16; l <= Best(); l++ {
		t.Run(l.String(), func(t *testing.T) {
			defer SetLevel(l)()
			testMultiply(t, rng)
		})
	}
}

func testMultiply(t *testing.T, rng *rand.Rand) {
	data, b := make([]uint16, 1<<15), make([]uint16, 4*amxTile*5)
	for _, s := range [][]uint16{data, b} {
		for i := range s {
			s[i] = toBF16(float32(rng.NormFloat64()))
		}
	}
	bias := normals(rng, amxPanel)
	for _, split := range []int{0, 1 << 14} {
		for _, ld := range []int{32, 47, 160} {
			a := amxA{data: data, starts: []int{3, 0, 512, 1000, 77, 77}, offsets: []int{0, 64, 33, 2048, 900}, ld: ld, split: split}
			for _, bi := range [][]float32{nil, bias} {
				for _, start := range []bool{true, false} {
					old := normals(rng, 6*amxRun)
					got, whole := banded(len(old))
					copy(got, old)
					want := append([]float32(nil), old...)
					amxMultiply(got, &a, b, bi, start)
					amxMultiplyGeneric(want, &a, b, bi, start)
					for i, w := range want {
						off := math.Abs(float64(got[i]) - float64(w))
						if Current() == AMX && math.Float32bits(got[i]) != math.Float32bits(w) || !(off <= 1e-5*(20+math.Abs(float64(w)))) {
							t.Fatalf("split %d, ld %d, start %v: [%d] = %g, want %g", split, ld, start, i, got[i], w)
						}
					}
					if !whole() {
						t.Fatal("guard band overwritten")
					}
				}
			}
		}
	}
}

// TestTilesState: tiles in use by many goroutines, while the collector runs and preempts them, are never mixed up.
func TestTilesState(t *testing.T) {
	if Best() < AMX {
		t.Skipf("needs AMX, this CPU offers %v", Best())
	}
	rng := rand.New(rand.NewPCG(5, 6))
	g := Conv{N: 1, H: 16, W: 16, Cin: 64, Cout: 64, KH: 3, KW: 3, Stride: 1, PadH: 1, PadW: 1, Precision: BFloat16x3}
	s := g.shape("test")
	w := normals(rng, s.weights())
	var wg sync.WaitGroup
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	for range 8 {
		x := normals(rng, s.inputs())
		want := make([]float32, s.outputs())
		ConvForward(want, x, w, nil, g)
		wg.Go(func() {
			y := make([]float32, s.outputs())
			for range 20 {
				ConvForward(y, x, w, nil, g)
				for i, v := range y {
					if v != want[i] {
						t.Errorf("[%d] = %g, then %g", i, want[i], v)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
}
