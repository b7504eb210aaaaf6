package train_test

import (
	"math"
	"math/rand/v2"
	"testing"

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

func (n network) Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor {
	return n.Denoiser.Denoise(t, x, sigma, unet.Inputs{Labels: labels, Dropout: dropout, Augment: n.augment})
}

func (n network) WithAugment(labels *tensor.Tensor) train.Network {
	n.augment = labels
	return n
}

// tiny returns the smallest network that has everything but dropout: two levels, attention, classes.
func tiny(t testing.TB) network {
	t.Helper()
	c := unet.DefaultConfig("song")
	c.Resolution, c.InChannels, c.OutChannels, c.LabelDim = 8, 1, 1, 4
	c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions, c.Dropout = 8, []int{1, 1}, 1, []int{4}, 0
	return build(t, c)
}

func build(t testing.TB, c unet.Config) network {
	t.Helper()
	n, err := unet.New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return network{Denoiser: unet.Denoiser{Net: n, Precond: schedule.EDM(0.5)}}
}

func (n network) clone() network {
	n.Net = n.Net.Clone()
	return n
}

// toy is a data set of 50 pictures, 8×8 grey, of four kinds.
type toy struct{}

func (toy) Len() int             { return 50 }
func (toy) Size() (h, w, c int)  { return 8, 8, 1 }
func (toy) Labels() int          { return 4 }
func (toy) ClassNames() []string { return []string{"a", "b", "c", "d"} }
func (toy) Get(i int, dst []uint8) (int, error) {
	for j := range dst {
		x, y := j%8, j/8
		dst[j] = 40
		if (x+i/4)%8 < 4 == (i%2 == 0) && y > i%4 {
			dst[j] = 220
		}
	}
	return i % 4, nil
}

// options make a run of 20 steps with three ticks.
func options() train.Options {
	o := train.DefaultOptions()
	o.Seed, o.Duration, o.Batch, o.Tick = 7, 160, 8, 56
	o.LR, o.LRRampup, o.EMAHalfLife = 2e-3, 32, 40
	o.Flip, o.ClassDropout = true, 0.1
	return o
}

// values copies all weights of a network.
func values(n train.Network) map[string][]float32 {
	all := make(map[string][]float32)
	for name, w := range n.Params() {
		all[name] = append([]float32(nil), w.Data...)
	}
	return all
}

// same fails unless two sets of weights are equal bit for bit.
func same(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d tensors, want %d", what, len(got), len(want))
	}
	for name, w := range want {
		for i := range w {
			if math.Float32bits(got[name][i]) != math.Float32bits(w[i]) {
				t.Errorf("%s: %s[%d] is %v, want %v", what, name, i, got[name][i], w[i])
				return
			}
		}
	}
}

// steps runs a trainer for n steps and returns what they did.
func steps(t *testing.T, tr *train.Trainer, n int) []train.StepResult {
	t.Helper()
	var all []train.StepResult
	for range n {
		r, err := tr.Step()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// trainer returns a trainer of a tiny network on the toy data.
func trainer(t *testing.T, o train.Options) *train.Trainer {
	t.Helper()
	n := tiny(t)
	tr, err := train.NewTrainer(o, n, n.clone(), toy{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
