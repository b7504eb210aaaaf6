package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/internal/kernel"
)

// fenced is a slice between guard bands, off any vector boundary. The bands hold in turn a NaN, which
// spoils a result that reads it, and a number of this slice's own, which no operation on other bands,
// not even a copy, leaves as it is.
type fenced struct {
	all, v []float32
	own    float32
}

const fenceLen = 24

func newFenced(n, offset int) fenced {
	all := make([]float32, fenceLen+offset+n+fenceLen)
	f := fenced{all, all[fenceLen+offset : fenceLen+offset+n : fenceLen+offset+n], 1e5 + 1e5*rand.Float32()}
	for i := range all {
		all[i] = f.guard(i)
	}
	return f
}

func (f fenced) guard(i int) float32 {
	if i%2 == 0 {
		return f.own
	}
	return math.Float32frombits(0x7fedcba9)
}

// randomFenced is filled with normal numbers times size.
func randomFenced(r *rand.Rand, n, offset int, size float64) fenced {
	g := newFenced(n, offset)
	for i := range g.v {
		g.v[i] = float32(r.NormFloat64() * size)
	}
	return g
}

func (f fenced) intact(t *testing.T, what string) {
	t.Helper()
	from := len(f.all) - fenceLen - len(f.v)
	for i, v := range f.all {
		if i >= from && i < from+len(f.v) {
			continue
		}
		if g := f.guard(i); math.Float32bits(v) != math.Float32bits(g) {
			t.Fatalf("%s: wrote outside: element %d of %d is %g, was %g", what, i-from, len(f.v), v, g)
		}
	}
}

// want collects the float64 reference: values, and for each the sum of the magnitudes that went into it,
// which is what float32 rounding errors are relative to.
type want struct{ v, size []float64 }

func (w *want) add(v float64, terms ...float64) {
	s := math.Abs(v)
	for _, x := range terms {
		s += math.Abs(x)
	}
	w.v, w.size = append(w.v, v), append(w.size, s)
}

// ulp is half the distance between neighbouring float32 numbers, relative: the error of one rounding.
const ulp = 1.0 / (1 << 24)

// compare fails unless every got is within tol times its size of the reference.
func (w *want) compare(t *testing.T, what string, got []float32, tol float64) {
	t.Helper()
	if len(got) != len(w.v) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(w.v))
	}
	for i, g := range got {
		d := math.Abs(float64(g) - w.v[i])
		if !(d <= tol*w.size[i]+1e-37) {
			t.Fatalf("%s: element %d of %d is %g, want %g: off by %g, allowed %g", what, i, len(got), g, w.v[i], d, tol*w.size[i])
		}
	}
}

func silu64(z float64) float64 { return z / (1 + math.Exp(-z)) }

func slope64(z float64) float64 {
	s := 1 / (1 + math.Exp(-z))
	return s * (1 + z*(1-s))
}

// flatKernels are the element-wise kernels as functions of dst (in and out), x and y.
var flatKernels = []struct {
	name string
	run  func(dst, x, y []float32)
	ref  func(w *want, d, x, y float64)
	tol  float64
	// alias says which operands dst may be.
	aliasX, aliasY bool
}{
	{"Axpy", func(d, x, y []float32) { kernel.Axpy(d, 1.7, x) },
		func(w *want, d, x, y float64) { w.add(d+f64(1.7)*x, d, 1.7*x) }, 2 * ulp, false, false},
	{"ScaleTo", func(d, x, y []float32) { kernel.ScaleTo(d, -0.3, x) },
		func(w *want, d, x, y float64) { w.add(f64(-0.3) * x) }, ulp, true, false},
	{"AddTo", func(d, x, y []float32) { kernel.AddTo(d, x, y, 1.1, -0.7) },
		func(w *want, d, x, y float64) { w.add(f64(1.1)*x+f64(-0.7)*y, 1.1*x, 0.7*y) }, 2 * ulp, true, true},
	{"MulTo", func(d, x, y []float32) { kernel.MulTo(d, x, y) },
		func(w *want, d, x, y float64) { w.add(x * y) }, ulp, true, true},
	{"MaxTo", func(d, x, y []float32) { kernel.MaxTo(d, x, y) },
		func(w *want, d, x, y float64) { w.add(max(x, y)) }, 0, true, true},
	{"MaxTo, NaN in y", func(d, x, y []float32) { kernel.MaxTo(d, y, x) },
		func(w *want, d, x, y float64) { w.add(max(x, y)) }, 0, true, true},
	{"Lerp", func(d, x, y []float32) { kernel.Lerp(d, x, 0.9) },
		func(w *want, d, x, y float64) { w.add(x+f64(0.9)*(d-x), x, d) }, 2 * ulp, false, false},
	// The exponential is within 2.5e-7, the reciprocal within 1e-7: siluTol.
	{"SiLU", func(d, x, y []float32) { kernel.SiLU(d, x) },
		func(w *want, d, x, y float64) { w.add(silu64(x)) }, siluTol, true, false},
	{"SiLUGrad", func(d, x, y []float32) { kernel.SiLUGrad(d, y, x) },
		func(w *want, d, x, y float64) { w.add(d+y*slope64(x), d, y) }, siluTol, false, false},
}

