package unet_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/tensor"
	"diffuse/unet"
)

// uvit makes a U-ViT of c with the given channels a head; 0 is the default.
func uvit(c unet.Config, head int) unet.Config {
	c.ModelType, c.UViT.HeadChannels = "uvit", head
	return c.WithDefaults()
}

// tinyUViT has three levels of pictures of 16×16, transformer blocks of two heads at 4×4.
func tinyUViT() unet.Config {
	c := uvit(tinyConfig(), 8)
	c.Resolution, c.ModelChannels, c.ChannelMult, c.NumBlocks, c.MiddleBlocks = 16, 8, []int{1, 1, 2}, 2, 2
	return c
}

// stirred returns a model of c, without zero weights.
func stirred(t *testing.T, c unet.Config) *unet.Model {
	t.Helper()
	m := tinyModel(t, c)
	r := rand.New(rand.NewPCG(3, 4))
	for _, w := range m.Net.Params() {
		for i := range w.Data {
			w.Data[i] += 0.1 * float32(r.NormFloat64())
		}
	}
	return m
}

// TestLayoutJoins: which blocks join a skip, deepest first, and that each of their weights counts.
func TestLayoutJoins(t *testing.T) {
	const deep = "dec.4x4_block0 dec.4x4_block1 "
	for name, c := range map[string]struct {
		change func(c *unet.Config)
		want   string
	}{
		"uvit":                 {func(c *unet.Config) {}, "dec.8x8_block0 dec.8x8_block1 dec.8x8_block2 dec.16x16_block0 dec.16x16_block1 dec.16x16_block2"},
		"uvit, a skip a level": {func(c *unet.Config) { c.SkipPer = unet.SkipPerLevel }, "dec.8x8_block0 dec.16x16_block0"},
		"uvit, uneven": {func(c *unet.Config) { c.EncoderBlocks, c.DecoderBlocks = []int{1, 3}, []int{4, 2} },
			"dec.8x8_block0 dec.8x8_block1 dec.16x16_block0 dec.16x16_block1"},
		"song": {func(c *unet.Config) { c.ModelType, c.UViT, c.MiddleBlocks, c.NumBlocks = "song", unet.UViT{}, 0, 1 },
			deep + "dec.8x8_block0 dec.8x8_block1 dec.16x16_block0 dec.16x16_block1"},
		"song, a skip a level": {func(c *unet.Config) { c.ModelType, c.UViT, c.SkipPer = "song", unet.UViT{}, unet.SkipPerLevel },
			"dec.8x8_block0 dec.16x16_block0"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tinyUViT()
			c.change(&cfg)
			m := stirred(t, cfg)
			var got []string
			for _, j := range m.Net.Joins() {
				got = append(got, j.Block)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("joins %v, want %s", got, c.want)
			}
			x := ramp(1, 16, 16, cfg.InChannels)
			eval := func(n *unet.Net) []float32 { return n.Forward(nil, x, []float32{0.3}, unet.Inputs{}).Data }
			plain := eval(m.Net)
			rho := make([]float32, m.Net.Skips())
			for i := range rho {
				rho[i] = 1
			}
			if d := distance(eval(m.Net.WithSkips(rho)), plain); d != 0 {
				t.Errorf("weights of 1 change the result by %g", d)
			}
			for i := range rho {
				rho[i] = 0.5
				if d := distance(eval(m.Net.WithSkips(rho)), plain); !(d > 1e-4) || math.IsInf(d, 0) {
					t.Errorf("weight %d changes the result by %g", i, d)
				}
				rho[i] = 1
			}
		})
	}
}

// TestUViTFile: every option survives a model file, which gives the same bytes again; EDM's configurations do not mention them.
func TestUViTFile(t *testing.T) {
	c := tinyUViT()
	c.FirstOp, c.PatchSize, c.Resolution = unet.FirstWavelet, 2, 32
	c.EncoderBlocks, c.DecoderBlocks, c.SkipPer, c.DropoutResolution = []int{1, 2}, []int{3, 1}, unet.SkipPerLevel, 8
	c.UViT = unet.UViT{HeadChannels: 4, MLPRatio: 3, Positions: unet.LearnedPositions, RopeBase: 50, Attention: unet.SigmoidAttention}
	m := stirred(t, c)
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(path, checkpoint.F32); err != nil {
		t.Fatal(err)
	}
	again, err := unet.LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.Net.Config.JSON(), c.JSON(); got != want {
		t.Errorf("config came back as %s, was %s", got, want)
	}
	x := ramp(2, 32, 16, c.InChannels)
	cnoise := []float32{0.1, -1}
	golden.Close(t, "F", again.Net.Forward(nil, x, cnoise, unet.Inputs{}).Data, m.Net.Forward(nil, x, cnoise, unet.Inputs{}).Data, 0)

	for _, kind := range []string{"song", "adm"} {
		for _, word := range []string{"first_op", "_blocks\":[", "middle", "skip_per", "dropout_", "uvit"} {
			if text := unet.DefaultConfig(kind).JSON(); strings.Contains(text, word) {
				t.Errorf("the configuration of %s mentions %s: %s", kind, word, text)
			}
		}
	}
}

