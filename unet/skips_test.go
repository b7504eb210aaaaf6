package unet_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/skiptune"
	"diffuse/tensor"
	"diffuse/unet"
)

// skipNet is a network whose skips and decoder features have 16 channels each: groups of 4 channels, none on both sides of the
// boundary.
func skipNet(t *testing.T) (unet.Denoiser, func(rule string, sigma ...float64) []float32) {
	t.Helper()
	c := tinyConfig()
	c.ModelChannels, c.ChannelMult = 16, []int{1, 1}
	m := tinyModel(t, c)
	r := rand.New(rand.NewPCG(3, 4))
	for _, w := range m.Net.Params() { // away from the zeros that new blocks end in
		for i := range w.Data {
			w.Data[i] += 0.1 * float32(r.NormFloat64())
		}
	}
	d, err := m.Denoiser(nil)
	if err != nil {
		t.Fatal(err)
	}
	joins := d.Joins()
	sides := make([]int, len(joins))
	for i, j := range joins {
		sides[i] = j.Side
		if j.Decoder != 16 || j.Skip != 16 || j.Block == "" {
			t.Fatalf("join %d is %+v, want 16 and 16 channels", i, j)
		}
	}
	one := ramp(1, c.Resolution, c.Resolution, c.InChannels)
	return d, func(rule string, sigma ...float64) []float32 {
		x := tensor.New(len(sigma), c.Resolution, c.Resolution, c.InChannels)
		for i := range sigma {
			copy(x.Data[i*one.Len():], one.Data)
		}
		d := d
		if rule != "" {
			tuning, err := skiptune.Parse(rule, sides)
			if err != nil {
				t.Fatal(err)
			}
			d.Net = d.Net.WithSkipRule(tuning.At)
		}
		return d.Denoise(nil, x, sigma, unet.Inputs{}).Data
	}
}

func ramp(shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(math.Sin(0.7 * float64(i)))
	}
	return x
}

func distance(a, b []float32) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	if len(a) != len(b) || math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst
}

// TestSkipRule: inside its window a rule gives the bytes of fixed weights, outside those of the plain network, and each
// picture of a batch follows its own noise level.
func TestSkipRule(t *testing.T) {
	d, denoise := skipNet(t)
	const text = "0.5:1@0.1..5"
	fixed := d
	fixed.Net = d.WithSkips(skiptune.Ramp(d.Skips(), 0.5, 1, skiptune.FromBottom))
	x := ramp(1, d.Resolution, d.Resolution, d.InChannels)
	for _, sigma := range []float64{0.1, 2, 5} {
		want := fixed.Denoise(nil, x, []float64{sigma}, unet.Inputs{}).Data
		if got := denoise(text, sigma); distance(got, want) != 0 {
			t.Errorf("sigma %v: %g from fixed weights, want the same bytes", sigma, distance(got, want))
		}
		if distance(want, denoise("", sigma)) < 1e-4 {
			t.Errorf("sigma %v: weights have no effect", sigma)
		}
	}
	for _, sigma := range []float64{0.05, 20} {
		if got := denoise(text, sigma); distance(got, denoise("", sigma)) != 0 {
			t.Errorf("sigma %v: not the plain network outside the window", sigma)
		}
	}
	mixed := denoise(text, 0.05, 2, 2, 20)
	for i, sigma := range []float64{0.05, 2, 2, 20} {
		if got, want := mixed[i*x.Len():(i+1)*x.Len()], denoise(text, sigma); distance(got, want) != 0 {
			t.Errorf("picture %d at sigma %v differs by %g in a batch of several levels", i, sigma, distance(got, want))
		}
	}
}

// TestSkipParts: where no group of the norm holds channels of both sides, weights for the norm alone cancel but for the norm's
// eps, and the shortcut does it all (arXiv 2402.15170, appendix C).
func TestSkipParts(t *testing.T) {
	_, denoise := skipNet(t)
	plain, both := denoise("", 1), denoise("0.5", 1)
	effect := distance(plain, both)
	if !(effect > 1e-3) {
		t.Fatalf("weights change the output by %g only", effect)
	}
	if d := distance(plain, denoise("0.5/norm", 1)); !(d > 0 && d < 1e-2*effect) {
		t.Errorf("norm alone changes the output by %g, all of it by %g; want next to nothing", d, effect)
	}
	if d := distance(both, denoise("0.5/shortcut", 1)); !(d > 0 && d < 1e-2*effect) {
		t.Errorf("the shortcut alone is %g from both, of an effect of %g", d, effect)
	}
	if d := distance(both, denoise("0.5/norm+0.5/shortcut", 1)); d != 0 {
		t.Errorf("norm and shortcut together are %g from both", d)
	}
	if d := distance(plain, denoise("freeu:1,1,1,1", 1)); d != 0 {
		t.Errorf("FreeU with factors 1 changes the output by %g", d)
	}
	for _, text := range []string{"freeu:1.5,1,1,1", "freeu:1,1.5,1,1", "freeu:1,1,.2,1", "freeu:1,1,1,.2"} {
		if d := distance(plain, denoise(text, 1)); !(d > 1e-4) {
			t.Errorf("%s changes the output by %g only", text, d)
		}
	}
}

// TestOnJoin: the observer sees every concatenation once, in order, with the features of the plain network.
func TestOnJoin(t *testing.T) {
	d, _ := skipNet(t)
	x := ramp(2, d.Resolution, d.Resolution, d.InChannels)
	seen := 0
	d.Net = d.WithSkips(make([]float32, d.Skips()))
	d.Denoise(nil, x, []float64{1, 1}, unet.Inputs{OnJoin: func(i int, u, s *tensor.Tensor) {
		j := d.Joins()[i]
		if i != seen || u.Shape[1] != j.Side || u.Shape[3] != j.Decoder || s.Shape[3] != j.Skip {
			t.Errorf("call %d: join %d, features %v and %v, want %+v", seen, i, u.Shape, s.Shape, j)
		}
		if distance(s.Data, make([]float32, s.Len())) == 0 {
			t.Errorf("join %d: the skip is seen after its weight 0", i)
		}
		seen++
	}})
	if seen != d.Skips() {
		t.Errorf("%d calls for %d connections", seen, d.Skips())
	}
}
