package distill_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/distill"
	"diffuse/internal/golden"
	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
)

// golden networks: teacher, fake and generator of a case, from formulas.
func goldenNetworks(t *testing.T, g *golden.Case, labels int) distill.Networks {
	t.Helper()
	var j struct {
		Kwargs map[string]json.RawMessage `json:"init_kwargs"`
	}
	g.JSON("config.json", &j)
	c := unet.DefaultConfig("song")
	json.Unmarshal(j.Kwargs["img_channels"], &c.InChannels)
	c.OutChannels = c.InChannels
	delete(j.Kwargs, "model_type")
	delete(j.Kwargs, "img_channels")
	b, _ := json.Marshal(j.Kwargs)
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	var f struct {
		Formula map[string]map[string]golden.Formula
	}
	g.JSON("case.json", &f)
	load := func(who string) network {
		n := build(t, c)
		weights := map[string]*checkpoint.Tensor{}
		for name, w := range f.Formula[who] {
			weights[strings.TrimPrefix(name, "model.")] = checkpoint.Float32(w.Shape, w.Values())
		}
		if err := n.Import(weights); err != nil {
			t.Fatal(err)
		}
		return n
	}
	generator := load("generator")
	n := distill.Networks{
		Teacher: load("teacher"), Fake: load("fake"), Generator: generator, EMA: generator.clone(),
		Height: c.Resolution, Width: c.Resolution, Channels: c.InChannels,
	}
	if labels > 0 {
		n.Classes = make([]float64, labels)
		n.Classes[0] = 1
	}
	return n
}

// images reads an N×C×H×W array of the case as a tensor.
func images(g *golden.Case, name string) *tensor.Tensor {
	v, s := g.Float64(name)
	x := tensor.New(s[0], s[2], s[3], s[1])
	tensor.FromNCHW(x, v)
	return x
}

// labels reads the case's one-hot classes, nil if it has none.
func labels(g *golden.Case) []int {
	if !g.Has("labels") {
		return nil
	}
	hot, shape := g.Float64("labels")
	out := make([]int, shape[0])
	for i := range out {
		for hot[i*shape[1]+out[i]] != 1 {
			out[i]++
		}
	}
	return out
}

// perImage sums a loss per element over each of n pictures.
func perImage(elements []float64, n int) []float64 {
	sums := make([]float64, n)
	for i, v := range elements {
		sums[i*n/len(elements)] += v
	}
	return sums
}

type goldenPhase struct {
	LossScaled float64                `json:"loss_scaled"`
	Gradients  map[string]*[2]float64 `json:"gradients_l2_and_dot"`
	Adam       struct {
		LR, Eps float64
		Betas   [2]float64
	}
}

