package unet_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/unet"
)

func tinyConfig() unet.Config {
	c := unet.DefaultConfig("song")
	c.Resolution, c.InChannels, c.OutChannels, c.LabelDim = 8, 1, 1, 3
	c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 8, []int{1, 2}, 1, []int{4}
	return c
}

func tinyModel(t testing.TB, c unet.Config) *unet.Model {
	t.Helper()
	n, err := unet.New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return &unet.Model{Net: n, Card: unet.Card{Config: c, Precond: "edm", SigmaData: 0.5, ImageRange: [2]float64{-1, 1},
		Classes: []string{"a", "b", "c"}, Training: json.RawMessage(`{"images":5}`)}}
}

// TestModelRoundTrip saves and loads a model; float32 keeps every bit.
func TestModelRoundTrip(t *testing.T) {
	for _, kind := range []string{"positional", "fourier"} {
		c := tinyConfig()
		c.EmbeddingType = kind
		m := tinyModel(t, c)
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := m.Save(path, checkpoint.F32); err != nil {
			t.Fatal(err)
		}
		got, err := unet.LoadModel(path)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprintf("%+v", m.Card), fmt.Sprintf("%+v", got.Card); a != b {
			t.Errorf("card\n%s\nwant\n%s", b, a)
		}
		x := tensor.New(2, 8, 8, 1)
		x.Data[5] = 1
		in := unet.Inputs{Labels: []int{0, 2}}
		golden.Close(t, "output of the loaded network", got.Net.Forward(nil, x, []float32{0.1, 0.2}, in).Data,
			m.Net.Forward(nil, x, []float32{0.1, 0.2}, in).Data, 0)
		golden.Close(t, "output of a clone", m.Net.Clone().Forward(nil, x, []float32{0.1, 0.2}, in).Data,
			m.Net.Forward(nil, x, []float32{0.1, 0.2}, in).Data, 0)
	}
}

// TestLoadModelErrors: whatever is wrong with a file is named.
func TestLoadModelErrors(t *testing.T) {
	for want, spoil := range map[string]func(f *checkpoint.File){
		"not a diffuse model":                         func(f *checkpoint.File) { delete(f.Meta, "format") },
		"newer than this program":                     func(f *checkpoint.File) { f.Meta["format"] = "diffuse-model-9" },
		"unknown field":                               func(f *checkpoint.File) { f.Meta["card"] = `{"colour":1}` },
		"reading the model card":                      func(f *checkpoint.File) { f.Meta["card"] = `{` },
		"more text after":                             func(f *checkpoint.File) { f.Meta["card"] += "{}" },
		`tensor "map_layer0.bias": type I64`:          func(f *checkpoint.File) { f.Tensors["map_layer0.bias"] = integers(f.Tensors["map_layer0.bias"].Shape) },
		`tensor "map_layer0.bias" is missing`:         func(f *checkpoint.File) { delete(f.Tensors, "map_layer0.bias") },
		`tensor "extra" is not part of this network`:  func(f *checkpoint.File) { f.Tensors["extra"] = checkpoint.Float32([]int{1}, []float32{1}) },
		`tensor "map_layer0.bias": shape [1], want [`: func(f *checkpoint.File) { f.Tensors["map_layer0.bias"] = checkpoint.Float32([]int{1}, []float32{1}) },
		`names 2 classes, the network has 3`: func(f *checkpoint.File) {
			f.Meta["card"] = strings.Replace(f.Meta["card"], `["a","b","c"]`, `["a","b"]`, 1)
		},
		`model_type "dit": want one of ["song" "adm" "unet2d" "uvit"]`: func(f *checkpoint.File) { f.Meta["card"] = strings.Replace(f.Meta["card"], `"song"`, `"dit"`, 1) },
	} {
		f, err := tinyModel(t, tinyConfig()).File(checkpoint.F32)
		if err != nil {
			t.Fatal(err)
		}
		spoil(f)
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := checkpoint.WriteFile(path, f); err != nil {
			t.Fatal(err)
		}
		_, err = unet.LoadModel(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want it to name the file and %q", err, want)
		}
	}
}

func integers(shape []int) *checkpoint.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return checkpoint.Int64(shape, make([]int64, n))
}

// TestImportAllOrNothing: a set of weights of which the last is of no use
// changes none.
func TestImportAllOrNothing(t *testing.T) {
	n := tinyModel(t, tinyConfig()).Net
	files, err := n.Export(checkpoint.F32)
	if err != nil {
		t.Fatal(err)
	}
	var last string
	for name, p := range n.Params() {
		last = name
		files[name] = checkpoint.Float32(files[name].Shape, make([]float32, p.Len()))
	}
	files[last] = integers(files[last].Shape)
	before := n.Clone()
	if err := n.Import(files); err == nil || !strings.Contains(err.Error(), last) {
		t.Errorf("error %v does not name %s", err, last)
	}
	next := map[string]*tensor.Tensor{}
	for name, p := range before.Params() {
		next[name] = p
	}
	for name, p := range n.Params() {
		golden.Close(t, name, p.Data, next[name].Data, 0)
	}
}

