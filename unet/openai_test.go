package unet_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/unet"
)

// openAICase is a network that OpenAI's own programs have evaluated: weights by formula, flags, input and output.
type openAICase struct {
	*golden.Case
	flags string
	path  string // of a .pt file
}

func openOpenAI(t testing.TB, name string) *openAICase {
	t.Helper()
	f, err := checkpoint.Open(golden.Path(t, "openai", name, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := &openAICase{Case: golden.Open(t, "openai/"+name), flags: f.Meta["flags"], path: filepath.Join(t.TempDir(), name+".pt")}
	shapes := map[string][]int{}
	if err := json.Unmarshal([]byte(f.Meta["shapes"]), &shapes); err != nil {
		t.Fatal(err)
	}
	weights := map[string]*checkpoint.Tensor{}
	for k, name := range slices.Sorted(maps.Keys(shapes)) {
		weights[name] = openAIFormula(k, name, shapes[name])
	}
	golden.WriteTorch(t, c.path, weights)
	return c
}

// openAIFormula is the k-th tensor: sines, in a bed that keeps activations of order one.
func openAIFormula(k int, name string, shape []int) *checkpoint.Tensor {
	n, fan := 1, 1
	for i, d := range shape {
		if n *= d; i > 0 {
			fan *= d
		}
	}
	v := make([]float32, n)
	for i := range v {
		s := math.Sin(float64(i+1) * (0.37 + 0.011*float64(k)))
		switch {
		case len(shape) > 1:
			s *= 1.2 / math.Sqrt(float64(fan))
		case strings.HasSuffix(name, ".weight"):
			s = 1 + 0.1*s
		default:
			s *= 0.1
		}
		v[i] = float32(s)
	}
	return checkpoint.Float32(shape, v)
}

// TestGoldenOpenAI holds networks to the outputs of guided-diffusion (both orders of query, key and value, resampling in blocks and by
// convolutions, adaptive norms or not, classes) and of improved-diffusion (heads of a fixed number), 3e-5 of the largest: both sides are
// float32, and weights that are sines cancel more than others (1.2e-5 was seen; with random weights 3e-6).
func TestGoldenOpenAI(t *testing.T) {
	for _, name := range []string{"guided_new", "guided_old", "improved"} {
		c := openOpenAI(t, name)
		if _, err := unet.LoadModel(c.path); !errors.Is(err, unet.ErrArchitecture) {
			t.Errorf("%s without flags: %v", name, err)
		}
		m, err := unet.LoadModelAs(c.path, c.flags)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "m.safetensors") // and through a file of ours
		if err := m.Save(file, checkpoint.F32); err != nil {
			t.Fatal(err)
		}
		if m, err = unet.LoadModel(file); err != nil {
			t.Fatal(err)
		}
		x := image(c.Case, "x")
		want, _ := c.Float64("out")
		golden.Close(t, name, nchw(m.Net.Forward(nil, x, steps(c.Case, "t", x.Shape[0]), c.inputs())), want, 3e-5*golden.MaxAbs(want))
	}
}

// inputs are the classes, if there are any.
func (c *openAICase) inputs() (in unet.Inputs) {
	if c.Has("label") {
		v, _ := c.Float64("label")
		for _, l := range v {
			in.Labels = append(in.Labels, int(l))
		}
	}
	return in
}

// TestGoldenConsistency holds networks of consistency_models - with classes and adaptive norms, and without either, as for LSUN - to its denoiser,
// bare and under both preconditionings, at the ends of its range of noise and between, 3e-5 of the largest as above.
func TestGoldenConsistency(t *testing.T) {
	for _, name := range []string{"consistency", "consistency_plain"} {
		c := openOpenAI(t, name)
		x := image(c.Case, "x")
		sigma, _ := c.Float64("sigma")
		raw, _ := c.Float64("raw")
		for mode, denoised := range map[string]string{"consistency_distillation": "denoised", "consistency_training": "denoised", "edm": "denoised_edm"} {
			m, err := unet.LoadModelAs(c.path, c.flags+" --training_mode "+mode)
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.Denoiser(nil)
			if err != nil {
				t.Fatal(err)
			}
			y, f := d.Raw(x, sigma, c.inputs())
			golden.Close(t, name+": F", nchw(f), raw, 3e-5*golden.MaxAbs(raw))
			want, _ := c.Float64(denoised)
			golden.Close(t, name+": "+mode, nchw(y), want, 3e-5*golden.MaxAbs(want))
		}
	}
}

// TestOpenAITimesteps: the embedding of a network trained on 4,000 steps with rescaled timesteps gets the step divided by four.
func TestOpenAITimesteps(t *testing.T) {
	c := openOpenAI(t, "improved")
	m, err := unet.LoadModelAs(c.path, c.flags)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Preconditioning()
	if err != nil {
		t.Fatal(err)
	}
	table, err := m.Discrete.Table()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, noise := p.Scaling(table.Sigma[3000]); !(math.Abs(noise-750) < 1e-6) || len(table.Sigma) != 4000 {
		t.Errorf("step 3000 of %d has label %g, want 750 of 4000", len(table.Sigma), noise)
	}
}

// TestOpenAIFlags: a file of flags beside the weights counts; contradictions and unknown flags are named.
func TestOpenAIFlags(t *testing.T) {
	c := openOpenAI(t, "guided_old")
	writeText(t, strings.TrimSuffix(c.path, ".pt")+".flags", c.flags+"\n")
	if _, err := unet.LoadModel(c.path); err != nil {
		t.Error(err)
	}
	for flags, want := range map[string]string{
		"guided-imagenet64":                      "not a guided-imagenet64",
		"nosuch":                                 "known are consistency-edm-imagenet64",
		"--image_size 8 --num_heads 3":           "do not divide into heads",
		"--num_heads 4":                          "without --image_size",
		"--image_size 8 --colour red":            "flag --colour",
		"--image_size 8 --noise_schedule other":  "want linear or cosine",
		"--image_size 8 --num_heads":             "pairs of --name and value",
		"--image_size 8 --training_mode other":   "want edm, consistency_distillation",
		"--image_size eight":                     "invalid syntax",
		"--image_size 7":                         "multiples of 2",
		"--image_size 8 --diffusion_steps 0":     "num_train_timesteps",
		"--image_size 8 --num_heads_upsample 2":  "heads on the way up",
		"--image_size 8 --num_heads 1000 --lr 1": "do not divide into heads",
	} {
		if _, err := unet.LoadModelAs(c.path, flags); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
