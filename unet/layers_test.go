package unet

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/skiptune"
	"diffuse/tensor"
)

// A layerCase is one entry of edm/layers: EDM's class and its arguments.
type layerCase struct {
	Name, Layer string
	Kwargs      struct {
		In           int       `json:"in_channels"`
		Out          int       `json:"out_channels"`
		Channels     int       `json:"num_channels"`
		Groups       int       `json:"num_groups"`
		Emb          int       `json:"emb_channels"`
		Kernel       int       `json:"kernel"`
		Filter       []float32 `json:"resample_filter"`
		Fused        bool      `json:"fused_resample"`
		Up           bool      `json:"up"`
		Down         bool      `json:"down"`
		Eps          float32   `json:"eps"`
		Endpoint     bool      `json:"endpoint"`
		Heads        *int      `json:"num_heads"`
		PerHead      int       `json:"channels_per_head"`
		Attention    bool      `json:"attention"`
		SkipScale    float32   `json:"skip_scale"`
		Adaptive     *bool     `json:"adaptive_scale"`
		ResampleProj bool      `json:"resample_proj"`
	}
}

// TestGoldenLayers holds single layers, forward and all gradients, to EDM's
// recorded ones: 1e-5 of the largest value, the tolerance of the recording.
func TestGoldenLayers(t *testing.T) {
	c := golden.Open(t, "edm/layers")
	var j struct{ Cases []layerCase }
	c.JSON("case.json", &j)
	for _, k := range j.Cases {
		t.Run(k.Name, func(t *testing.T) {
			g := &layerGolden{t: t, c: c, name: k.Name}
			switch k.Layer {
			case "Conv2d":
				b := g.builder(k)
				l := b.conv("", k.Kwargs.In, k.Kwargs.Out, k.Kwargs.Kernel, resampling{up: k.Kwargs.Up, down: k.Kwargs.Down, fused: k.Kwargs.Fused}, initRule{})
				g.check(b, func(tp *tensor.Tape, x, _ *tensor.Tensor) *tensor.Tensor { return l.forward(tp, x) })
			case "GroupNorm":
				b := g.builder(k)
				l := b.norm("", k.Kwargs.Channels)
				l.eps = k.Kwargs.Eps
				o := tensor.NormOptions{Groups: min(k.Kwargs.Groups, k.Kwargs.Channels/4), Eps: l.eps}
				g.check(b, func(tp *tensor.Tape, x, _ *tensor.Tensor) *tensor.Tensor {
					return tensor.GroupNorm(tp, x, l.gamma, l.beta, nil, nil, o)
				})
			case "PositionalEmbedding":
				g.checkEmbedding(positional(g.vector("in"), k.Kwargs.Channels, k.Kwargs.Endpoint, false))
			case "FourierEmbedding":
				g.checkEmbedding(fourier(g.vector("in"), g.vector("freqs"), false))
			case "UNetBlock":
				b := g.builder(k)
				heads := 0
				if k.Kwargs.Attention && k.Kwargs.Heads != nil {
					heads = *k.Kwargs.Heads
				} else if k.Kwargs.Attention {
					heads = k.Kwargs.Out / k.Kwargs.PerHead
				}
				l := b.block("", k.Kwargs.In, k.Kwargs.Out, resampling{up: k.Kwargs.Up, down: k.Kwargs.Down}, heads)
				g.check(b, func(tp *tensor.Tape, x, emb *tensor.Tensor) *tensor.Tensor { return l.forward(tp, x, x, emb, Inputs{}) })
			case "AttentionOp": // as a whole it is held to the peer through the blocks; here its probabilities
				g.checkProbabilities()
			default:
				t.Fatalf("unknown layer %q", k.Layer)
			}
		})
	}
}

type layerGolden struct {
	t    *testing.T
	c    *golden.Case
	name string
}

// builder returns one whose network has the block-level options of a case.
func (g *layerGolden) builder(k layerCase) *builder {
	cfg := DefaultConfig("adm")
	if k.Kwargs.Adaptive != nil && !*k.Kwargs.Adaptive {
		cfg = DefaultConfig("song")
	}
	cfg.ModelChannels, cfg.ChannelMultEmb = max(1, k.Kwargs.Emb), 1
	if k.Kwargs.Filter != nil {
		cfg.ResampleFilter = k.Kwargs.Filter
	}
	return &builder{net: &Net{Config: cfg}, alloc: tensor.New}
}

