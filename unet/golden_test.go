package unet_test

import (
	"encoding/json"
	"flag"
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/internal/golden"
	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/unet"
)

// edmConfig translates EDM's keyword arguments.
func edmConfig(t testing.TB, c *golden.Case) (unet.Config, string) {
	t.Helper()
	var j struct {
		ClassName string                     `json:"class_name"`
		Kwargs    map[string]json.RawMessage `json:"init_kwargs"`
	}
	c.JSON("config.json", &j)
	var kind string
	json.Unmarshal(j.Kwargs["model_type"], &kind)
	types := map[string]string{"SongUNet": "song", "DhariwalUNet": "adm"}
	cfg := unet.DefaultConfig(types[kind])
	json.Unmarshal(j.Kwargs["img_channels"], &cfg.InChannels)
	cfg.OutChannels = cfg.InChannels
	delete(j.Kwargs, "model_type")
	delete(j.Kwargs, "img_channels")
	b, _ := json.Marshal(j.Kwargs)
	if err := json.Unmarshal(b, &cfg); err != nil {
		t.Fatal(err)
	}
	precond := strings.ToLower(strings.TrimSuffix(j.ClassName, "Precond"))
	if precond == "iddpm" {
		cfg.OutChannels *= 2
	}
	return cfg, precond
}

