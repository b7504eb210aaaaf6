package distill_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/distill"
	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
)

// network makes a unet.Denoiser a train.Network, as a caller does.
type network struct {
	unet.Denoiser
	augment *tensor.Tensor
}

// WithAugment is train.Augmentable's.
func (n network) WithAugment(labels *tensor.Tensor) train.Network {
	n.augment = labels
	return n
}

func (n network) Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor {
	return n.Denoiser.Denoise(t, x, sigma, unet.Inputs{Labels: labels, Dropout: dropout, Augment: n.augment})
}

func (n network) Encode(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor {
	return n.Denoiser.Denoise(t, x, sigma, unet.Inputs{Labels: labels, Dropout: dropout, Augment: n.augment, EncoderOnly: true})
}

func (n network) DenoiseEncode(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) (y, features *tensor.Tensor) {
	y = n.Denoiser.Denoise(t, x, sigma, unet.Inputs{Labels: labels, Dropout: dropout, Augment: n.augment, OnEncoded: func(h *tensor.Tensor) { features = h }})
	return y, features
}

func (n network) clone() network {
	n.Net = n.Net.Clone()
	return n
}

func build(t testing.TB, c unet.Config) network {
	t.Helper()
	n, err := unet.New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return network{Denoiser: unet.Denoiser{Net: n, Precond: schedule.EDM(0.5)}}
}

// tiny returns a small network with two levels, attention, classes and dropout.
func tiny(t testing.TB) network {
	c := unet.DefaultConfig("song")
	c.Resolution, c.InChannels, c.OutChannels, c.LabelDim, c.AugmentDim = 8, 1, 1, 4, train.AugmentLabels
	c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions, c.Dropout = 8, []int{1, 1}, 1, []int{4}, 0.1
	return build(t, c)
}

// options make a distillation of five steps.
func options() distill.Options {
	o := distill.DefaultOptions()
	o.Seed, o.Duration, o.Batch, o.Microbatch, o.Tick = 7, 40, 8, 3, 16
	o.LR, o.FakeLR, o.EMAHalfLife = 1e-3, 2e-3, 20
	return o
}

// distilling returns a trainer of copies of a tiny teacher.
func distilling(t testing.TB, o distill.Options) *distill.Trainer {
	t.Helper()
	teacher := tiny(t)
	tr, err := distill.NewTrainer(o, distill.Networks{
		Teacher: teacher, Fake: teacher.clone(), Generator: teacher.clone(), EMA: teacher.clone(),
		Height: 8, Width: 8, Channels: 1, Classes: []float64{1, 1, 2, 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// values copies all weights of a network.
func values(n network) map[string][]float32 {
	all := make(map[string][]float32)
	for name, w := range n.Params() {
		all[name] = append([]float32(nil), w.Data...)
	}
	return all
}

// same reports the first place where two sets of weights differ by a bit.
func same(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	for name, w := range want {
		for i := range w {
			if math.Float32bits(got[name][i]) != math.Float32bits(w[i]) {
				t.Errorf("%s: %s[%d] is %v, want %v", what, name, i, got[name][i], w[i])
				return
			}
		}
	}
}

// near fails unless got is within a relative tolerance of want.
func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*math.Abs(want)) {
		t.Errorf("%s is %.9g, want %.9g within %g", what, got, want, tol)
	}
}