const siluTol = 4e-7

// f64 is what a float32 argument is worth.
func f64(x float32) float64 { return float64(x) }

func TestFlatKernels(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, k := range flatKernels {
			for n := range 71 {
				for _, off := range []int{0, 1, 5} {
					what := fmt.Sprintf("%s n=%d offset %d", k.name, n, off)
					d, x, y := randomFenced(r, n, off, 3), randomFenced(r, n, 1, 3), randomFenced(r, n, 2, 3)
					var w want
					for i := range n {
						k.ref(&w, f64(d.v[i]), f64(x.v[i]), f64(y.v[i]))
					}
					k.run(d.v, x.v, y.v)
					w.compare(t, what, d.v, k.tol)
					for _, g := range []fenced{d, x, y} {
						g.intact(t, what)
					}
				}
			}
		}
	})
}

// dst may be an operand: the result then equals, byte for byte, the one without.
func TestFlatAliases(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, k := range flatKernels {
			for n := range 71 {
				x, y := randomFenced(r, n, 1, 3), randomFenced(r, n, 2, 3)
				if k.aliasX {
					d, a := newFenced(n, 0), append([]float32(nil), x.v...)
					k.run(d.v, x.v, y.v)
					k.run(a, a, y.v)
					sameBits(t, k.name+" onto x", a, d.v)
				}
				if k.aliasY {
					d, a := newFenced(n, 0), append([]float32(nil), y.v...)
					k.run(d.v, x.v, y.v)
					k.run(a, x.v, a)
					sameBits(t, k.name+" onto y", a, d.v)
				}
			}
		}
	})
}

// A NaN, whatever its payload, stays a NaN where it is and touches nothing else.
func TestFlatNaN(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, bits := range []uint32{0x7fc00000, 0xffc00000, 0x7fc00001, 0x7fffffff, 0xffffffff, 0x7f800001} {
			for _, k := range flatKernels {
				for n := 1; n < 40; n += 3 {
					for at := range n {
						d, x, y := ones(n), ones(n), ones(n)
						x[at] = math.Float32frombits(bits)
						k.run(d, x, y)
						onlyNaN(t, fmt.Sprintf("%s, NaN %#x", k.name, bits), d, func(i int) bool { return i == at })
					}
				}
			}
		}
	})
}

func ones(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 1
	}
	return x
}

// onlyNaN fails unless exactly the elements named are NaN.
func onlyNaN(t *testing.T, what string, x []float32, named func(i int) bool) {
	t.Helper()
	for i, v := range x {
		if (v != v) != named(i) {
			t.Fatalf("%s: element %d of %d is %g, NaN wanted: %v", what, i, len(x), v, named(i))
		}
	}
}

