package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/unet"
)

// costConfigs are small networks of every kind of block, for pictures of 32×32 or 48×64.
func costConfigs() map[string]unet.Config {
	base := func(kind string, change func(c *unet.Config)) unet.Config {
		c := unet.DefaultConfig(kind)
		c.Resolution, c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 64, 32, []int{1, 2, 2}, 1, []int{16}
		c.DropoutResolution = 0
		if kind == "uvit" {
			c.UViT.HeadChannels = 16
		}
		if change != nil {
			change(&c)
		}
		return c
	}
	return map[string]unet.Config{
		"song":       base("song", nil),
		"adm":        base("adm", nil),
		"uvit":       base("uvit", func(c *unet.Config) { c.DropoutResolution = 32 }),
		"no dropout": base("uvit", func(c *unet.Config) { c.Dropout, c.UViT.Positions = 0, unet.LearnedPositions }),
		"relu2":      base("uvit", func(c *unet.Config) { c.UViT.Attention = unet.ReLU2Attention }),
		"linear":     base("uvit", func(c *unet.Config) { c.UViT.Attention = unet.LinearAttention }),
		"wavelet": base("uvit", func(c *unet.Config) {
			c.FirstOp, c.PatchSize, c.EncoderBlocks, c.DecoderBlocks = unet.FirstWavelet, 4, []int{2, 1}, []int{1, 3}
		}),
		"per level": base("song", func(c *unet.Config) { c.SkipPer, c.MiddleBlocks, c.PatchSize = unet.SkipPerLevel, 4, 2 }),
	}
}

// TestCostActivations: the activations in the table are those that a tape keeps, but for the small change of embeddings and
// statistics, 3 % in networks as small as these.
func TestCostActivations(t *testing.T) {
	for name, c := range costConfigs() {
		n, err := unet.New(c, rand.New(rand.NewPCG(1, 0)))
		if err != nil {
			t.Fatal(err)
		}
		var params []*tensor.Tensor
		for _, p := range n.Params() {
			params = append(params, p)
		}
		for _, size := range [][2]int{{32, 32}, {48, 32}} {
			cost := networkCost(n, size[0], size[1])
			blocks := 0
			for _, l := range cost.Levels {
				blocks += l.BlockBytes
			}
			for checkpoint, got := range map[bool]int{false: cost.TrainBytes, true: blocks} {
				tape := tensor.NewTape(params...)
				in := unet.Inputs{Dropout: []*rand.Rand{rand.New(rand.NewPCG(1, 1))}, CheckpointBlocks: checkpoint}
				unet.Denoiser{Net: n, Precond: schedule.EDM(0.5)}.Denoise(tape, tensor.New(1, size[0], size[1], 3), []float64{1}, in)
				if want := 4 * tape.Floats(); !(math.Abs(float64(got)/float64(want)-1) < 0.03) {
					t.Errorf("%s, %v, checkpoints %v: %d bytes in the table, %d on the tape", name, size, checkpoint, got, want)
				}
				tape.Free()
			}
		}
	}
}

// TestCostLevels: blocks, channels and shifts by level, of an outline as of a network.
func TestCostLevels(t *testing.T) {
	c := costConfigs()["wavelet"]
	n, err := unet.Outline(c)
	if err != nil {
		t.Fatal(err)
	}
	cost := networkCost(n, 48, 64)
	if want := c.Parameters(); cost.Parameters != want {
		t.Errorf("%d parameters, want %d", cost.Parameters, want)
	}
	var got []string
	for _, l := range cost.Levels[1:] {
		got = append(got, l.Level+" "+blockCount(l))
		side := map[string]float64{"12x16": 4, "6x8": 8, "3x4": 16}[l.Level]
		if !(math.Abs(l.Shift-2*math.Log(side)) < 1e-12) {
			t.Errorf("%s: shift %g, want 2 ln %g", l.Level, l.Shift, side)
		}
	}
	if want := []string{"12x16 2+1", "6x8 1+3", "3x4 8 middle"}; !slices.Equal(got, want) {
		t.Errorf("%s, want %s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
	var channels []int
	for _, l := range cost.Levels[1:] {
		channels = append(channels, l.Channels)
	}
	if !slices.Equal(channels, []int{32, 64, 64}) {
		t.Errorf("channels %v", channels)
	}
}

// TestCostAttention: between a softmax and the squared ReLU lies no arithmetic, between those and linear attention the pixels that a
// pixel attends to, less the channels of a head.
func TestCostAttention(t *testing.T) {
	gflop := func(kind string) float64 {
		c := costConfigs()["uvit"]
		c.AttnResolutions, c.UViT.Attention = nil, kind
		n, err := unet.Outline(c)
		if err != nil {
			t.Fatal(err)
		}
		return networkCost(n, 128, 128).GFLOP
	}
	const pixels, channels, head, blocks = 32 * 32, 64, 16, 8
	if a, b := gflop(""), gflop(unet.ReLU2Attention); a != b {
		t.Errorf("softmax %g GFLOP, squared ReLU %g", a, b)
	}
	want := 4e-9 * pixels * (pixels - head) * channels * blocks
	if got := gflop("") - gflop(unet.LinearAttention); !(math.Abs(got-want) <= 1e-9*want) {
		t.Errorf("linear attention saves %g GFLOP, want %g", got, want)
	}
}