// TestGoldenLosses compares both losses, the closed-form gradients and one step of Adam with SiD's, for alpha 1.2, 1.0 and 0.5. The case's tolerance for
// gradients is 5e-4 of their norm.
func TestGoldenLosses(t *testing.T) {
	for _, name := range []string{"distil_a12", "distil_a10", "distil_a05"} {
		t.Run(name, func(t *testing.T) {
			g := golden.Open(t, "edm/"+name)
			var c struct {
				Alpha, TMax float64
				SigmaInit   float64 `json:"sigma_init"`
				Batch       int
				Fake        goldenPhase
				Generator   goldenPhase
				Nan         struct {
					LossScaled float64 `json:"loss_scaled"`
				}
			}
			g.JSON("case.json", &c)
			classes := labels(g)
			nets := goldenNetworks(t, g, 10*min(1, len(classes)))
			o := distill.DefaultOptions()
			o.Batch, o.Microbatch, o.Alpha, o.TMax, o.SigmaInit = c.Batch, c.Batch, c.Alpha, c.TMax, c.SigmaInit
			o.FakeBeta1, o.Beta1, o.Beta2, o.Eps = c.Fake.Adam.Betas[0], c.Generator.Adam.Betas[0], c.Fake.Adam.Betas[1], c.Fake.Adam.Eps
			tr, err := distill.NewTrainer(o, nets)
			if err != nil {
				t.Fatal(err)
			}
			latent := []*tensor.Tensor{images(g, "z")}
			elements := float64(len(latent[0].Data))

			// Both losses are of the initial weights there, so the generator comes first, with rate 0.
			want := map[string][]float64{}
			for _, k := range []string{"gen.rand_u", "gen.sigma", "fake.randn_sigma", "fake.sigma", "gen.loss"} {
				want[k], _ = g.Float64(k)
			}
			for i, u := range want["gen.rand_u"] {
				near(t, "the generator's sigma", o.Level(u*o.TMax/1000), want["gen.sigma"][i], 1e-6)
				near(t, "the fake network's sigma", math.Exp(o.PMean+o.PStd*want["fake.randn_sigma"][i]), want["fake.sigma"][i], 1e-6)
			}
			var r distill.StepResult
			err = tr.GeneratorUpdate(&distill.Draws{Latent: latent, Sigma: want["gen.sigma"], Noise: images(g, "gen.noise"), Labels: classes}, &r)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "generator loss", r.Loss*elements/float64(c.Batch)*o.LossScale, c.Generator.LossScaled, 1e-4)
			_, grad := tr.Gradients()
			compareGradients(t, nets.Generator.(network), grad, c.Generator.Gradients)

			err = tr.FakeUpdate(&distill.Draws{Latent: latent, Sigma: want["fake.sigma"], Noise: images(g, "fake.noise"), Labels: classes}, &r)
			if err != nil {
				t.Fatal(err)
			}
			near(t, "fake loss", r.FakeLoss*elements/float64(c.Batch), c.Fake.LossScaled, 1e-4)
			grad, _ = tr.Gradients()
			compareGradients(t, nets.Fake.(network), grad, c.Fake.Gradients)

			// The loss alone, on the stored outputs; then with a picture that the teacher makes NaN of.
			y, a, b := images(g, "x_g").Data, images(g, "gen.y_real").Data, images(g, "gen.y_fake").Data
			n := len(y)
			da, db, dy, loss := make([]float32, n), make([]float32, n), make([]float32, n), make([]float64, c.Batch)
			distill.GeneratorSeed(da, db, dy, loss, y, a, b, c.Alpha, 1)
			sums := perImage(want["gen.loss"], c.Batch)
			golden.Close(t, "generator loss per picture", loss, sums, 1e-4*golden.MaxAbs(sums))
			for i := range a[:n/c.Batch] {
				a[n/c.Batch+i] = float32(math.NaN())
			}
			if dropped := distill.GeneratorSeed(da, db, dy, loss, y, a, b, c.Alpha, 1); dropped != 1 {
				t.Errorf("%d pictures were left out, want 1", dropped)
			}
			var left float64
			for _, l := range loss {
				left += l
			}
			near(t, "loss without the bad picture", left*100/float64(c.Batch), c.Nan.LossScaled, 1e-4)
		})
	}
}

// compareGradients holds gradients of n's weights to norms and dot products with sin(0.37·i + 0.1).
func compareGradients(t *testing.T, n network, grad [][]float32, want map[string]*[2]float64) {
	t.Helper()
	carrier := n.Net.Clone() // turns gradients into the layout of files
	i := 0
	for _, w := range carrier.Params() {
		copy(w.Data, grad[i])
		i++
	}
	files, err := carrier.Export(checkpoint.F32)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, f := range files {
		w := want["model."+name]
		if w == nil {
			continue // a constant, or a weight of the augmentation that no gradient reaches
		}
		seen++
		data, err := f.Float32()
		if err != nil {
			t.Fatal(err)
		}
		var l2, dot float64
		for i, v := range data {
			l2 += float64(v) * float64(v)
			dot += float64(v) * math.Sin(0.37*float64(i)+0.1)
		}
		l2 = math.Sqrt(l2)
		if tol := 5e-4 * w[0]; !(math.Abs(l2-w[0]) <= tol && math.Abs(dot-w[1]) <= tol*math.Sqrt(float64(len(data)))) {
			t.Errorf("gradient of %s: L2 %.9g, dot %.9g, want %.9g, %.9g", name, l2, dot, w[0], w[1])
		}
	}
	if seen < 50 {
		t.Errorf("only %d gradients were compared", seen)
	}
}

