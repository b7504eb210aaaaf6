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

// TestWarmUp: in one dimension the warm-up leads to a generator that makes of any noise what the teacher's flow makes of it, m + s·(sigma_max·z − m)/√(s² + sigma_max²) for
// the Gaussian of mean m and deviation s.
func TestWarmUp(t *testing.T) {
	o := distill.DefaultOptions()
	o.Batch, o.WarmImages, o.WarmSteps, o.WarmLR, o.Beta2 = 64, 64*1500, 60, 1e-2, 0.99
	o.EMAHalfLife = 50 * int64(o.Batch)
	const m, s = 0.5, 0.6
	net := func() gaussian { return newGaussian(-0.3, 1.5) }
	tr, err := distill.NewTrainer(o, distill.Networks{
		Teacher: newGaussian(m, s), Fake: newGaussian(m, s), Generator: net(), EMA: net(), Height: 1, Width: 1, Channels: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	for tr.Images < o.WarmImages {
		if _, err := tr.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if tr.Generator.Steps != 0 {
		t.Errorf("after the warm-up Adam has done %d steps, want a fresh start", tr.Generator.Steps)
	}
	for _, z := range []float64{-2, 0, 0.5, 2} {
		x := tensor.From([]float32{float32(o.SigmaInit * z)}, 1, 1, 1, 1)
		got := float64(tr.Nets.EMA.Denoise(nil, x, []float64{o.SigmaInit}, nil, nil).Data[0])
		want := m + s*(o.SigmaMax*z-m)/math.Hypot(s, o.SigmaMax)
		if !(math.Abs(got-want) <= 0.01) { // the solver is within 0.005 of the flow, the rest is Adam's noise
			t.Errorf("the picture of noise %g is %.4f, the teacher's %.4f", z, got, want)
		}
	}
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
		if !(math.Abs(mean-0.5) <= 0.02) || !(math.Abs(deviation-0.6) <= 0.02) {
			t.Errorf("alpha %g: the pictures have mean %.4f and deviation %.4f, want 0.5 and 0.6", alpha, mean, deviation)
		}
	}
}
