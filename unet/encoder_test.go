package unet_test

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

// TestEncoder: the encoder alone gives the features that a whole pass shows, for all kinds of networks, and a gradient of these reaches the encoder's weights and
// input only.
func TestEncoder(t *testing.T) {
	for _, kind := range []string{"song", "adm", "uvit"} {
		c := unet.DefaultConfig(kind)
		c.Resolution, c.InChannels, c.OutChannels, c.LabelDim = 16, 1, 1, 2
		c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 32, []int{1, 2}, 1, []int{}
		net, err := unet.New(c, rand.New(rand.NewPCG(1, 2)))
		if err != nil {
			t.Fatal(err)
		}
		d := unet.Denoiser{Net: net, Precond: schedule.EDM(0.5)}
		x := tensor.New(2, 16, 16, 1)
		for i := range x.Data {
			x.Data[i] = float32(math.Sin(float64(i)))
		}
		sigma, labels := []float64{1, 3}, []int{0, 1}
		var want []float32
		d.Denoise(tensor.NewTape(), x, sigma, unet.Inputs{Labels: labels, OnEncoded: func(h *tensor.Tensor) { want = slices.Clone(h.Data) }})
		wrt := []*tensor.Tensor{x}
		for _, w := range net.Params() {
			wrt = append(wrt, w)
		}
		tape := tensor.NewTape(wrt...)
		h := d.Denoise(tape, x, sigma, unet.Inputs{Labels: labels, EncoderOnly: true})
		if !slices.Equal(h.Data, want) || h.Shape[0] != 2 || h.Shape[1] != 8 || h.Shape[2] != 8 {
			t.Errorf("%s: the encoder's features of shape %v differ from those of the whole pass", kind, h.Shape)
		}
		tape.Seed(h, slices.Repeat([]float32{1}, len(h.Data)))
		tape.Backward()
		reached := func(w *tensor.Tensor) bool {
			return slices.ContainsFunc(tape.Grad(w), func(v float32) bool { return v != 0 })
		}
		if !reached(x) {
			t.Errorf("%s: no gradient reached the input", kind)
		}
		encoder := 0
		for name, w := range net.Params() {
			switch {
			case strings.HasPrefix(name, "enc.") && reached(w):
				encoder++
			case strings.HasPrefix(name, "dec.") && reached(w):
				t.Errorf("%s: a gradient reached %s", kind, name)
			}
		}
		if encoder == 0 {
			t.Errorf("%s: no gradient reached the encoder's weights", kind)
		}
	}
}
