package tensor_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/tensor"
)

// random returns a tensor of unit normals.
func random(r *rand.Rand, shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	return x
}

// spread returns numbers of both signs away from 0, where ReLU has a corner.
func spread(shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(1+i%5) * float32(1-2*(i%2))
	}
	return x
}

// checkGradient compares the tape's gradient of Σ g·f(inputs) with respect to
// each input with a 4-point central difference along a random direction.
// float32 and a step of 0.05 leave about 1e-4 of the gradient's norm; a
// missing term is a hundred times that, so 1e-3 tells them apart.
func checkGradient(t *testing.T, inputs []*tensor.Tensor, f func(tp *tensor.Tape) *tensor.Tensor) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	y := f(nil)
	g := random(r, y.Shape...)
	loss := func() float64 {
		var s float64
		for i, v := range f(nil).Data {
			s += float64(v) * float64(g.Data[i])
		}
		return s
	}
	for k, x := range inputs {
		tape := tensor.NewTape(x)
		out := f(tape)
		for i, v := range out.Data {
			if v != y.Data[i] {
				t.Fatalf("with a tape element %d is %g, without %g", i, v, y.Data[i])
			}
		}
		tape.Seed(out, g.Data)
		tape.Backward()
		for j, other := range inputs {
			if other != x && tape.Grad(other) != nil {
				t.Errorf("input %d got a gradient though only %d is differentiated", j, k)
			}
		}
		grad := tape.Grad(x)
		dir := random(r, x.Shape...)
		var got, norm, dnorm float64
		for i, d := range dir.Data {
			got += float64(d) * float64(grad[i])
			norm += float64(grad[i]) * float64(grad[i])
			dnorm += float64(d) * float64(d)
		}
		h := 0.05 * math.Sqrt(float64(x.Len())/dnorm)
		orig := x.Clone()
		at := func(step float64) float64 {
			for i, d := range dir.Data {
				x.Data[i] = orig.Data[i] + float32(step*float64(d))
			}
			l := loss()
			copy(x.Data, orig.Data)
			return l
		}
		want := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
		scale := math.Sqrt(norm*dnorm/float64(x.Len())) + 1e-6
		if err := math.Abs(got-want) / scale; !(err < 1e-3) {
			t.Errorf("input %d: directional derivative %g, finite difference %g: error %.2e of the gradient", k, got, want, err)
		}
	}
}

// TestPadEnd compares PadEnd with its definition, and its gradient with differences.
func TestPadEnd(t *testing.T) {
	x := random(rand.New(rand.NewPCG(7, 8)), 2, 3, 4, 5)
	y := tensor.PadEnd(nil, x)
	if fmt.Sprint(y.Shape) != "[2 4 5 5]" {
		t.Fatalf("shape %v", y.Shape)
	}
	for i, v := range y.Data {
		c, w, h, n := i%5, i/5%5, i/25%4, i/100
		want := float32(0)
		if h < 3 && w < 4 {
			want = x.Data[((n*3+h)*4+w)*5+c]
		}
		if v != want {
			t.Fatalf("element %d is %g, want %g", i, v, want)
		}
	}
	checkGradient(t, []*tensor.Tensor{x}, func(tp *tensor.Tape) *tensor.Tensor { return tensor.PadEnd(tp, x) })
}

// TestMean compares Mean with its definition.
func TestMean(t *testing.T) {
	x := random(rand.New(rand.NewPCG(5, 6)), 2, 3, 4, 5)
	y := tensor.Mean(nil, x)
	for n := range 2 {
		for c := range 5 {
			var want float64
			for p := range 12 {
				want += float64(x.Data[(n*12+p)*5+c]) / 12
			}
			if got := float64(y.Data[n*5+c]); !(math.Abs(got-want) < 1e-6) { // twelve float32 of about 1
				t.Errorf("picture %d, channel %d: %g, want %g", n, c, got, want)
			}
		}
	}
}

