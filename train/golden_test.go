package train_test

import (
	"math"
	"testing"

	"diffuse/internal/golden"
	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
)

// TestGoldenRules compares the learning rate and the EMA's beta with EDM's training loop, and the betas with the settings of
// SiD's recipes.
func TestGoldenRules(t *testing.T) {
	var c struct {
		Batch           int
		LR              float64
		LRRampupKimg    int64 `json:"lr_rampup_kimg"`
		EMAHalflifeKimg int64 `json:"ema_halflife_kimg"`
		Rows            []struct {
			CurNimg        int64    `json:"cur_nimg"`
			LR             float64  `json:"lr"`
			EMARampupRatio *float64 `json:"ema_rampup_ratio"`
			EMABeta        float64  `json:"ema_beta"`
		}
	}
	golden.Open(t, "edm/train_rules").JSON("case.json", &c)
	o := train.DefaultOptions()
	o.LR, o.LRRampup = c.LR, c.LRRampupKimg*1000
	for _, r := range c.Rows {
		ratio := -1.0
		if r.EMARampupRatio != nil {
			ratio = *r.EMARampupRatio
		}
		near(t, "lr", o.LearningRate(r.CurNimg), r.LR, 1e-12)
		near(t, "beta", train.EMABeta(c.Batch, c.EMAHalflifeKimg*1000, ratio, r.CurNimg), r.EMABeta, 1e-12)
	}
	near(t, "beta", train.EMABeta(256, 500_000, -1, 0), .9996451716, 1e-9)
	near(t, "beta", train.EMABeta(512, 500_000, -1, 0), .9992904691, 1e-9)
	near(t, "beta", train.EMABeta(8192, 2_000_000, -1, 0), .9971648957, 1e-9)
	near(t, "beta", train.EMABeta(256, 500_000, .05, 100_000), .9651332197, 1e-9)
}

// near fails unless got is within a relative tolerance of want.
func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*math.Abs(want)) {
		t.Errorf("%s is %.17g, want %.17g within %g", what, got, want, tol)
	}
}

// TestGoldenTraining compares loss, gradients and three Adam steps with EDM's, on recorded noise, for each of its three losses and with its
// augmentation. Tolerances are a tenth of the case's, 5e-4 of a gradient's L2 norm; Adam divides by the gradient's size, so small
// elements show their rounding, or even its sign.
func TestGoldenTraining(t *testing.T) {
	for _, c := range []struct {
		name      string
		objective train.Objective
		network   func(*unet.Config)
	}{
		{"train_edm", train.DefaultObjective(), func(c *unet.Config) { c.LabelDim = 10 }},
		{"train_edm_augment", train.DefaultObjective(), func(c *unet.Config) { c.AugmentDim = 9 }},
		{"train_vp", train.Objective{Noise: "vp:eps=1e-5", Precond: "vp", Loss: "eps"}, func(*unet.Config) {}},
		{"train_ve", train.Objective{Noise: "loguniform:min=0.02,max=100", Precond: "ve", Loss: "eps"}, func(c *unet.Config) {
			c.EmbeddingType, c.EncoderType, c.ChannelMultNoise, c.ResampleFilter = "fourier", "residual", 2, []float32{1, 3, 3, 1}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := train.DefaultOptions()
			o.Objective = c.objective
			config := goldenConfig()
			c.network(&config)
			goldenTraining(t, golden.Open(t, "edm/"+c.name), o, config)
		})
	}
}