func (g *layerGolden) vector(key string) []float32 {
	v, _ := g.c.Float64(g.name + "." + key)
	y := make([]float32, len(v))
	for i := range v {
		y[i] = float32(v[i])
	}
	return y
}

// input returns a recorded activation as N×H×W×C, or a matrix as it is.
func (g *layerGolden) input(key string) *tensor.Tensor {
	key = g.name + "." + key
	if !g.c.Has(key) {
		return nil
	}
	v, s := g.c.Float64(key)
	if len(s) == 2 {
		x := tensor.New(s...)
		for i := range v {
			x.Data[i] = float32(v[i])
		}
		return x
	}
	x := tensor.New(s[0], s[2], s[3], s[1])
	tensor.FromNCHW(x, v)
	return x
}

func (g *layerGolden) same(what string, x []float32) {
	g.t.Helper()
	want, s := g.c.Float64(g.name + "." + what)
	got := x
	if len(s) == 4 && !strings.HasPrefix(what, "grad.") {
		y := make([]float32, len(x))
		tensor.ToNCHW(y, tensor.From(x, s[0], s[2], s[3], s[1]))
		got = y
	}
	golden.Close(g.t, what, got, want, 1e-5*max(1, golden.MaxAbs(want)))
}

func (g *layerGolden) checkEmbedding(y *tensor.Tensor) { g.t.Helper(); g.same("out", y.Data) }

// check loads the recorded weights into the layer that b made, and compares
// its output and gradients.
func (g *layerGolden) check(b *builder, f func(tp *tensor.Tape, x, emb *tensor.Tensor) *tensor.Tensor) {
	g.t.Helper()
	files := map[string]*checkpoint.Tensor{}
	for key, x := range g.c.Tensors {
		if name, ok := strings.CutPrefix(key, g.name+".w."); ok && !strings.HasSuffix(name, "resample_filter") {
			files[name] = x
		}
	}
	for i := range b.net.params {
		b.net.params[i].name = strings.TrimPrefix(b.net.params[i].name, ".")
	}
	if err := b.net.Import(files); err != nil {
		g.t.Fatal(err)
	}
	x, emb := g.input("in0"), g.input("in1")
	var wrt []*tensor.Tensor
	for _, p := range b.net.params {
		wrt = append(wrt, p.Tensor)
	}
	wrt = append(wrt, x)
	if emb != nil {
		wrt = append(wrt, emb)
	}
	g.same("out", f(nil, x, emb).Data)
	tape := tensor.NewTape(wrt...)
	y := f(tape, x, emb)
	g.same("out", y.Data)
	tape.Seed(y, g.input("grad_output").Data)
	tape.Backward()
	g.same("grad_in0", tape.Grad(x))
	if emb != nil {
		g.same("grad_in1", tape.Grad(emb))
	}
	for _, p := range b.net.params {
		data := tensor.ToFile(tensor.From(tape.Grad(p.Tensor), p.Shape...))
		g.same("grad."+p.name, data)
	}
}

