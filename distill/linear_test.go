package distill_test

import (
	"iter"
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/distill"
	"diffuse/tensor"
)

// A gaussian is the exact denoiser of N(mean, exp(2·scale)) in one dimension, D = x + sigma²·(mean − x)/(exp(2·scale) + sigma²), as a network with
// two weights.
type gaussian struct{ weights *tensor.Tensor }

func newGaussian(mean, deviation float64) gaussian {
	return gaussian{tensor.From([]float32{float32(mean), float32(math.Log(deviation))}, 2)}
}

func (n gaussian) Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, _ []int, _ []*rand.Rand) *tensor.Tensor {
	y := tensor.New(x.Shape...)
	m, v := float64(n.weights.Data[0]), math.Exp(2*float64(n.weights.Data[1]))
	for i, s := range sigma {
		y.Data[i] = float32((v*float64(x.Data[i]) + s*s*m) / (v + s*s))
	}
	t.Record(y, func(dy []float32) {
		gx, gw := t.Grad(x), t.Grad(n.weights)
		for i, s := range sigma {
			share := s * s / (v + s*s)
			if gx != nil {
				gx[i] += dy[i] * float32(1-share)
			}
			if gw != nil {
				gw[0] += dy[i] * float32(share)
				gw[1] += dy[i] * float32((float64(x.Data[i])-m)*s*s/((v+s*s)*(v+s*s))*2*v)
			}
		}
	}, x, n.weights)
	return y
}

func (n gaussian) Params() iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) { yield("weights", n.weights) }
}

// TestLinear: in one dimension the generator's pictures come to have the teacher's mean and deviation. The generator is linear, y = c·x + (1−c)·m
// with c = v/(v + sigma_init²): its pictures have mean (1−c)·m and deviation c·sigma_init, so that any mean and any deviation
// below sigma_init can be reached.
func TestLinear(t *testing.T) {
	for _, alpha := range []float64{1, 1.2} {
		o := distill.DefaultOptions()
		o.Batch, o.Alpha, o.LR, o.FakeLR, o.Beta2 = 128, alpha, 5e-3, 1e-2, 0.99
		o.EMAHalfLife = 100 * int64(o.Batch)
		teacher := newGaussian(0.5, 0.6)
		net := func() gaussian { return newGaussian(-0.3, 1.5) }
		tr, err := distill.NewTrainer(o, distill.Networks{
			Teacher: teacher, Fake: net(), Generator: net(), EMA: net(), Height: 1, Width: 1, Channels: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3000 {
			if _, err := tr.Step(); err != nil {
				t.Fatal(err)
			}
		}
		w := tr.Nets.EMA.(gaussian).weights.Data
		v := math.Exp(2 * float64(w[1]))
		c := v / (v + o.SigmaInit*o.SigmaInit)
		mean, deviation := (1-c)*float64(w[0]), c*o.SigmaInit
		// One percent of the deviation is the noise of the last hundred batches.
		if math.Abs(mean-0.5) > 0.02 || math.Abs(deviation-0.6) > 0.02 {
			t.Errorf("alpha %g: the pictures have mean %.4f and deviation %.4f, want 0.5 and 0.6", alpha, mean, deviation)
		}
	}
}
