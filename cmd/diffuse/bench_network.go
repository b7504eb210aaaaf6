package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"diffuse/distill"
	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
)

// benchBatches are the batches at which a whole network is measured.
var benchBatches = []int{1, 4, 16}

func networkName(batch int) string { return fmt.Sprintf("Network/batch=%d", batch) }

// trainBatch is the batch of a measured training step, and of layers backward.
const trainBatch = 16

// networks measures the evaluation of the whole network, the first one of the process apart, and reports whether that used m up. It comes before all
// else, lest the memory of that be counted.
func (b *bencher) networks(m benchedModel) (used bool) {
	if !b.wants("FirstImage") && !slices.ContainsFunc(benchBatches, func(batch int) bool { return b.wants(networkName(batch)) }) {
		return false
	}
	m.Net = m.Net.Packed()
	r := rand.New(rand.NewPCG(2, 0))
	h, w := m.Size()
	flop := networkCost(m.Net, h, w).GFLOP * 1e9
	evaluate := func(batch int) func() {
		x, sigma := normals(r, batch, h, w, m.InChannels), make([]float64, batch)
		in := unet.Inputs{}
		if m.LabelDim > 0 {
			in.Labels = make([]int, batch)
		}
		for i := range sigma {
			sigma[i] = 1
		}
		return func() { tensor.Recycle(nil, m.Denoise(nil, x, sigma, in)) }
	}
	if name := "FirstImage"; b.wants(name) {
		t := timeCalls(1, evaluate(1))
		b.report(name, t, figure{peakMemory() / 1e6, "peak-MB"})
	}
	for _, batch := range benchBatches {
		name := networkName(batch)
		if !b.wants(name) {
			continue
		}
		t := measure(b.time, nil, evaluate(batch))
		b.report(name, t, append(b.work(flop*float64(batch), t),
			figure{float64(batch) / t.wall, "images/s"}, figure{peakMemory() / 1e6, "peak-MB"})...)
	}
	return true
}

// training measures the steps of a training run on random pictures: loading, forward, backward, Adam and the average. The
// subject's weights are changed.
func (b *bencher) training(m benchedModel) {
	name := fmt.Sprintf("TrainStep/batch=%d", trainBatch)
	if !b.wants(name) || m.OutChannels != m.InChannels || m.InChannels != 1 && m.InChannels != 3 {
		return
	}
	average, err := unet.New(m.Config, rand.New(rand.NewPCG(1, 0)))
	if err != nil {
		b.err = fmt.Errorf("training benchmark: %w", err)
		return
	}
	o := train.DefaultOptions()
	o.Batch, o.Microbatch, o.CheckpointBlocks = trainBatch, max(1, trainBatch/b.threads()), m.CheckpointBlocks
	if o.CheckpointBlocks { // one pass after the other, on all processors
		o.Microbatch = 2
	}
	ema := m.Denoiser
	ema.Net = average
	trainer, err := train.NewTrainer(o, trainee{Denoiser: m.Denoiser}, trainee{Denoiser: ema}, noisePictures{m})
	if err != nil {
		b.err = fmt.Errorf("training benchmark: %w", err)
		return
	}
	t := measure(b.time, nil, func() {
		if _, err := trainer.Step(); err != nil && b.err == nil {
			b.err = fmt.Errorf("training benchmark: %w", err)
		}
	})
	h, w := m.Size()
	flop := 3 * trainBatch * networkCost(m.Net, h, w).GFLOP * 1e9
	b.report(name, t, append(b.work(flop, t), figure{trainBatch / t.wall, "images/s"}, figure{peakMemory() / 1e6, "peak-MB"})...)
}

// distilling measures the steps of a distillation with the subject as the teacher: the fake network's phase and the generator's, each with its
// Adam. A forward pass counts once, a gradient of weights once, a gradient of activations once: 4 units in the first phase, 7 in the second, where a training
// step of plain training has 3.
func (b *bencher) distilling(m benchedModel) {
	name := fmt.Sprintf("DistillStep/batch=%d", trainBatch)
	if !b.wants(name) || m.OutChannels < m.InChannels || m.CheckpointBlocks {
		return
	}
	need := 4 * float64(m.Parameters()) * float64(4+4+2*b.threads()) // weights, moments, gradients
	if need > distillMemory && !strings.Contains(b.filter.String(), "Distill") {
		b.u.note("%s is left out: it would take more than %.0f GB; --filter Distill runs it", name, need/1e9)
		return
	}
	h, w := m.Size()
	own := func() trainee {
		d := m.Denoiser
		d.Net = d.Net.Clone()
		return trainee{Denoiser: d}
	}
	n := distill.Networks{
		Teacher: trainee{Denoiser: m.Denoiser}, Fake: own(), Generator: own(), EMA: own(),
		Height: h, Width: w, Channels: m.InChannels,
	}
	if m.LabelDim > 0 {
		n.Classes = slices.Repeat([]float64{1}, m.LabelDim)
	}
	o := distill.DefaultOptions()
	o.Batch, o.Microbatch = trainBatch, max(1, trainBatch/b.threads())
	o.SigmaMin, o.SigmaMax = m.Precond.Limit(o.SigmaMin, o.SigmaMax)
	trainer, err := distill.NewTrainer(o, n)
	if err != nil {
		b.err = fmt.Errorf("distillation benchmark: %w", err)
		return
	}
	t := measure(b.time, nil, func() {
		if _, err := trainer.Step(); err != nil && b.err == nil {
			b.err = fmt.Errorf("distillation benchmark: %w", err)
		}
	})
	flop := 11 * trainBatch * networkCost(m.Net, h, w).GFLOP * 1e9
	b.report(name, t, append(b.work(flop, t), figure{trainBatch / t.wall, "images/s"}, figure{peakMemory() / 1e6, "peak-MB"})...)
}

// distillMemory is what a distillation's weights may take to be measured unasked.
const distillMemory = 3e9

// noisePictures is a data set of random pictures of a model's size and classes.
type noisePictures struct{ benchedModel }

func (noisePictures) Len() int { return 1 << 12 }

func (d noisePictures) Size() (h, w, c int) {
	h, w = d.Denoiser.Size()
	return h, w, d.InChannels
}

func (d noisePictures) Labels() int { return d.LabelDim }

func (d noisePictures) ClassNames() []string { return make([]string, d.LabelDim) }

// Get fills dst with a fixed picture of noise.
func (d noisePictures) Get(i int, dst []uint8) (label int, err error) {
	r := rand.New(rand.NewPCG(3, uint64(i)))
	for j := range dst {
		dst[j] = uint8(r.Uint32())
	}
	if d.LabelDim == 0 {
		return -1, nil
	}
	return i % d.LabelDim, nil
}

// normals returns a tensor of unit normal numbers.
func normals(r *rand.Rand, shape ...int) *tensor.Tensor {
	x := tensor.New(shape...)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	return x
}