// SiLU and its derivative over the whole line: dense where they bend, saturating outside.
func TestSiLURange(t *testing.T) {
	var x []float32
	for v := -86.0; v <= 88; v += 0.00037 {
		x = append(x, float32(v))
	}
	for v := -1.0; v <= 1; v += 0.0000137 {
		x = append(x, float32(v*v*v))
	}
	inf := float32(math.Inf(1))
	edge := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, 1e-38, 86, -86, 87.4, -87.4, 88.8, -88.8, 100, -100, 104, -104,
		1e4, -1e4, 1e30, -1e30, math.MaxFloat32, -math.MaxFloat32, inf, -inf}
	eachLevel(t, func(t *testing.T) {
		got, slope := make([]float32, len(x)), make([]float32, len(x))
		kernel.SiLU(got, x)
		kernel.SiLUGrad(slope, onesLike(x), x)
		worst := 0.0
		for i, v := range x {
			ref := silu64(f64(v))
			d := math.Abs(f64(got[i])-ref) / math.Max(math.Abs(ref), 1e-30)
			if !(d <= siluTol) {
				t.Fatalf("SiLU(%g) = %g, want %g: relative error %g", v, got[i], ref, d)
			}
			worst = math.Max(worst, d)
			// The derivative crosses zero near -1.28: held to its size elsewhere, about 1.
			if d := math.Abs(f64(slope[i]) - slope64(f64(v))); !(d <= siluTol) {
				t.Fatalf("SiLU'(%g) = %g, want %g: off by %g", v, slope[i], slope64(f64(v)), d)
			}
		}
		t.Logf("largest relative error %.3g", worst)
		for _, v := range edge {
			one := []float32{v}
			kernel.SiLU(one, one)
			ref := max(v, 0)
			if math.Abs(f64(v)) < 80 {
				ref = v / 2
			}
			if !(one[0] == ref || math.Abs(f64(one[0]-ref)) <= 1e-34) {
				t.Errorf("SiLU(%g) = %g, want %g", v, one[0], ref)
			}
			d := []float32{0}
			kernel.SiLUGrad(d, []float32{1}, []float32{v})
			ref = 0.5
			if math.Abs(f64(v)) > 80 {
				ref = 0
				if v > 0 {
					ref = 1
				}
			}
			if !(math.Abs(f64(d[0]-ref)) <= 1e-34) {
				t.Errorf("SiLU'(%g) = %g, want %g", v, d[0], ref)
			}
		}
	})
}

func onesLike(x []float32) []float32 { return ones(len(x)) }

// Dot is exact to float64: with terms of very different sizes a float32 sum would lose all of them.
func TestDot(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for n := range 140 {
			x, y := randomFenced(r, n, n%3, 1), randomFenced(r, n, 1, 1)
			for i := range n {
				x.v[i] *= float32(math.Pow(10, float64(i%9-4)))
			}
			sum, size, sq := 0.0, 0.0, 0.0
			for i := range n {
				sum += f64(x.v[i]) * f64(y.v[i])
				size += math.Abs(f64(x.v[i]) * f64(y.v[i]))
				sq += f64(x.v[i]) * f64(x.v[i])
			}
			// n roundings of float64 at most
			if d := math.Abs(kernel.Dot(x.v, y.v) - sum); !(d <= float64(n)*size*1.2e-16) {
				t.Fatalf("Dot of %d: %g, want %g", n, kernel.Dot(x.v, y.v), sum)
			}
			if d := math.Abs(kernel.SumSquares(x.v) - sq); !(d <= float64(n)*sq*1.2e-16) {
				t.Fatalf("SumSquares of %d: %g, want %g", n, kernel.SumSquares(x.v), sq)
			}
			if n > 0 {
				x.v[n-1] = float32(math.NaN())
				if s := kernel.Dot(x.v, y.v); s == s {
					t.Fatalf("Dot of %d with a NaN: %g", n, s)
				}
			}
		}
	})
}

