package unet_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/sampler"
	"diffuse/tensor"
	"diffuse/unet"
)

// TestGoldenUNet2D holds networks of diffusers to their outputs, plain and with scaled skips, to 1e-5 of the largest, which is
// the tolerance that came with the numbers (the library's own float32 noise is 1e-6 of it), and to the gradient of the input, 1e-4 of its largest.
func TestGoldenUNet2D(t *testing.T) {
	for _, name := range []string{"net_ddpm", "net_class", "net_adm", "store_bin", "store_sharded"} {
		c := golden.Open(t, "diffusers/"+name)
		if name == "store_sharded" {
			c.Tensors = golden.Open(t, "diffusers/store_bin").Tensors // the same network
		}
		m, _, err := unet.LoadUNet2D(c.Dir)
		if err != nil {
			t.Error(err)
			continue
		}
		in := unet.Inputs{}
		if c.Has("labels") {
			v, _ := c.Float64("labels")
			for _, l := range v {
				in.Labels = append(in.Labels, int(l))
			}
		}
		x := image(c, "x")
		for i := 0; c.Has("out" + string(rune('0'+i))); i++ {
			run := string(rune('0' + i))
			want, _ := c.Float64("out" + run)
			got := m.Net.Forward(nil, x, steps(c, "t"+run, x.Shape[0]), in)
			golden.Close(t, name+" run "+run, nchw(got), want, 1e-5*golden.MaxAbs(want))
		}
		if c.Has("rho") {
			checkUNet2DRun(t, c, m.Net, x, in)
		}
	}
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

// checkUNet2DRun compares scaled skips and the gradient of the input, both of run 2.
func checkUNet2DRun(t *testing.T, c *golden.Case, net *unet.Net, x *tensor.Tensor, in unet.Inputs) {
	t.Helper()
	rho, _ := c.Float64("rho")
	at := steps(c, "t2", x.Shape[0])
	want, _ := c.Float64("out_skip")
	golden.Close(t, c.Dir+": scaled skips", nchw(net.WithSkips(narrow(rho)).Forward(nil, x, at, in)), want, 1e-5*golden.MaxAbs(want))

	tape := tensor.NewTape(x)
	y := net.Forward(tape, x, at, in)
	tape.Seed(y, image(c, "g").Data)
	tape.Backward()
	want, _ = c.Float64("grad_x")
	golden.Close(t, c.Dir+": grad_x", nchw(tensor.From(tape.Grad(x), x.Shape...)), want, 1e-4*golden.MaxAbs(want))
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
	} {
		cfg, err := unet.ParseUNet2D([]byte(c.config))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tensors, params := unet.Count(cfg)
		if tensors += 4 * attentions(cfg); tensors != c.tensors || params != c.params { // query, key and value are one tensor here
			t.Errorf("%s: %d tensors of %d parameters, want %d of %d", name, tensors, params, c.tensors, c.params)
		}
	}
}

// attentions counts the blocks with attention.
func attentions(c unet.Config) int { return 1 + len(c.AttnResolutions)*(2*c.NumBlocks+1) }

// TestParseUNet2DRefuses: what is not built in is named.
func TestParseUNet2DRefuses(t *testing.T) {
	const head = `{"_class_name":"UNet2DModel","sample_size":16,"block_out_channels":[32,64],"down_block_types":["DownBlock2D","DownBlock2D"],"up_block_types":["UpBlock2D","UpBlock2D"]`
	if _, err := unet.ParseUNet2D([]byte(head + "}")); err != nil {
		t.Fatal(err)
	}
	for want, more := range map[string]string{
		`"UNet2DConditionModel"`:       `"_class_name":"UNet2DConditionModel"`,
		`"SkipDownBlock2D"`:            `"down_block_types":["SkipDownBlock2D","DownBlock2D"]`,
		"attention on one side":        `"down_block_types":["AttnDownBlock2D","DownBlock2D"]`,
		"no multiples of the first":    `"block_out_channels":[32,48]`,
		"2 widths, 1 blocks down":      `"down_block_types":["DownBlock2D"]`,
		"center_input_sample":          `"center_input_sample":true`,
		"type fourier":                 `"time_embedding_type":"fourier"`,
		"or none":                      `"mid_block_type":null`,
		"mid_block_scale_factor 1.5":   `"mid_block_scale_factor":1.5`,
		"activation relu":              `"act_fn":"relu"`,
		"norm_num_groups null":         `"norm_num_groups":null`,
		"whose attention has no norm":  `"resnet_time_scale_shift":"scale_shift"`,
		"class embedding of type time": `"class_embed_type":"timestep"`,
		"sample_size [8 16]":           `"sample_size":[8,16]`,
		"sample_size <nil>":            `"sample_size":null`,
		"in some blocks and by":        `"down_block_types":["ResnetDownsampleBlock2D","DownBlock2D"]`,
		"downsample_padding 2":         `"downsample_padding":2`,
		"divide into 24":               `"norm_num_groups":24`,
		"divide into heads of 12":      `"attention_head_dim":12`,
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
	if math.Abs(d.Precond.SigmaMax-157.4) > 0.1 {
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
	for _, name := range []string{"net_ddpm", "net_class", "net_adm"} {
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
