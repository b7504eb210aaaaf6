package tensor_test

import (
	"math"
	"math/cmplx"
	"math/rand/v2"
	"runtime"
	"testing"

	"diffuse/tensor"
)

// TestPatches: a patch becomes the channels of one pixel, its rows first, then columns, then channels; the way back restores
// every bit.
func TestPatches(t *testing.T) {
	const n, h, w, c, k = 2, 6, 4, 3, 2
	x := random(rand.New(rand.NewPCG(1, 1)), n, h, w, c)
	y := tensor.SpaceToDepth(nil, x, k)
	for i := range n {
		for r := range h {
			for s := range w {
				for ch := range c {
					got := y.Data[((i*h/k+r/k)*w/k+s/k)*k*k*c+(r%k*k+s%k)*c+ch]
					if want := x.Data[((i*h+r)*w+s)*c+ch]; got != want {
						t.Fatalf("picture %d, pixel (%d,%d), channel %d is %g, want %g", i, r, s, ch, got, want)
					}
				}
			}
		}
	}
	back := tensor.DepthToSpace(nil, y, k)
	for i, v := range back.Data {
		if v != x.Data[i] {
			t.Fatalf("value %d came back as %g, was %g", i, v, x.Data[i])
		}
	}
}

// TestTrim: dead buffers are kept until they are let go of.
func TestTrim(t *testing.T) {
	held := func() int64 {
		runtime.GC()
		runtime.GC() // the kernels' own buffers, of the tests before, go with the second only
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	tensor.Trim()
	before := held()
	x := tensor.New(16, 64, 64, 16) // 4 MiB
	tensor.Recycle(nil, tensor.Add(nil, x, x, 1, 1))
	if kept := held() - before; kept < 3<<20 {
		t.Errorf("a dead result of 4 MiB leaves %d kB to use again", kept>>10)
	}
	tensor.Trim()
	if kept := held() - before; kept > 1<<20 {
		t.Errorf("%d kB are kept after Trim", kept>>10)
	}
}

// TestDropout: the wanted share of values is lost, the others are scaled so that the mean stays, and a picture's mask
// depends on its own generator alone.
func TestDropout(t *testing.T) {
	const n, per, p = 3, 20000, 0.3
	x := tensor.New(n, 100, 100, 2)
	for i := range x.Data {
		x.Data[i] = 1
	}
	generators := func(seeds ...uint64) (g []*rand.Rand) {
		for _, s := range seeds {
			g = append(g, rand.New(rand.NewPCG(s, 0)))
		}
		return g
	}
	y := tensor.Dropout(nil, x, p, generators(5, 6, 7))
	lost := 0
	for i, v := range y.Data {
		switch v {
		case 0:
			lost++
		case float32(1 / (1 - p)):
		default:
			t.Fatalf("value %d is %g, want 0 or 1/(1-p)", i, v)
		}
	}
	share := float64(lost) / (n * per)
	if se := math.Sqrt(p * (1 - p) / (n * per)); !(math.Abs(share-p) <= 4*se) { // four standard errors
		t.Errorf("%.4f of the values are lost, want %g ± %.4f", share, p, 4*se)
	}
	one := tensor.Dropout(nil, tensor.From(x.Data[:per], 1, 100, 100, 2), p, generators(6))
	differ := 0
	for i, v := range one.Data {
		if v != y.Data[per+i] {
			t.Fatalf("alone, value %d of the second picture is %g, in the batch %g", i, v, y.Data[per+i])
		}
		if v != y.Data[i] {
			differ++
		}
	}
	if !(differ > per/4) {
		t.Errorf("the masks of two pictures differ in %d of %d places", differ, per)
	}
	if tensor.Dropout(nil, x, 0, nil) != x {
		t.Error("p = 0 made a copy")
	}
}

// TestUntracked: what depends on no tensor of the tape records nothing and gets no gradient; two uses of one tensor add up.
func TestUntracked(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	w, frozen := random(r, 2, 3), random(r, 2, 3)
	tape := tensor.NewTape(w)
	y := tensor.Add(tape, frozen, frozen, 1, 1)
	if tape.Grad(y) != nil || tape.Grad(frozen) != nil {
		t.Error("a tensor outside the tape has a gradient")
	}
	z := tensor.Add(tape, tensor.Add(tape, w, y, 2, 1), w, 1, 3)
	one := []float32{1, 1, 1, 1, 1, 1}
	tape.Seed(z, one)
	tape.Backward()
	for i, g := range tape.Grad(w) {
		if g != 5 {
			t.Errorf("gradient %d is %g, want 2·1 + 3", i, g)
		}
	}
	if tape.Grad(z) != nil || tape.Grad(frozen) != nil {
		t.Error("an intermediate result still has a gradient after Backward")
	}
	defer func() {
		if recover() == nil {
			t.Error("a seed for a tensor that depends on nothing did not panic")
		}
	}()
	tensor.NewTape(w).Seed(y, one)
}

// TestScaleLow: the filter is that of FreeU's code, here by the letter: transform, shift frequency 0 to the middle, scale the
// square from one before the middle up to it, and back, dropping the imaginary part.
func TestScaleLow(t *testing.T) {
	for _, size := range [][2]int{{4, 6}, {5, 3}, {2, 2}, {1, 4}, {1, 1}} {
		h, w := size[0], size[1]
		const n, c = 2, 3
		factor := []float32{0.2, 1.7}
		x := random(rand.New(rand.NewPCG(3, uint64(h))), n, h, w, c)
		y := tensor.ScaleLow(nil, x, factor)
		for i := range n {
			for ch := range c {
				at := func(r, s int) int { return ((i*h+r)*w+s)*c + ch }
				masked := make([]complex128, h*w)
				for ky := range h {
					for kx := range w {
						var sum complex128
						for r := range h {
							for s := range w {
								angle := -2 * math.Pi * (float64(ky*r)/float64(h) + float64(kx*s)/float64(w))
								sum += complex(float64(x.Data[at(r, s)]), 0) * cmplx.Rect(1, angle)
							}
						}
						// Shifted, frequency k lies at (k + size/2) mod size.
						sy, sx := (ky+h/2)%h, (kx+w/2)%w
						if sy >= h/2-1 && sy <= h/2 && sx >= w/2-1 && sx <= w/2 {
							sum *= complex(float64(factor[i]), 0)
						}
						masked[ky*w+kx] = sum
					}
				}
				for r := range h {
					for s := range w {
						var sum complex128
						for k, m := range masked {
							sum += m * cmplx.Rect(1, 2*math.Pi*(float64(k/w*r)/float64(h)+float64(k%w*s)/float64(w)))
						}
						want := real(sum) / float64(h*w)
						if got := float64(y.Data[at(r, s)]); !(math.Abs(got-want) <= 2e-6) { // float32 sums of up to 24 terms
							t.Fatalf("%d×%d, picture %d, pixel (%d,%d), channel %d is %v, want %v", h, w, i, r, s, ch, got, want)
						}
					}
				}
			}
		}
	}
}

// TestActivations holds the activations to values of PyTorch 2.15 in float64 (relu, gelu, mish of torch.nn.functional), to float32's rounding.
func TestActivations(t *testing.T) {
	x := []float32{-200, -20, -3, -0.5, 0, 0.5, 3, 20, 200}
	for name, c := range map[string]struct {
		f    func(*tensor.Tape, *tensor.Tensor) *tensor.Tensor
		want []float64
	}{
		"relu": {tensor.ReLU, []float64{0, 0, 0, 0, 0, 0.5, 3, 20, 200}},
		"gelu": {tensor.GELU, []float64{-0, -0, -0.00404969409489, -0.154268769363, 0, 0.345731230637, 2.99595030591, 20, 200}},
		"mish": {tensor.Mish, []float64{-2.76779305347e-85, -4.12230724063e-08, -0.145647461276, -0.220743774652, 0, 0.375245211305, 2.98653500497, 20, 200}},
	} {
		for i, v := range c.f(nil, tensor.From(x, len(x))).Data {
			if want := c.want[i]; !(math.Abs(float64(v)-want) <= 1e-7*math.Abs(want)+1e-30) {
				t.Errorf("%s(%g) is %.9g, want %.9g", name, x[i], v, want)
			}
		}
	}
}
