package unet_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/sampler"
	"diffuse/tensor"
	"diffuse/unet"
)

// unet2DNets are the folders of networks whose outputs are known.
var unet2DNets = []string{"net_ddpm", "net_class", "net_adm", "net_adm_nonorm", "net_train", "net_nonsquare", "net_misc", "net_ncsnpp", "net_odd_learned",
	"net_odd_nomid", "store_bin", "store_sharded"}

// TestGoldenUNet2D holds networks of diffusers to their outputs, plain and with scaled skips, to 1e-5 of the largest, which is the
// tolerance that came with the numbers (the library's own float32 noise is 1e-6 of it), and to the gradients of their input and of every
// parameter, 1e-4 of the largest. Those of the network with Fourier features were computed in float64 behind the library's float32 angles, which
// reach 1e3: the library's own float32 gradients are as far as 3e-4 from them, ours 3e-5.
func TestGoldenUNet2D(t *testing.T) {
	for _, name := range unet2DNets {
		t.Run(name, func(t *testing.T) {
			c := golden.Open(t, "diffusers/"+name)
			dir := c.Dir
			switch name {
			case "store_sharded":
				c.Tensors = golden.Open(t, "diffusers/store_bin").Tensors // the same network
			case "net_nonsquare":
				dir = golden.Path(t, "diffusers", "net_train")
			}
			m, _, err := unet.LoadUNet2D(dir)
			if err != nil {
				t.Fatal(err)
			}
			x, in := image(c, "x"), unet2DLabels(c, m.Net.Config)
			for i := 0; c.Has(fmt.Sprint("out", i)); i++ {
				want, _ := c.Float64(fmt.Sprint("out", i))
				got := m.Net.Forward(nil, x, steps(c, fmt.Sprint("t", i), x.Shape[0]), in)
				golden.Close(t, fmt.Sprint("run ", i), nchw(got), want, 1e-5*golden.MaxAbs(want))
			}
			if c.Has("rho") {
				checkUNet2DRun(t, c, m.Net, x, in)
			}
		})
	}
}

// unet2DLabels reads classes, or the vectors that take their place.
func unet2DLabels(c *golden.Case, cfg unet.Config) (in unet.Inputs) {
	switch {
	case !c.Has("labels"):
	case cfg.UNet2D.ClassEmbedding != "":
		in.LabelVectors = vectors(c, "labels")
	default:
		v, _ := c.Float64("labels")
		for _, l := range v {
			in.Labels = append(in.Labels, int(l))
		}
	}
	return in
}

// steps returns one step per picture.
func steps(c *golden.Case, name string, n int) []float32 {
	v, _ := c.Float64(name)
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(v[i%len(v)])
	}
	return out
}

// checkUNet2DRun compares scaled skips and the gradients of one run, with scaled skips and without.
func checkUNet2DRun(t *testing.T, c *golden.Case, net *unet.Net, x *tensor.Tensor, in unet.Inputs) {
	t.Helper()
	var j struct {
		Run    int      `json:"grad_run"`
		Params []string `json:"gradstat_params"`
	}
	c.JSON("case.json", &j)
	const tol = 1e-4
	rho, _ := c.Float64("rho")
	at := steps(c, fmt.Sprint("t", j.Run), x.Shape[0])
	wrt := []*tensor.Tensor{x}
	for _, w := range net.Params() {
		wrt = append(wrt, w)
	}
	for what, n := range map[string]*unet.Net{"": net, "skip_": net.WithSkips(narrow(rho))} {
		tape := tensor.NewTape(wrt...)
		y := n.Forward(tape, x, at, in)
		if what != "" {
			want, _ := c.Float64("out_skip")
			golden.Close(t, "scaled skips", nchw(y), want, 1e-5*golden.MaxAbs(want))
		}
		tape.Seed(y, image(c, "g").Data)
		tape.Backward()
		want, _ := c.Float64(what + "grad_x")
		golden.Close(t, what+"grad_x", nchw(tensor.From(tape.Grad(x), x.Shape...)), want, tol*golden.MaxAbs(want))
		if what == "" {
			checkGradstat(t, c, net, tape, j.Params, tol)
		}
	}
}