// TestUViTSizes: without learned positions any size of the right multiple passes, with them none beyond the table.
func TestUViTSizes(t *testing.T) {
	c := tinyUViT()
	for _, positions := range []string{unet.RotaryPositions, unet.LearnedPositions, unet.NoPositions} {
		c.UViT.Positions = positions
		n := stirred(t, c).Net
		for _, size := range [][2]int{{8, 16}, {16, 4}, {24, 40}} {
			h, w := size[0], size[1]
			err := n.CheckSize(h, w)
			if positions == unet.LearnedPositions && h > 16 {
				if err == nil || !strings.Contains(err.Error(), "learned positions end at 16 pixels") {
					t.Errorf("%d×%d: %v", h, w, err)
				}
				continue
			}
			if err != nil {
				t.Error(err)
				continue
			}
			if y := n.Forward(nil, ramp(1, h, w, c.InChannels), []float32{0.3}, unet.Inputs{}); fmt.Sprint(y.Shape) != fmt.Sprint([]int{1, h, w, c.OutChannels}) {
				t.Errorf("%d×%d: result %v", h, w, y.Shape)
			}
		}
	}
}

// TestUViTAttention: each form is another network, none and "softmax" are the same, and positions count in all of them.
func TestUViTAttention(t *testing.T) {
	results := map[string][]float32{}
	for _, kind := range []string{"", unet.SoftmaxAttention, unet.ReLU2Attention, unet.SigmoidAttention, unet.LinearAttention} {
		for _, positions := range []string{unet.RotaryPositions, unet.NoPositions} {
			c := tinyUViT()
			c.UViT.Attention, c.UViT.Positions = kind, positions
			results[kind+" "+positions] = stirred(t, c).Net.Forward(nil, ramp(1, 16, 16, c.InChannels), []float32{0.3}, unet.Inputs{}).Data
		}
	}
	for a, x := range results {
		for b, y := range results {
			same := strings.TrimPrefix(a, unet.SoftmaxAttention) == strings.TrimPrefix(b, unet.SoftmaxAttention)
			if d := distance(x, y); same != (d == 0) || math.IsNaN(d) {
				t.Errorf("%q and %q differ by %g", a, b, d)
			}
		}
	}
}

// TestUViTStart: a new network's transformer blocks change nothing, whatever their number, and each learns: with weights behind them
// the first step has a gradient for all that starts at zero.
func TestUViTStart(t *testing.T) {
	var first []float32
	for _, blocks := range []int{1, 4} {
		c := tinyUViT()
		c.MiddleBlocks = blocks
		n := tinyModel(t, c).Net
		wrt := map[string]*tensor.Tensor{}
		for name, w := range n.Params() {
			if strings.Contains(name, "_in") {
				if strings.HasSuffix(name, ".proj.weight") || strings.HasSuffix(name, ".mlp1.weight") {
					wrt[name] = w
				}
				continue
			}
			r := rand.New(rand.NewPCG(5, uint64(w.Len()))) // the same for both numbers of blocks
			for i := range w.Data {
				w.Data[i] = 0.1 * float32(r.NormFloat64())
			}
		}
		x := ramp(1, 16, 16, c.InChannels)
		tape := tensor.NewTape(values(wrt)...)
		y := n.Forward(tape, x, []float32{0.3}, unet.Inputs{})
		if first == nil {
			first = y.Clone().Data
		} else if d := distance(first, y.Data); d != 0 {
			t.Errorf("%d blocks change the result by %g", blocks, d)
		}
		tape.Seed(y, y.Data)
		tape.Backward()
		for name, w := range wrt {
			var sq float64
			for _, g := range tape.Grad(w) {
				sq += float64(g) * float64(g)
			}
			if !(sq > 0) {
				t.Errorf("%s has no gradient", name)
			}
		}
	}
}

func values(m map[string]*tensor.Tensor) (list []*tensor.Tensor) {
	for _, w := range m {
		list = append(list, w)
	}
	return list
}

// TestDropoutResolution: dropout at the finest level alone, or at none, changes what a limit leaves of it.
func TestDropoutResolution(t *testing.T) {
	draw := func(limit int) []float32 {
		c := tinyUViT()
		c.Dropout, c.DropoutResolution = 0.5, limit
		in := unet.Inputs{Dropout: []*rand.Rand{rand.New(rand.NewPCG(1, 1))}}
		stirred(t, c).Net.Forward(nil, ramp(1, 16, 16, c.InChannels), []float32{0.3}, in)
		left := make([]float32, 1) // the generator's next number says how much was drawn
		left[0] = float32(in.Dropout[0].Float64())
		return left
	}
	drawn := map[float32]int{}
	for _, limit := range []int{4, 8, 16} {
		drawn[draw(limit)[0]] = limit
	}
	if len(drawn) != 3 {
		t.Errorf("limits of 4, 8 and 16 draw alike: %v", drawn)
	}
	if draw(0)[0] != draw(16)[0] {
		t.Error("a limit at the finest level is not the same as none")
	}
}