// TestGoldenRun repeats six iterations of SiD's loop with its noise. Tolerances are the case's, from its sensitivity to rounding.
func TestGoldenRun(t *testing.T) {
	g := golden.Open(t, "edm/distil_run")
	var c struct {
		Alpha, TMax float64
		SigmaInit   float64 `json:"sigma_init"`
		Batch       int
		Adam        struct{ Fake, Generator struct{ LR float64 } }
		EMAHalfLife float64 `json:"ema_halflife_kimg"`
		EMARampup   float64 `json:"ema_rampup_ratio"`
		Rows        []struct {
			FakeLoss float64 `json:"fake_loss"`
			GenLoss  float64 `json:"gen_loss"`
			EMABeta  float64 `json:"ema_beta"`
		}
		End map[string]map[string][2]float64
	}
	g.JSON("case.json", &c)
	nets := goldenNetworks(t, g, 0)
	teacher := values(nets.Teacher.(network))
	o := distill.DefaultOptions()
	o.Batch, o.Microbatch, o.Alpha, o.TMax, o.SigmaInit = c.Batch, 2, c.Alpha, c.TMax, c.SigmaInit
	o.EMAHalfLife, o.EMARampup = int64(math.Round(c.EMAHalfLife*1000)), c.EMARampup
	tr, err := distill.NewTrainer(o, nets)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range c.Rows {
		draws := func(who string) *distill.Draws {
			at := fmt.Sprintf("step%d.%s.", i, who)
			d := &distill.Draws{Latent: []*tensor.Tensor{images(g, at+"z")}, Noise: images(g, at+"noise")}
			if who == "fake" {
				normals, _ := g.Float64(at + "randn_sigma")
				for _, n := range normals {
					d.Sigma = append(d.Sigma, math.Exp(o.PMean+o.PStd*n))
				}
				return d
			}
			us, _ := g.Float64(at + "rand_u")
			for _, u := range us {
				d.Sigma = append(d.Sigma, o.Level(u*o.TMax/1000))
			}
			return d
		}
		r := distill.StepResult{FakeLR: c.Adam.Fake.LR, LR: c.Adam.Generator.LR}
		r.EMABeta = train.EMABeta(o.Batch, o.EMAHalfLife, o.EMARampup, int64(i*c.Batch))
		near(t, "EMA beta", r.EMABeta, row.EMABeta, 1e-12)
		if err := tr.FakeUpdate(draws("fake"), &r); err != nil {
			t.Fatal(err)
		}
		if err := tr.GeneratorUpdate(draws("gen"), &r); err != nil {
			t.Fatal(err)
		}
		per := 64.0 // numbers in a picture
		near(t, fmt.Sprintf("step %d fake loss", i), r.FakeLoss*per, row.FakeLoss, 7.5e-4)
		near(t, fmt.Sprintf("step %d generator loss", i), r.Loss*per*o.LossScale, row.GenLoss, 7.5e-4)
	}
	for who, n := range map[string]network{"fake": nets.Fake.(network), "generator": nets.Generator.(network), "ema": nets.EMA.(network)} {
		want := c.End[who]
		if len(want) < 50 {
			t.Fatalf("the case has %d sums of %q", len(want), who)
		}
		files, err := n.Net.Export(checkpoint.F32)
		if err != nil {
			t.Fatal(err)
		}
		for name, f := range files {
			w, ok := want["model."+name]
			if !ok {
				continue
			}
			data, _ := f.Float32()
			var l2 float64
			for _, v := range data {
				l2 += float64(v) * float64(v)
			}
			tol := 4e-5
			if strings.HasSuffix(name, "qkv.bias") {
				tol = 1e-2 // the gradient of k's bias is rounding noise, which Adam blows up
			}
			near(t, who+" "+name, math.Sqrt(l2), w[1], tol)
		}
	}
	same(t, "the teacher", values(nets.Teacher.(network)), teacher)

	x := images(g, "step0.gen.z")
	for i := range x.Data {
		x.Data[i] *= float32(o.SigmaInit)
	}
	got := nets.EMA.Denoise(nil, x, []float64{2.5, 2.5, 2.5, 2.5}, nil, nil)
	want := images(g, "end.ema_image").Data
	golden.Close(t, "the student's picture", got.Data, want, 1e-3*golden.MaxAbs(want))
}