// checkGradstat compares norm and projection of every parameter's gradient under the library's name. Some are nothing but rounding, held to
// 1e-5 of the largest norm: softmax ignores the bias of keys, and a norm with groups of one channel what was added to the channel.
func checkGradstat(t *testing.T, c *golden.Case, net *unet.Net, tape *tensor.Tape, names []string, tol float64) {
	t.Helper()
	gradients := net.Clone()
	from := map[string]*tensor.Tensor{}
	for name, w := range net.Params() {
		from[name] = w
	}
	for name, w := range gradients.Params() {
		copy(w.Data, tape.Grad(from[name]))
	}
	files, err := gradients.ExportUNet2D(checkpoint.F32)
	if err != nil {
		t.Fatal(err)
	}
	stat, _ := c.Float64("gradstat")
	largest := golden.MaxAbs(stat)
	for i, name := range names {
		if files[name] == nil {
			t.Errorf("no gradient of %s", name)
			continue
		}
		g, err := files[name].Float64()
		if err != nil {
			t.Fatal(err)
		}
		var l2, dot float64
		for k, v := range g {
			l2 += v * v
			dot += v * math.Sin(0.37*float64(k)+1)
		}
		want, allowed := stat[2*i:2*i+2], tol*stat[2*i]
		if strings.HasSuffix(name, ".to_k.bias") || want[0] < 1e-12*largest {
			want, allowed = []float64{0, 0}, 1e-5*largest
		}
		golden.Close(t, "norm and projection of the gradient of "+name, []float64{math.Sqrt(l2), dot}, want, allowed)
		delete(files, name)
	}
	delete(files, "time_proj.weight") // of Fourier features: never trained
	if len(files) > 0 {
		t.Errorf("%d parameters without a recorded gradient, such as %s", len(files), slices.Sorted(maps.Keys(files))[0])
	}
}

// TestUNet2DFirstRelease: the keys of 2022 give the same network.
func TestUNet2DFirstRelease(t *testing.T) {
	var json [2]string
	for i, name := range []string{"config.json", "config_first_release.json"} {
		b, err := os.ReadFile(golden.Path(t, "diffusers", "net_ddpm", name))
		if err != nil {
			t.Fatal(err)
		}
		c, err := unet.ParseUNet2D(b)
		if err != nil {
			t.Fatal(err)
		}
		json[i] = c.JSON()
	}
	if json[0] != json[1] {
		t.Errorf("%s\n%s", json[0], json[1])
	}
}

// TestUNet2DOldNames: attention under its first names, and stored as convolutions of one pixel.
func TestUNet2DOldNames(t *testing.T) {
	source := golden.Path(t, "diffusers", "net_ddpm")
	f, err := checkpoint.OpenWeightFolder(source, "diffusion_pytorch_model")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := strings.NewReplacer("to_q", "query", "to_k", "key", "to_v", "value", "to_out.0", "proj_attn")
	tensors := map[string]*checkpoint.Tensor{}
	for name, x := range f.Tensors {
		if renamed := old.Replace(name); renamed != name && len(x.Shape) == 2 {
			y := *x
			y.Shape = []int{x.Shape[0], x.Shape[1], 1, 1}
			x = &y
		}
		tensors[old.Replace(name)] = x
	}
	dir := t.TempDir()
	if err := checkpoint.WriteFile(filepath.Join(dir, "diffusion_pytorch_model.safetensors"), &checkpoint.File{Tensors: tensors}); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(source, "config_first_release.json"), filepath.Join(dir, "config.json"))
	m, _, err := unet.LoadUNet2D(dir)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := unet.LoadUNet2D(source)
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.New(1, 16, 16, 3)
	x.Data[100] = 1
	golden.Close(t, "output", m.Net.Forward(nil, x, []float32{5}, unet.Inputs{}).Data, want.Net.Forward(nil, x, []float32{5}, unet.Inputs{}).Data, 0)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPublishedUNet2D builds the networks of the hub from their settings and counts their parameters.