// checkProbabilities recovers softmax(q·kᵀ/√d) from the attention operation
// by giving it one-hot values: output channel j is then the weight of key j.
// The gradients of q and k are summed over the groups of keys.
func (g *layerGolden) checkProbabilities() {
	q, s := g.c.Float64(g.name + ".q")
	k, _ := g.c.Float64(g.name + ".k")
	want, _ := g.c.Float64(g.name + ".w")
	seed, _ := g.c.Float64(g.name + ".grad_w")
	heads, d, p := s[0], s[1], s[2]
	dq, dk := make([]float64, len(q)), make([]float64, len(k))
	for h := range heads {
		for j0 := 0; j0 < p; j0 += d {
			qkv := tensor.New(1, p, 1, 3*d)
			for i := range p {
				for c := range d {
					row := qkv.Data[i*3*d+3*c:]
					row[0], row[1] = float32(q[(h*d+c)*p+i]), float32(k[(h*d+c)*p+i])
					if i == j0+c {
						row[2] = 1
					}
				}
			}
			tape := tensor.NewTape(qkv)
			y := tensor.Attention(tape, qkv, 1, tensor.Float32)
			dy := make([]float32, len(y.Data))
			for i := range p {
				for c := range min(d, p-j0) {
					golden.Close(g.t, "w", y.Data[i*d+c:][:1], want[(h*p+i)*p+j0+c:][:1], 1e-6)
					dy[i*d+c] = float32(seed[(h*p+i)*p+j0+c])
				}
			}
			tape.Seed(y, dy)
			tape.Backward()
			for i := range p {
				for c := range d {
					row := tape.Grad(qkv)[i*3*d+3*c:]
					dq[(h*d+c)*p+i] += float64(row[0])
					dk[(h*d+c)*p+i] += float64(row[1])
				}
			}
		}
	}
	for what, grad := range map[string][]float64{"grad_q": dq, "grad_k": dk} {
		want, _ := g.c.Float64(g.name + "." + what)
		golden.Close(g.t, what, grad, want, 1e-5*max(1, golden.MaxAbs(want)))
	}
}

// TestNetworkGradient checks whole networks of odd shapes against finite
// differences along the gradient and a random direction. float32 leaves
// about 3e-3 there; the bound is 1e-2.
func TestNetworkGradient(t *testing.T) {
	small := func(change func(c *Config)) Config {
		c := DefaultConfig("song")
		c.Resolution, c.InChannels, c.OutChannels, c.ModelChannels = 8, 2, 2, 6
		c.ChannelMult, c.NumBlocks, c.AttnResolutions, c.LabelDim = []int{1, 2}, 1, []int{4}, 3
		change(&c)
		return c
	}
	for name, cfg := range map[string]Config{
		"ddpm++":  small(func(c *Config) {}),
		"patched": small(func(c *Config) { c.PatchSize = 2 }),
		"ncsn++": small(func(c *Config) {
			c.EmbeddingType, c.EncoderType, c.ResampleFilter = "fourier", "residual", []float32{1, 3, 3, 1}
		}),
		"skip":             small(func(c *Config) { c.EncoderType, c.DecoderType = "skip", "skip" }),
		"adm":              small(func(c *Config) { c.ModelType, c.ModelChannels = "adm", 32 }),
		"adm, one channel": small(func(c *Config) { c.ModelType, c.ModelChannels, c.InChannels, c.OutChannels = "adm", 1, 1, 1 }),
		"adm, heads":       small(func(c *Config) { c.ModelType, c.ModelChannels, c.ChannelMult = "adm", 64, []int{2} }),
		"ncsn++, 3 channels": small(func(c *Config) {
			c.EmbeddingType, c.EncoderType, c.ResampleFilter, c.ModelChannels, c.ChannelMultNoise = "fourier", "residual", []float32{1, 3, 3, 1}, 3, 2
		}),
		"one channel":   small(func(c *Config) { c.ModelChannels, c.InChannels, c.OutChannels = 1, 1, 1 }),
		"37 channels":   small(func(c *Config) { c.ModelChannels, c.ChannelMult = 37, []int{1} }),
		"learned sigma": small(func(c *Config) { c.OutChannels = 4 }),
		"uvit":          small(func(c *Config) { smallUViT(c) }),
		"uvit, learned places": small(func(c *Config) {
			smallUViT(c)
			c.UViT.Positions, c.AttnResolutions, c.FirstOp, c.PatchSize, c.Resolution = LearnedPositions, []int{8}, FirstWavelet, 2, 16
		}),
		"uvit, linear attention": small(func(c *Config) {
			smallUViT(c)
			c.UViT.Attention = LinearAttention
		}),
		"uvit, sigmoid attention": small(func(c *Config) {
			smallUViT(c)
			c.UViT.Attention = SigmoidAttention
		}),
		"uvit, one level": small(func(c *Config) {
			smallUViT(c)
			c.ChannelMult, c.FirstOp, c.PatchSize = []int{2}, FirstWavelet, 4
		}),
		"blocks by level": small(func(c *Config) { c.EncoderBlocks, c.DecoderBlocks, c.MiddleBlocks = []int{1, 3}, []int{3, 2}, 3 }),
		"skip per level":  small(func(c *Config) { c.SkipPer, c.MiddleBlocks, c.ModelChannels = SkipPerLevel, 1, 16 }),
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			n, err := New(cfg, r)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range n.params { // away from the tiny and the zero initial weights
				for i := range p.Data {
					p.Data[i] += 0.1 * float32(r.NormFloat64())
				}
			}
			rho := make([]float32, n.Skips())
			for i := range rho {
				rho[i] = 0.6 + 0.1*float32(i)
			}
			n = n.WithSkipRule(func(sigma float64) []skiptune.Join {
				joins := skiptune.Fixed(rho)
				if cfg.ModelChannels == 1 {
					return joins // more would bend the loss within the stencil's step
				}
				for i := range joins { // every kind of join, per image another
					joins[i].Shortcut += float32(sigma)
					joins[i].Backbone, joins[i].Low = 1.3, float32(sigma)
				}
				return joins
			})
			h, w := 2*n.Multiple(), 3*n.Multiple() // not square, not the named resolution
			x := randn(r, 2, h, w, cfg.InChannels)
			g := randn(r, 2, h, w, cfg.OutChannels)
			in := Inputs{Labels: []int{2, -1}, Sigma: []float64{0.2, 0.5}}
			run := func(tp *tensor.Tape) *tensor.Tensor { return n.Forward(tp, x, []float32{0.3, -1}, in) }
			loss := func() float64 {
				var s float64
				for i, v := range run(nil).Data {
					s += float64(v) * float64(g.Data[i])
				}
				return s
			}
			wrt := []*tensor.Tensor{x}
			for _, p := range n.params {
				wrt = append(wrt, p.Tensor)
			}
			tape := tensor.NewTape(wrt...)
			tape.Seed(run(tape), g.Data)
			tape.Backward()
			for k, p := range wrt {
				checkDirection(t, k, p, tape.Grad(p), loss)
			}
		})
	}
}