func goldenTraining(t *testing.T, g *golden.Case, o train.Options, config unet.Config) {
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	var c struct {
		LossScaled float64 `json:"loss_scaled"`
		Gradients  struct {
			L2AndDot map[string][2]float64 `json:"l2_and_dot"`
		}
		Adam struct {
			LR, Eps float64
			Betas   [2]float64
			Steps   []struct {
				GradientFactor float64               `json:"gradient_factor"`
				Delta          map[string][2]float64 `json:"delta_from_start_l2_and_dot"`
			}
		}
	}
	g.JSON("case.json", &c)
	net := build(t, config)
	if err := net.Import(g.Weights()); err != nil {
		t.Fatal(err)
	}
	var err error
	if net.Precond, err = o.Preconditioning(); err != nil {
		t.Fatal(err)
	}
	start := net.clone()

	x, clean := image(g, "net_x"), image(g, "images")
	if g.Has("augment_labels") {
		clean = image(g, "augmented_images")
		v, s := g.Float64("augment_labels")
		net.augment = tensor.New(s...)
		for i := range v {
			net.augment.Data[i] = float32(v[i])
		}
	}
	sigma, _ := g.Float64("sigma")
	var labels []int
	if g.Has("labels") {
		hot, _ := g.Float64("labels")
		labels = make([]int, len(sigma))
		for i := range labels {
			for hot[i*10+labels[i]] != 1 {
				labels[i]++
			}
		}
	}
	opt, err := train.NewOptimizer(net, nil, train.Options{Beta1: c.Adam.Betas[0], Beta2: c.Adam.Betas[1], Eps: c.Adam.Eps})
	if err != nil {
		t.Fatal(err)
	}
	tape := tensor.NewTape(opt.Weights...)
	d := net.Denoise(tape, x, sigma, labels, nil)
	seed, loss := make([]float32, len(d.Data)), make([]float64, len(sigma))
	lossOf, err := o.NewLoss(d.Shape[1], d.Shape[2], d.Shape[3])
	if err != nil {
		t.Fatal(err)
	}
	lossOf.Of(seed, loss, d.Data, clean.Data, sigma, 1/float64(len(sigma)))

	// The case's loss per element, summed per image.
	want := make([]float64, len(sigma))
	elements, _ := g.Float64("loss")
	for i, v := range elements {
		want[i*len(want)/len(elements)] += v
	}
	golden.Close(t, "loss per image", loss, want, 1e-5*golden.MaxAbs(want))
	near(t, "scaled loss", (loss[0]+loss[1]+loss[2]+loss[3])/4, c.LossScaled, 1e-5)

	tape.Seed(d, seed)
	tape.Backward()
	grad := make([][]float32, len(opt.Weights))
	for i, w := range opt.Weights {
		grad[i] = tape.Grad(w)
	}
	from := toFile(t, start.Net)
	compare(t, g, "grad.model.", net.Net, grad, c.Gradients.L2AndDot, 5e-5)

	for k, s := range c.Adam.Steps {
		scaled := make([][]float32, len(grad))
		for i := range grad {
			scaled[i] = append([]float32(nil), grad[i]...)
		}
		opt.Step(scaled, c.Adam.LR, s.GradientFactor, 0)
		now := toFile(t, net.Net)
		for name, l2dot := range s.Delta {
			bare := name[len("model."):]
			delta := make([]float64, len(now[bare]))
			for i := range delta {
				delta[i] = float64(now[bare][i]) - float64(from[bare][i])
			}
			if i := len(bare) - len("qkv.bias"); i >= 0 && bare[i:] == "qkv.bias" {
				continue // the gradient of k's bias is rounding noise, which Adam blows up
			}
			l2, dot := norms(delta)
			flip := 2 * c.Adam.LR * float64(k+1) // one element whose gradient is rounding noise may go the other way
			if tol := 1e-4 * l2dot[0]; !(math.Abs(l2-l2dot[0]) <= tol && math.Abs(dot-l2dot[1]) <= tol*math.Sqrt(float64(len(delta)))+flip) {
				t.Errorf("Adam step %d, %s: change has L2 %.9g, dot %.9g, want %.9g, %.9g", k, name, l2, dot, l2dot[0], l2dot[1])
			}
		}
	}
}

// goldenConfig is what the networks of the training cases have in common.
func goldenConfig() unet.Config {
	c := unet.DefaultConfig("song")
	c.Resolution, c.ModelChannels, c.ChannelMult = 8, 16, []int{1, 2}
	c.NumBlocks, c.AttnResolutions, c.Dropout = 1, []int{4}, 0
	return c
}

// image reads an N×C×H×W array of the case as a tensor.
func image(g *golden.Case, name string) *tensor.Tensor {
	v, s := g.Float64(name)
	x := tensor.New(s[0], s[2], s[3], s[1])
	tensor.FromNCHW(x, v)
	return x
}

// toFile returns a network's weights in the layout of files, which the case is in.
func toFile(t *testing.T, n *unet.Net) map[string][]float32 {
	t.Helper()
	files, err := n.Export("F32")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]float32)
	for name, f := range files {
		if all[name], err = f.Float32(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// norms returns the L2 norm of v and its product with the case's direction sin(0.37 i + 0.1).
func norms(v []float64) (l2, dot float64) {
	for i, e := range v {
		l2 += e * e
		dot += e * math.Sin(0.37*float64(i)+0.1)
	}
	return math.Sqrt(l2), dot
}

// compare holds gradients against the recorded ones; the tolerance is relative to a tensor's L2 norm.
func compare(t *testing.T, g *golden.Case, prefix string, n *unet.Net, grad [][]float32, sums map[string][2]float64, tol float64) {
	t.Helper()
	carrier := n.Clone() // turns gradients into the layout of files
	i := 0
	for _, w := range carrier.Params() {
		copy(w.Data, grad[i])
		i++
	}
	seen := 0
	for name, got := range toFile(t, carrier) {
		if name == "map_noise.freqs" {
			continue // a buffer
		}
		want, ok := sums["model."+name]
		if !ok {
			t.Errorf("the case has no gradient of %s", name)
			continue
		}
		seen++
		wide := make([]float64, len(got))
		for i, v := range got {
			wide[i] = float64(v)
		}
		l2, dot := norms(wide)
		if !(math.Abs(l2-want[0]) <= tol*want[0] && math.Abs(dot-want[1]) <= tol*want[0]*math.Sqrt(float64(len(got)))) {
			t.Errorf("gradient of %s: L2 %.9g, dot %.9g, want %.9g, %.9g", name, l2, dot, want[0], want[1])
		}
		if g.Has(prefix + name) {
			full, _ := g.Float64(prefix + name)
			golden.Close(t, "gradient of "+name, wide, full, tol*want[0])
		}
	}
	if seen != len(sums) {
		t.Errorf("%d gradients compared, the case has %d", seen, len(sums))
	}
}