func TestPublishedUNet2D(t *testing.T) {
	for name, c := range map[string]struct {
		config          string
		tensors, params int
	}{
		"google/ddpm-cifar10-32": {`{"_class_name":"UNet2DModel","sample_size":32,"attention_head_dim":null,"downsample_padding":0,"flip_sin_to_cos":false,"freq_shift":1,
			"norm_eps":1e-6,"block_out_channels":[128,256,256,256],"down_block_types":["DownBlock2D","AttnDownBlock2D","DownBlock2D","DownBlock2D"],
			"up_block_types":["UpBlock2D","UpBlock2D","AttnUpBlock2D","UpBlock2D"]}`, 328, 35_746_307},
		"google/ddpm-celebahq-256": {`{"_class_name":"UNet2DModel","sample_size":256,"attention_head_dim":null,"downsample_padding":0,"flip_sin_to_cos":false,"freq_shift":1,
			"norm_eps":1e-6,"block_out_channels":[128,128,256,256,512,512],
			"down_block_types":["DownBlock2D","DownBlock2D","DownBlock2D","DownBlock2D","AttnDownBlock2D","DownBlock2D"],
			"up_block_types":["UpBlock2D","AttnUpBlock2D","UpBlock2D","UpBlock2D","UpBlock2D","UpBlock2D"]}`, 450, 113_673_219},
		"every default": {`{"_class_name":"UNet2DModel","sample_size":64}`, 432, 274_056_163},
		"openai/diffusers-cd_imagenet64": {`{"_class_name":"UNet2DModel","sample_size":64,"attention_head_dim":64,"attn_norm_num_groups":32,"layers_per_block":3,
			"block_out_channels":[192,384,576,768],"resnet_time_scale_shift":"scale_shift","downsample_type":"resnet","upsample_type":"resnet","num_class_embeds":1000,
			"down_block_types":["ResnetDownsampleBlock2D","AttnDownBlock2D","AttnDownBlock2D","AttnDownBlock2D"],
			"up_block_types":["AttnUpBlock2D","AttnUpBlock2D","AttnUpBlock2D","ResnetUpsampleBlock2D"]}`, 629, 295_899_267},
		"the little NCSN++ of the library's own tests": {`{"_class_name":"UNet2DModel","sample_size":32,"layers_per_block":1,"norm_eps":1e-6,"norm_num_groups":null,
			"block_out_channels":[32,64,64,64],"time_embedding_type":"fourier","mid_block_scale_factor":1.4142135623730951,
			"down_block_types":["SkipDownBlock2D","AttnSkipDownBlock2D","SkipDownBlock2D","SkipDownBlock2D"],
			"up_block_types":["SkipUpBlock2D","SkipUpBlock2D","AttnSkipUpBlock2D","SkipUpBlock2D"]}`, 289, 1_781_548},
	} {
		cfg, err := unet.ParseUNet2D([]byte(c.config))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		shapes := cfg.UNet2DShapes()
		params := 0
		for _, shape := range shapes {
			n := 1
			for _, d := range shape {
				n *= d
			}
			params += n
		}
		if len(shapes) != c.tensors || params != c.params {
			t.Errorf("%s: %d tensors of %d parameters, want %d of %d", name, len(shapes), params, c.tensors, c.params)
		}
	}
}

// TestUNet2DResampling: how pictures are halved says nothing of how they are doubled.
func TestUNet2DResampling(t *testing.T) {
	c, err := unet.ParseUNet2D([]byte(`{"_class_name":"UNet2DModel","upsample_type":"resnet"}`))
	if err != nil {
		t.Fatal(err)
	}
	if u := c.UNet2D; u.DownType != "conv" || u.UpType != "resnet" {
		t.Errorf("down %q, up %q", u.DownType, u.UpType)
	}
}