func TestGradients(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	type T = tensor.Tensor
	positive := func(x *T) *T {
		for i, v := range x.Data {
			x.Data[i] = 1 + 0.2*v
		}
		return x
	}
	cases := []struct {
		name   string
		inputs []*T
		f      func(t *tensor.Tape, in []*T) *T
	}{}
	add := func(name string, f func(t *tensor.Tape, in []*T) *T, inputs ...*T) {
		cases = append(cases, struct {
			name   string
			inputs []*T
			f      func(t *tensor.Tape, in []*T) *T
		}{name, inputs, f})
	}
	for _, c := range []struct{ n, h, w, cin, cout, k, stride, pad int }{
		{2, 5, 4, 3, 5, 3, 1, 1}, {1, 6, 7, 2, 3, 3, 2, 1}, {2, 3, 3, 4, 2, 1, 1, 0}, {1, 5, 5, 3, 2, 1, 2, 0}, {3, 1, 1, 6, 7, 3, 1, 1}, {1, 4, 6, 1, 1, 2, 2, 0},
	} {
		o := tensor.ConvOptions{Stride: c.stride, Pad: c.pad}
		add(fmt.Sprint("conv ", c), func(t *tensor.Tape, in []*T) *T { return tensor.Conv2D(t, in[0], in[1], in[2], o) },
			random(r, c.n, c.h, c.w, c.cin), random(r, c.k, c.k, c.cin, c.cout), random(r, c.cout))
	}
	add("linear", func(t *tensor.Tape, in []*T) *T { return tensor.Linear(t, in[0], in[1], in[2]) },
		random(r, 3, 5), random(r, 5, 7), random(r, 7))
	add("mean", func(t *tensor.Tape, in []*T) *T { return tensor.Mean(t, in[0]) }, random(r, 2, 3, 4, 5))
	add("columns", func(t *tensor.Tape, in []*T) *T { return tensor.Columns(t, in[0], 2, 5) }, random(r, 3, 7))
	for _, silu := range []bool{false, true} {
		o := tensor.NormOptions{Groups: 2, Eps: 1e-5, SiLU: silu}
		add(fmt.Sprint("norm silu=", silu), func(t *tensor.Tape, in []*T) *T {
			return tensor.GroupNorm(t, in[0], in[1], in[2], nil, nil, o)
		}, random(r, 2, 3, 4, 6), positive(random(r, 6)), random(r, 6))
		add(fmt.Sprint("adaptive norm silu=", silu), func(t *tensor.Tape, in []*T) *T {
			return tensor.GroupNorm(t, in[0], in[1], in[2], in[3], in[4], o)
		}, random(r, 2, 3, 4, 6), positive(random(r, 6)), random(r, 6), random(r, 2, 6), random(r, 2, 6))
	}
	for _, heads := range []int{1, 3} {
		add(fmt.Sprint("attention heads=", heads), func(t *tensor.Tape, in []*T) *T { return tensor.Attention(t, in[0], heads, tensor.Float32) },
			random(r, 2, 2, 3, 18))
	}
	for _, taps := range [][]float32{{1, 1}, {1, 3, 3, 1}, {1, 2, 5, 4, 2, 1}} {
		for pad := range (len(taps)-1)/2 + 1 {
			add(fmt.Sprint("down ", taps, pad), func(t *tensor.Tape, in []*T) *T { return tensor.Downsample(t, in[0], taps, pad) },
				random(r, 2, 6, 8, 3))
			add(fmt.Sprint("up ", taps, pad), func(t *tensor.Tape, in []*T) *T { return tensor.Upsample(t, in[0], taps, pad) },
				random(r, 2, 3, 4, 3))
		}
	}
	add("add", func(t *tensor.Tape, in []*T) *T { return tensor.Add(t, in[0], in[1], 0.5, -2) }, random(r, 2, 3), random(r, 2, 3))
	add("add twice the same", func(t *tensor.Tape, in []*T) *T { return tensor.Add(t, in[0], in[0], 0.5, 2) }, random(r, 2, 3))
	add("add channels", func(t *tensor.Tape, in []*T) *T { return tensor.AddChannels(t, in[0], in[1]) }, random(r, 2, 3, 2, 5), random(r, 2, 5))
	add("add bias", func(t *tensor.Tape, in []*T) *T { return tensor.AddBias(t, in[0], in[1]) }, random(r, 2, 3, 2, 5), random(r, 5))
	add("relu", func(t *tensor.Tape, in []*T) *T { return tensor.ReLU(t, in[0]) }, spread(3, 11))
	add("gelu", func(t *tensor.Tape, in []*T) *T { return tensor.GELU(t, in[0]) }, random(r, 3, 11))
	add("mish", func(t *tensor.Tape, in []*T) *T { return tensor.Mish(t, in[0]) }, random(r, 3, 11))
	add("silu", func(t *tensor.Tape, in []*T) *T { return tensor.SiLU(t, in[0]) }, random(r, 3, 11))
	add("scale", func(t *tensor.Tape, in []*T) *T { return tensor.Scale(t, in[0], []float32{2, -3}) }, random(r, 2, 3, 2, 2))
	add("mix", func(t *tensor.Tape, in []*T) *T {
		return tensor.Mix(t, in[0], in[1], []float32{2, -3}, []float32{0.5, 4})
	}, random(r, 2, 3, 2, 2), random(r, 2, 3, 2, 3))
	add("scale channels", func(t *tensor.Tape, in []*T) *T { return tensor.ScaleChannels(t, in[0], 3, []float32{0.7, 1.4}) }, random(r, 2, 2, 3, 4))
	add("scale low", func(t *tensor.Tape, in []*T) *T { return tensor.ScaleLow(t, in[0], []float32{0.2, 0.9}) }, random(r, 2, 4, 5, 3))
	add("concat", func(t *tensor.Tape, in []*T) *T { return tensor.Concat(t, in[0], in[1], []float32{0.7, 1}) }, random(r, 2, 2, 3, 4), random(r, 2, 2, 3, 3))
	add("space to depth", func(t *tensor.Tape, in []*T) *T { return tensor.SpaceToDepth(t, in[0], 2) }, random(r, 2, 4, 6, 3))
	add("depth to space", func(t *tensor.Tape, in []*T) *T { return tensor.DepthToSpace(t, in[0], 2) }, random(r, 2, 3, 2, 8))
	add("dropout", func(t *tensor.Tape, in []*T) *T {
		return tensor.Dropout(t, in[0], 0.3, []*rand.Rand{rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, 2))})
	}, random(r, 2, 3, 5, 4))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checkGradient(t, c.inputs, func(tp *tensor.Tape) *tensor.Tensor { return c.f(tp, c.inputs) })
		})
	}
}