// TestConfigErrors: each impossible value is named, sizes by the multiple.
func TestConfigErrors(t *testing.T) {
	for want, spoil := range map[string]func(c *unet.Config){
		`model_type "vit"`: func(c *unet.Config) { c.ModelType = "vit" },
		"in_channels is 0": func(c *unet.Config) { c.InChannels = 0 },
		"img_resolution is 1099511627776, want 1 to 16384": func(c *unet.Config) { c.Resolution = 1 << 40 },
		"multiples of 2":                                func(c *unet.Config) { c.Resolution = 7 },
		"multiples of 8 (patch of 4":                    func(c *unet.Config) { c.Resolution, c.PatchSize = 12, 4 },
		"channel_mult has 0 levels":                     func(c *unet.Config) { c.ChannelMult = nil },
		"dropout is 1":                                  func(c *unet.Config) { c.Dropout = 1 },
		`encoder_type "u"`:                              func(c *unet.Config) { c.EncoderType = "u" },
		"resample_filter has 3 taps":                    func(c *unet.Config) { c.ResampleFilter = []float32{1, 2, 1} },
		"adm has positional":                            func(c *unet.Config) { c.ModelType, c.EncoderType = "adm", "residual" },
		"nearest: 96×96 and 104×104":                    func(c *unet.Config) { c.Resolution, c.PatchSize = 100, 4 },
		"nearest: 8×8":                                  func(c *unet.Config) { c.Resolution, c.PatchSize = 1, 4 },
		"shrinks by 3":                                  func(c *unet.Config) { c.Resolution, c.FirstOp, c.PatchSize = 12, "wavelet", 3 },
		"wavelet of 4, 2 levels":                        func(c *unet.Config) { c.Resolution, c.FirstOp, c.PatchSize = 12, "wavelet", 4 },
		`first_op "fourier"`:                            func(c *unet.Config) { c.FirstOp = "fourier" },
		"encoder_blocks has 3":                          func(c *unet.Config) { c.EncoderBlocks = []int{1, 2, 3} },
		"decoder_blocks entry is 0":                     func(c *unet.Config) { c.DecoderBlocks = []int{1, 0} },
		`skip_per "none"`:                               func(c *unet.Config) { c.SkipPer = "none" },
		"no block has dropout":                          func(c *unet.Config) { c.DropoutResolution = 2 },
		`encoder_type "residual" has a skip from every`: func(c *unet.Config) { c.EncoderType, c.SkipPer = "residual", "level" },
		"uvit options belong":                           func(c *unet.Config) { c.UViT.MLPRatio = 2 },
		"a uvit without middle_blocks":                  func(c *unet.Config) { c.ModelType = "uvit" },
		"16 channels do not divide into heads of 64":    func(c *unet.Config) { *c = uvit(*c, 0) },
		`uvit.attention "cosine": want one of ["softmax" "relu2" "sigmoid" "linear"]`: func(c *unet.Config) {
			*c = uvit(*c, 4)
			c.UViT.Attention = "cosine"
		},
		"multiple of 4 channels, not 2": func(c *unet.Config) { *c = uvit(*c, 2) },
	} {
		c := tinyConfig()
		spoil(&c)
		if _, err := unet.New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := unet.ParseConfig([]byte(`{"model_channel":3}`)); err == nil || !strings.Contains(err.Error(), "unknown field") {
		t.Errorf("unknown field accepted: %v", err)
	}
	if _, err := unet.ParseConfig([]byte(tinyConfig().JSON() + "x")); err == nil || !strings.Contains(err.Error(), "more text") {
		t.Errorf("text after the config accepted: %v", err)
	}
	if c, err := unet.ParseConfig([]byte(tinyConfig().JSON())); err != nil || c.JSON() != tinyConfig().JSON() {
		t.Errorf("config changed on its way through JSON: %v", err)
	}
}

// TestDenoiserLabels: a class that a network does not have is an error before anything is computed.
func TestDenoiserLabels(t *testing.T) {
	withClasses, without := tinyConfig(), tinyConfig()
	without.LabelDim = 0
	numbers := without
	numbers.LabelDim, numbers.UNet2D = 1, &unet.UNet2D{ClassEmbedding: "timestep"}
	for _, c := range []struct {
		config unet.Config
		labels []int
		want   string // in the error; "": none
	}{
		{withClasses, nil, ""}, {withClasses, []int{0, 2, -1}, ""},
		{withClasses, []int{0, 3}, "picture 1 is to be of class 3, and the network has classes 0 to 2"}, {withClasses, []int{-2}, "class -2"},
		{without, nil, ""}, {without, []int{-1, -1}, ""}, {without, []int{-1, 0}, "no classes"},
		{numbers, []int{0, 700, -1}, ""}, {numbers, []int{-2}, "class -2"},
	} {
		m := &unet.Model{Net: &unet.Net{Config: c.config}, Card: unet.Card{Precond: "edm", SigmaData: 0.5}}
		_, err := m.Denoiser(c.labels)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("labels %v of %d classes: error %v, want %q", c.labels, c.config.LabelDim, err, c.want)
		}
	}
}