func TestStrided(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for cols := range 71 {
			for rows := range 4 {
				ds, ss := cols+rows, cols+3
				if rows == 2 {
					ds, ss = cols, cols
				}
				nd, ns := max(0, (rows-1)*ds+cols), max(0, (rows-1)*ss+cols)
				d, s, c := randomFenced(r, nd, 1, 1), randomFenced(r, ns, 2, 1), newFenced(nd, 3)
				var sum want
				for _, v := range d.v {
					sum.add(f64(v))
				}
				cp := append([]float32(nil), c.v...)
				for i := range rows {
					for j := range cols {
						a, x := f64(d.v[i*ds+j]), f64(s.v[i*ss+j])
						sum.v[i*ds+j], sum.size[i*ds+j] = a-0.6*x, math.Abs(a)+math.Abs(x)
						cp[i*ds+j] = s.v[i*ss+j]
					}
				}
				what := fmt.Sprintf("%d rows of %d, strides %d %d", rows, cols, ds, ss)
				kernel.AddStrided(d.v, ds, s.v, ss, rows, cols, -0.6)
				sum.compare(t, "AddStrided "+what, d.v, 3*ulp)
				kernel.CopyStrided(c.v, ds, s.v, ss, rows, cols)
				sameBits(t, "CopyStrided "+what, c.v, cp)
				for _, g := range []fenced{d, s, c} {
					g.intact(t, what)
				}
			}
		}
	})
}

// TestMax: the larger of two and ReLU, whose NaNs must not vanish.
func TestMax(t *testing.T) {
	nan := float32(math.NaN())
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 8))
		for n := range 41 {
			x, y, dst := randomFenced(r, n, 1, 1), randomFenced(r, n, 2, 1), newFenced(n, 3)
			wanted := make([]float32, n)
			for i := range n {
				if i%5 == 1 {
					x.v[i] = nan
				}
				if i%7 == 1 {
					y.v[i] = nan
				}
				wanted[i] = max(x.v[i], y.v[i])
			}
			kernel.MaxTo(dst.v, x.v, y.v)
			sameNumbers(t, fmt.Sprintf("MaxTo of %d", n), dst.v, wanted)
			kernel.MaxTo(x.v, x.v, y.v)
			sameNumbers(t, fmt.Sprintf("MaxTo of %d in place", n), x.v, wanted)
			for rows := range 4 {
				z := randomFenced(r, max(0, (rows-1)*(n+3)+n), 4, 1)
				wanted := append([]float32(nil), z.v...)
				for i := range wanted {
					if i%11 == 3 {
						z.v[i], wanted[i] = nan, nan
					}
					if i%(n+3) < n {
						wanted[i] = max(wanted[i], 0)
					}
				}
				kernel.RectifyStrided(z.v, n+3, rows, n)
				sameNumbers(t, fmt.Sprintf("RectifyStrided of %d rows of %d", rows, n), z.v, wanted)
				z.intact(t, "RectifyStrided")
			}
			for _, g := range []fenced{x, y, dst} {
				g.intact(t, "MaxTo")
			}
		}
	})
}

// sameNumbers checks that two results are equal, NaN being equal to NaN.
func sameNumbers(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, v := range want {
		if got[i] != v && !(math.IsNaN(float64(v)) && math.IsNaN(float64(got[i]))) {
			t.Fatalf("%s: [%d] = %g, want %g", what, i, got[i], v)
		}
	}
}

// Shapes that do not fit are a caller's bug and say so.
func TestVectorPanics(t *testing.T) {
	x := make([]float32, 8)
	for name, f := range map[string]func(){
		"Axpy":           func() { kernel.Axpy(x, 1, x[1:]) },
		"MulTo":          func() { kernel.MulTo(x, x, x[1:]) },
		"MaxTo":          func() { kernel.MaxTo(x, x, x[1:]) },
		"RectifyStrided": func() { kernel.RectifyStrided(x, 4, 2, 5) },
		"Dot":            func() { kernel.Dot(x, x[1:]) },
		"CopyStrided":    func() { kernel.CopyStrided(x, 4, x, 4, 2, 5) },
		"AddStrided":     func() { kernel.AddStrided(x, 5, x, 4, 2, 4, 1) },
		"SoftmaxRows":    func() { kernel.SoftmaxRows(x, x, 3, 3, 1) },
		"AdamStep":       func() { kernel.AdamStep(x, x, x, x[1:], kernel.Adam{}) },
		"ChannelMoments": func() { kernel.ChannelMoments(x[:1], x, x, nil, 4, 2) },
		"AffineSiLU":     func() { kernel.AffineSiLU(x, x, x, x[:1], 4, 2, true) },
		"AddChannels":    func() { kernel.AddChannels(x, x, x, 3, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
