package unet_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/skiptune"
	"diffuse/tensor"
	"diffuse/unet"
)

// TestCheckpointBlocks: outputs and the gradients of weights and pictures have the same bytes with and without recomputation, in every
// kind of network, with dropout, classes and skips that are weighted differently for the two uses of a join.
func TestCheckpointBlocks(t *testing.T) {
	song := tinyConfig()
	song.Dropout = 0.2
	ncsnpp := song
	ncsnpp.EmbeddingType, ncsnpp.EncoderType, ncsnpp.DecoderType, ncsnpp.ChannelMultNoise = "fourier", "residual", "skip", 2
	adm := song
	adm.ModelType, adm.ModelChannels = "adm", 64
	patch := song
	patch.Resolution, patch.PatchSize = 16, 2
	uvit := tinyUViT()
	uvit.Dropout, uvit.SkipPer = 0.2, unet.SkipPerLevel
	for name, c := range map[string]unet.Config{"song": song, "ncsn++": ncsnpp, "adm": adm, "patches": patch, "uvit": uvit} {
		d, err := stirred(t, c).Denoiser([]int{0, -1})
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(3, 4))
		d.Net = d.WithSkipRule(func(float64) []skiptune.Join {
			joins := skiptune.Fixed(make([]float32, d.Skips()))
			for i := range joins {
				joins[i].Norm, joins[i].Shortcut = 0.9, 1.1
			}
			return joins
		})
		x := tensor.New(2, c.Resolution, c.Resolution, 1)
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
		run := func(checkpoint bool) (values [][]float32) {
			d.CheckpointBlocks = checkpoint
			wrt := []*tensor.Tensor{x}
			for _, p := range d.Params() {
				wrt = append(wrt, p)
			}
			tape := tensor.NewTape(wrt...)
			defer tape.Free()
			y := d.Denoise(tape, x, []float64{0.5, 3}, unet.Inputs{Dropout: []*rand.Rand{rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, 2))}})
			values = append(values, append([]float32(nil), y.Data...))
			tape.Seed(y, y.Data)
			tape.Backward()
			for _, w := range wrt {
				values = append(values, append([]float32(nil), tape.Grad(w)...))
			}
			return values
		}
		want, got := run(false), run(true)
		for i := range want {
			for j, v := range want[i] {
				if math.Float32bits(got[i][j]) != math.Float32bits(v) || v != v {
					t.Fatalf("%s: value %d of result %d is %v, without checkpoints %v", name, j, i, got[i][j], v)
				}
			}
		}
	}
}
