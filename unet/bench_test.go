package unet_test

import (
	"math/rand/v2"
	"testing"

	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/unet"
)

// fashion is the architecture of the embedded model.
func fashion() unet.Config {
	c := unet.DefaultConfig("song")
	c.Resolution, c.InChannels, c.OutChannels, c.LabelDim, c.PatchSize = 28, 1, 1, 10, 2
	c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions, c.Dropout = 64, []int{1, 1}, 1, []int{7}, 0
	return c
}

func benchNet(b *testing.B, batch int) (unet.Denoiser, *tensor.Tensor, []float64, unet.Inputs) {
	r := rand.New(rand.NewPCG(1, 2))
	n, err := unet.New(fashion(), r)
	if err != nil {
		b.Fatal(err)
	}
	x := tensor.New(batch, 28, 28, 1)
	sigma, labels := make([]float64, batch), make([]int, batch)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	for i := range sigma {
		sigma[i], labels[i] = 1, i%10
	}
	return unet.Denoiser{Net: n, Precond: schedule.EDM(0.5)}, x, sigma, unet.Inputs{Labels: labels}
}

func BenchmarkFashionTrainStep(b *testing.B) {
	const batch = 64
	d, x, sigma, in := benchNet(b, batch)
	var params []*tensor.Tensor
	for _, p := range d.Params() {
		params = append(params, p)
	}
	for b.Loop() {
		t := tensor.NewTape(params...)
		y := d.Denoise(t, x, sigma, in)
		t.Seed(y, x.Data)
		t.Backward()
		t.Free()
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
}

func BenchmarkFashionDenoise(b *testing.B) {
	const batch = 64
	d, x, sigma, in := benchNet(b, batch)
	for b.Loop() {
		tensor.Recycle(nil, d.Denoise(nil, x, sigma, in))
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
}