// TestSaveLeavesTheModel: a file records the network's configuration, and the model that is being used meanwhile stays as it is.
func TestSaveLeavesTheModel(t *testing.T) {
	m := tinyModel(t, tinyConfig())
	m.Card.Config = unet.Config{}
	f, err := m.File(checkpoint.F32)
	if err != nil {
		t.Fatal(err)
	}
	if m.Card.Config.ModelType != "" {
		t.Error("the card changed")
	}
	if card, err := unet.ReadCard(f); err != nil || card.Config.JSON() != tinyConfig().JSON() {
		t.Errorf("configuration %s, error %v", card.Config.JSON(), err)
	}
}

// TestBatchAndThreads: a picture's bytes depend neither on the pictures
// beside it nor on the number of threads.
func TestBatchAndThreads(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, change := range map[string]func(c *unet.Config){
		"ddpm++": func(c *unet.Config) { c.ModelChannels = 32 },
		"ncsn++": func(c *unet.Config) {
			c.ModelChannels, c.EmbeddingType, c.EncoderType, c.ResampleFilter = 12, "fourier", "residual", []float32{1, 3, 3, 1}
		},
		"adm": func(c *unet.Config) { c.ModelType, c.ModelChannels = "adm", 64 }, // 1 and 2 heads
		"uvit": func(c *unet.Config) {
			c.ModelType, c.ModelChannels = "uvit", 32
			*c = c.WithDefaults()
		},
		"linear attention": func(c *unet.Config) {
			c.ModelType, c.ModelChannels, c.UViT.Attention = "uvit", 32, unet.LinearAttention
			*c = c.WithDefaults()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := tinyConfig()
			change(&c)
			m := tinyModel(t, c)
			r := rand.New(rand.NewPCG(7, 8))
			for _, p := range m.Net.Params() { // away from the zero and the tiny initial weights
				for i := range p.Data {
					p.Data[i] += 0.1 * float32(r.NormFloat64())
				}
			}
			x := make([]float64, 7*64)
			for i := range x {
				x[i] = r.NormFloat64()
			}
			labels := []int{0, 1, 2, -1, 0, 1, 2}
			denoise := func(threads, i, j int) []float64 {
				runtime.GOMAXPROCS(threads)
				d, err := m.Denoiser(labels[i:j])
				if err != nil {
					t.Fatal(err)
				}
				y := make([]float64, 64*(j-i))
				d.At(y, x[64*i:64*j], 1.5)
				return y
			}
			want := denoise(1, 0, 7)
			for _, threads := range []int{1, 2, 4} {
				golden.Close(t, "7 at once", denoise(threads, 0, 7), want, 0)
				for i := range 7 {
					golden.Close(t, "one alone", denoise(threads, i, i+1), want[64*i:64*(i+1)], 0)
				}
			}
		})
	}
}

// TestInferenceReusesBuffers: after a first pass, another allocates next to
// nothing compared with its activations.
func TestInferenceReusesBuffers(t *testing.T) {
	if raceDetector {
		t.Skip("the kernels' sync.Pool keeps nothing reliably under the race detector")
	}
	m := tinyModel(t, tinyConfig())
	d := unet.Denoiser{Net: m.Net, Precond: schedule.EDM(0.5)}
	x := tensor.New(64, 8, 8, 1)
	sigma := make([]float64, 64)
	for i := range sigma {
		sigma[i] = 1
	}
	pass := func() { tensor.Recycle(nil, d.Denoise(nil, x, sigma, unet.Inputs{})) }
	pass()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		pass()
	}
	runtime.ReadMemStats(&after)
	perPass := (after.TotalAlloc - before.TotalAlloc) / 10
	activation := uint64(64 * 8 * 8 * 8 * 4) // one tensor of the finest level
	if perPass > 4*activation {              // some thirty tensors of that size pass through
		t.Errorf("a pass allocates %d bytes, one activation is %d", perPass, activation)
	}
}

func ExampleLoadModel() {
	c := unet.DefaultConfig("song")
	c.Resolution, c.ModelChannels, c.ChannelMult, c.NumBlocks = 16, 8, []int{1, 2}, 1
	net, err := unet.New(c, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.safetensors")
	m := &unet.Model{Net: net, Card: unet.Card{Precond: "edm", SigmaData: 0.5, ImageRange: [2]float64{-1, 1}}}
	if err := m.Save(path, checkpoint.BF16); err != nil {
		fmt.Println(err)
		return
	}
	m, err = unet.LoadModel(path)
	fmt.Println(m.Net.Skips(), "skip connections,", m.Config.Multiple(), "divides the sizes,", err)
	// Output: 4 skip connections, 2 divides the sizes, <nil>
}

// FuzzReadModel: no bytes crash the reader of model files.
func FuzzReadModel(f *testing.F) {
	file, err := tinyModel(f, tinyConfig()).File(checkpoint.BF16)
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := checkpoint.Write(&b, file); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := checkpoint.OpenBytes(data)
		if err != nil {
			return
		}
		if card, err := unet.ReadCard(file); err == nil && card.Config.ModelChannels < 64 && len(card.Config.ChannelMult) < 4 {
			unet.ReadModel(file)
		}
	})
}