// smallUViT turns a small configuration into one with transformer blocks of two heads.
func smallUViT(c *Config) {
	c.ModelType, c.ModelChannels, c.MiddleBlocks = "uvit", 8, 2
	c.UViT.HeadChannels, c.UViT.MLPRatio = 8, 2
	*c = c.WithDefaults()
}

func randn(r *rand.Rand, shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	return x
}

// checkDirection compares the gradient with the slope of loss along the
// gradient itself, where it is largest, and along a random direction, where
// a part that is missing from the gradient shows. The error is relative to
// the gradient, in the second case to what a random direction sees of it, or
// 1e-4 where that is next to nothing: float32 leaves 4e-5 there.
func checkDirection(t *testing.T, index int, x *tensor.Tensor, grad []float32, loss func() float64) {
	t.Helper()
	var norm float64
	for _, v := range grad {
		norm += float64(v) * float64(v)
	}
	norm = math.Sqrt(norm)
	orig := x.Clone()
	slope := func(dir []float32, length float64) float64 { // along dir, which is that long
		at := func(step float64) float64 {
			for i := range x.Data {
				x.Data[i] = orig.Data[i] + float32(step/length*float64(dir[i]))
			}
			l := loss()
			copy(x.Data, orig.Data)
			return l
		}
		h := 0.02
		return (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
	}
	if norm > 1e-3 {
		if got := slope(grad, norm); !(math.Abs(got/norm-1) <= 1e-2) {
			t.Errorf("parameter %d %v: slope %g along a gradient of norm %g", index, x.Shape, got, norm)
		}
	}
	r := rand.New(rand.NewPCG(9, uint64(index)))
	dir := make([]float32, len(grad))
	var want, sq float64
	for i := range dir {
		v := r.NormFloat64()
		dir[i] = float32(v)
		want += v * float64(grad[i])
		sq += v * v
	}
	length := math.Sqrt(sq)
	want /= length
	seen := norm / math.Sqrt(float64(len(grad)))
	if got := slope(dir, length); !(math.Abs(got-want) <= 1e-2*max(seen, 0.01)) {
		t.Errorf("parameter %d %v: slope %g along a random direction, gradient %g of norm %g", index, x.Shape, got, want, norm)
	}
}