// TestParseUNet2DRefuses: what is not built in is named.
func TestParseUNet2DRefuses(t *testing.T) {
	const head = `{"_class_name":"UNet2DModel","sample_size":16,"block_out_channels":[32,64],"down_block_types":["DownBlock2D","DownBlock2D"],"up_block_types":["UpBlock2D","UpBlock2D"]`
	if _, err := unet.ParseUNet2D([]byte(head + "}")); err != nil {
		t.Fatal(err)
	}
	for want, more := range map[string]string{
		`"UNet2DConditionModel"`:       `"_class_name":"UNet2DConditionModel"`,
		`"CrossAttnDownBlock2D"`:       `"down_block_types":["CrossAttnDownBlock2D","DownBlock2D"]`,
		`"KUpBlock2D"`:                 `"up_block_types":["UpBlock2D","KUpBlock2D"]`,
		"2 widths, 1 blocks down":      `"down_block_types":["DownBlock2D"]`,
		"SkipDownBlock2D after DownBl": `"block_out_channels":[32,64,64],"down_block_types":["DownBlock2D","SkipDownBlock2D","DownBlock2D"],"up_block_types":["UpBlock2D","UpBlock2D","UpBlock2D"]`,
		"UpBlock2D after a Skip block": `"up_block_types":["SkipUpBlock2D","UpBlock2D"]`,
		"pictures of 3 channels":       `"in_channels":1,"out_channels":1,"down_block_types":["SkipDownBlock2D","DownBlock2D"]`,
		"an output of 3 channels":      `"out_channels":6,"up_block_types":["SkipUpBlock2D","SkipUpBlock2D"]`,
		"only Skip blocks can do":      `"norm_num_groups":null`,
		`act_fn "tanh"`:                `"act_fn":"tanh"`,
		`downsample_type "pool"`:       `"downsample_type":"pool"`,
		"resnet_time_scale_shift spat": `"resnet_time_scale_shift":"spatial"`,
		"class_embed_type \"simple":    `"class_embed_type":"simple","num_class_embeds":3`,
		`embedding_type "rotary"`:      `"time_embedding_type":"rotary"`,
		"num_train_timesteps is 0":     `"time_embedding_type":"learned"`,
		"sample_size [8 16 4]":         `"sample_size":[8,16,4]`,
		"sample_size 16.5":             `"sample_size":16.5`,
		"15×15 do not fit":             `"sample_size":15`,
		"downsample_padding is 2":      `"downsample_padding":2`,
		"divide into 24":               `"norm_num_groups":24`,
		"less than an attention head":  `"attention_head_dim":80`,
		"freq_shift is 16":             `"freq_shift":16`,
		"cannot unmarshal":             `"in_channels":"x"`,
	} {
		if c, err := unet.ParseUNet2D([]byte(head + "," + more + "}")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v and %v, want an error that says %q", more, c.JSON(), err, want)
		}
	}
}

// TestUNet2DModelFile: a network of diffusers survives our own model file.
func TestUNet2DModelFile(t *testing.T) {
	m, s, err := unet.LoadUNet2D(golden.Path(t, "diffusers", "net_adm"))
	if err != nil || s.Class != "" {
		t.Fatal(err, s)
	}
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path, checkpoint.F32); err != nil {
		t.Fatal(err)
	}
	again, err := unet.LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := again.Denoiser([]int{1})
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Denoiser([]int{1})
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.New(1, 16, 16, 3)
	x.Data[7] = 3
	golden.Close(t, "D", d.Denoise(nil, x, []float64{1}, unet.Inputs{}).Data, want.Denoise(nil, x, []float64{1}, unet.Inputs{}).Data, 0)
	if !(math.Abs(d.Precond.SigmaMax-157.4) <= 0.1) {
		t.Errorf("largest level %g", d.Precond.SigmaMax)
	}
}

// TestGoldenUNet2DTrajectories samples with EulerDiscreteScheduler's noise levels: with a network that predicts noise, between steps of its training,
// and with one that predicts v. The states agree to 1e-4 of the largest, the tolerance that came with the numbers.
func TestGoldenUNet2DTrajectories(t *testing.T) {
	for _, name := range []string{"net_sched_eps", "net_sched_v"} {
		c := golden.Open(t, "diffusers/"+name)
		m, s, err := unet.LoadUNet2D(c.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if s.Class != "EulerDiscreteScheduler" {
			t.Errorf("%s: scheduler %q", name, s.Class)
		}
		d, err := m.Denoiser(nil)
		if err != nil {
			t.Fatal(err)
		}
		sigmas, _ := c.Float64("sigmas")
		times, _ := c.Float64("timesteps")
		for i, want := range times {
			_, _, _, label := d.Precond.Scaling(sigmas[i])
			golden.Close(t, "timestep", []float64{label}, []float64{want}, 2e-3) // float32 levels, 1e-6 of which is as much as that
		}
		states, shape := c.Float64("latents")
		per := shape[1] * shape[2] * shape[3] * shape[4]
		x := append([]float64(nil), states[:per]...)
		for s := range sampler.DDIM(d.At, x, sigmas, sampler.DefaultOptions()) {
			want := states[s.Step*per:][:per]
			golden.Close(t, name+": state", s.X, want, 1e-4*golden.MaxAbs(want))
		}
	}
}

// FuzzParseUNet2D: what is accepted can be built.
func FuzzParseUNet2D(f *testing.F) {
	for _, name := range []string{"net_ddpm", "net_class", "net_adm", "net_ncsnpp", "net_odd_learned", "net_odd_nomid"} {
		b, err := os.ReadFile(golden.Path(f, "diffusers", name, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := unet.ParseUNet2D(b)
		if err != nil {
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if n, _ := unet.Count(c); n == 0 {
			t.Fatal("a network without parameters")
		}
	})
}