// loadEDM builds the network of a case.
func loadEDM(t testing.TB, c *golden.Case) unet.Denoiser {
	t.Helper()
	cfg, precond := edmConfig(t, c)
	net, err := unet.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := net.Import(c.Weights()); err != nil {
		t.Fatal(err)
	}
	p, err := schedule.PrecondByName(precond, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	return unet.Denoiser{Net: net, Precond: p}
}

// image returns a recorded N×C×H×W tensor as N×H×W×C.
func image(c *golden.Case, name string) *tensor.Tensor {
	v, s := c.Float64(name)
	x := tensor.New(s[0], s[2], s[3], s[1])
	tensor.FromNCHW(x, v)
	return x
}

func nchw(x *tensor.Tensor) []float64 {
	y := make([]float64, x.Len())
	tensor.ToNCHW(y, x)
	return y
}

// vectors returns a recorded N×D tensor, nil if it is absent.
func vectors(c *golden.Case, name string) *tensor.Tensor {
	if !c.Has(name) {
		return nil
	}
	v, s := c.Float64(name)
	x := tensor.New(s...)
	for i := range v {
		x.Data[i] = float32(v[i])
	}
	return x
}

var edmNets = []string{"net_ddpmpp", "net_ddpmpp_cond", "net_ncsnpp", "net_adm", "net_adm_attn", "net_adm_heads",
	"net_vp", "net_ve", "net_iddpm", "net_song_skip"}

// TestGoldenNetworks holds forward passes, skip-tuned ones, and gradients with
// respect to input and parameters to EDM's own: F to 1e-5·(1 + max|F|), D to
// 1e-5·max(1, max|D|), a tenth of the tolerances that came with the numbers
// (float32 differs from float64 by 1e-6 to 4e-6); gradients to theirs, 2e-4
// of the tensor's largest (L2 and projection: of its L2).
func TestGoldenNetworks(t *testing.T) {
	for _, name := range edmNets {
		t.Run(name, func(t *testing.T) { checkNetwork(t, golden.Open(t, "edm/"+name)) })
	}
}

var full = flag.Bool("full", false, "also run networks of full size: 56 and 296 million parameters, several GB of memory")

// TestGoldenFullSize does the same with EDM's own networks for CIFAR-10 and,
// forward only, ImageNet-64. `make check` runs it.
func TestGoldenFullSize(t *testing.T) {
	if !*full {
		t.Skip("takes a minute and several GB: go test -run FullSize ./unet -full")
	}
	for _, name := range []string{"full_cifar_vp", "full_adm64"} {
		t.Run(name, func(t *testing.T) {
			c := golden.Open(t, "edm/"+name)
			var j struct{ Parameters int }
			c.JSON("case.json", &j)
			if n := checkNetwork(t, c); n != j.Parameters {
				t.Errorf("%d parameters, want %d", n, j.Parameters)
			}
		})
	}
}

// checkNetwork holds a network to all that its case recorded and returns its
// number of parameters.
func checkNetwork(t *testing.T, c *golden.Case) (params int) {
	t.Helper()
	d := loadEDM(t, c)
	for _, p := range d.Params() {
		params += p.Len()
	}
	x := image(c, "x")
	sigma, _ := c.Float64("sigma")
	in := unet.Inputs{LabelVectors: vectors(c, "class_labels"), Augment: vectors(c, "augment_labels")}

	noise, _ := c.Float64("c_noise")
	want, _ := c.Float64("F")
	if c.Has("F_input") {
		f := d.Forward(nil, image(c, "F_input"), narrow(noise), in)
		golden.Close(t, "F", nchw(f), want, 1e-5*(1+golden.MaxAbs(want)))
	}

	closeD := func(what string, got *tensor.Tensor) {
		t.Helper()
		want, _ := c.Float64(what)
		golden.Close(t, what, nchw(got), want, 1e-5*max(1, golden.MaxAbs(want)))
	}
	y, raw := d.Raw(x, sigma, in)
	closeD("D", y)
	golden.Close(t, "raw F", nchw(raw), want, 1e-5*(1+golden.MaxAbs(want)))
	if c.Has("D_class_labels_none") {
		closeD("D_class_labels_none", d.Denoise(nil, x, sigma, unet.Inputs{Augment: in.Augment}))
	}
	if c.Has("D_no_augment_labels") {
		closeD("D_no_augment_labels", d.Denoise(nil, x, sigma, unet.Inputs{LabelVectors: in.LabelVectors}))
	}
	checkSkips(t, c, d, x, sigma, in)
	if c.Has("grad_output") {
		checkGradients(t, c, d, x, sigma, in)
	}
	return params
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func checkSkips(t *testing.T, c *golden.Case, d unet.Denoiser, x *tensor.Tensor, sigma []float64, in unet.Inputs) {
	t.Helper()
	var j struct {
		SkipTuning struct {
			K   int
			Rho []float64
		} `json:"skip_tuning"`
	}
	c.JSON("case.json", &j)
	if j.SkipTuning.K != d.Skips() || len(j.SkipTuning.Rho) != d.Skips() {
		t.Fatalf("%d skips, want %d", d.Skips(), j.SkipTuning.K)
	}
	plain := d.Denoise(nil, x, sigma, in)
	tuned := d
	tuned.Net = d.WithSkips(narrow(j.SkipTuning.Rho))
	y, f := tuned.Raw(x, sigma, in)
	want, _ := c.Float64("skip_tuned.F")
	golden.Close(t, "skip-tuned F", nchw(f), want, 1e-5*(1+golden.MaxAbs(want)))
	if c.Has("skip_tuned.D") {
		want, _ = c.Float64("skip_tuned.D")
		golden.Close(t, "skip-tuned D", nchw(y), want, 1e-5*max(1, golden.MaxAbs(want)))
	}

	ones := slices.Repeat([]float32{1}, d.Skips())
	tuned.Net = d.WithSkips(ones)
	golden.Close(t, "D with every rho 1", nchw(tuned.Denoise(nil, x, sigma, in)), nchw(plain), 0)
	golden.Close(t, "D of the original after WithSkips", nchw(d.Denoise(nil, x, sigma, in)), nchw(plain), 0)
}

func checkGradients(t *testing.T, c *golden.Case, d unet.Denoiser, x *tensor.Tensor, sigma []float64, in unet.Inputs) {
	t.Helper()
	wrt := []*tensor.Tensor{x}
	for _, p := range d.Params() {
		wrt = append(wrt, p)
	}
	tape := tensor.NewTape(wrt...)
	y := d.Denoise(tape, x, sigma, in)
	tape.Seed(y, image(c, "grad_output").Data)
	tape.Backward()

	want, _ := c.Float64("grad.x")
	golden.Close(t, "grad.x", nchw(tensor.From(tape.Grad(x), x.Shape...)), want, 2e-4*golden.MaxAbs(want))

	var j struct {
		Gradients struct {
			Direct map[string]*[2]float64 `json:"l2_and_dot"`
		}
	}
	c.JSON("case.json", &j)
	seen := 0
	for name, p := range d.Params() {
		ref, listed := j.Gradients.Direct["model."+name]
		if !listed {
			t.Errorf("no recorded gradient for %s", name)
			continue
		}
		seen++
		g := fileOrder(tensor.From(tape.Grad(p), p.Shape...))
		if ref == nil { // not used by the network: no gradient
			golden.Close(t, name, g, make([]float64, len(g)), 0)
			continue
		}
		var l2, dot float64
		for i, v := range g {
			l2 += float64(v) * float64(v)
			dot += float64(v) * math.Sin(0.37*float64(i)+0.1)
		}
		golden.Close(t, "L2 and projection of grad."+name, []float64{math.Sqrt(l2), dot}, ref[:], 2e-4*ref[0]+1e-6)
		if c.Has("grad.model." + name) {
			want, _ := c.Float64("grad.model." + name)
			golden.Close(t, "grad."+name, g, want, 2e-4*golden.MaxAbs(want)+1e-7)
		}
	}
	if seen != len(j.Gradients.Direct) {
		t.Errorf("%d parameters, %d recorded", seen, len(j.Gradients.Direct))
	}
}

// fileOrder returns x in the element order of files: output channel first.
func fileOrder(x *tensor.Tensor) []float32 {
	s := x.Shape
	if len(s) < 2 {
		return x.Data
	}
	taps, in, out := 1, s[len(s)-2], s[len(s)-1]
	if len(s) == 4 {
		taps = s[0] * s[1]
	}
	y := make([]float32, x.Len())
	for k := range taps {
		for i := range in {
			for o := range out {
				y[(o*in+i)*taps+k] = x.Data[(k*in+i)*out+o]
			}
		}
	}
	return y
}
