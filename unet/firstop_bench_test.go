package unet_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/unet"
)

// firstOps are networks for pictures of side×side with levels down to 16×16, of nearly equal parameters: where the first operation
// halves the picture, the finest level is missing and the next one has one more block each way.
func firstOps(side int) map[string]unet.Config {
	plain := unet.DefaultConfig("uvit")
	plain.Resolution, plain.MiddleBlocks, plain.ChannelMult = side, 4, []int{1, 2, 4}
	for s := side / 4; s > 16; s /= 2 {
		plain.ChannelMult = append(plain.ChannelMult, 4)
	}
	halved := func(op string) unet.Config {
		c := plain
		c.FirstOp, c.PatchSize, c.ChannelMult = op, 2, plain.ChannelMult[1:]
		c.EncoderBlocks = slices.Repeat([]int{c.NumBlocks}, len(c.ChannelMult)-1)
		c.EncoderBlocks[0]++
		return c
	}
	return map[string]unet.Config{"none": plain, "patch": halved(unet.FirstPatch), "wavelet": halved(unet.FirstWavelet)}
}

// TestFirstOps: the networks of [BenchmarkFirstOp] differ by less than 3 % in parameters.
func TestFirstOps(t *testing.T) {
	for _, side := range []int{64, 256} {
		all := firstOps(side)
		want := float64(all["none"].Parameters())
		for op, c := range all {
			if got := float64(c.Parameters()); !(math.Abs(got/want-1) < 0.03) {
				t.Errorf("size %d, %s: %.0f parameters, want %.0f", side, op, got, want)
			}
		}
	}
}

// BenchmarkFirstOp times one picture through networks that do or do not shrink it first.
func BenchmarkFirstOp(b *testing.B) {
	for _, side := range []int{64, 128, 256, 512} {
		for _, op := range []string{"none", "patch", "wavelet"} {
			for _, pass := range []string{"denoise", "train"} {
				b.Run(fmt.Sprintf("size=%d/first=%s/pass=%s", side, op, pass), func(b *testing.B) {
					benchPicture(b, firstOps(side)[op], pass == "train")
				})
			}
		}
	}
}

func benchPicture(b *testing.B, c unet.Config, train bool) {
	n, err := unet.New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		b.Fatal(err)
	}
	var params []*tensor.Tensor
	for _, p := range n.Params() {
		params = append(params, p)
	}
	d := unet.Denoiser{Net: n, Precond: schedule.EDM(0.5)}
	x := ramp(1, c.Resolution, c.Resolution, c.InChannels)
	kept := 0
	for b.Loop() {
		if !train {
			tensor.Recycle(nil, d.Denoise(nil, x, []float64{1}, unet.Inputs{}))
			continue
		}
		t := tensor.NewTape(params...)
		y := d.Denoise(t, x, []float64{1}, unet.Inputs{})
		kept = t.Floats()
		t.Seed(y, x.Data)
		t.Backward()
		t.Free()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
	b.ReportMetric(float64(c.Parameters())/1e6, "Mparameters")
	if train {
		b.ReportMetric(4*float64(kept)/1e6, "activations-MB")
	}
}
