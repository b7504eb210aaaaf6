package train_test

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"diffuse/schedule"
	"diffuse/train"
)

// objectives are ways to train that differ in everything an Objective says.
func objectives() map[string]train.Objective {
	return map[string]train.Objective{
		"simple diffusion": {Noise: "cosine:shift=4", Precond: "v", Loss: "eps", LossScales: 2},
		"SiD2":             {Noise: "cosine:interpolate=4:8", Precond: "v", Loss: "sigmoid", Augment: 0.3},
		"zero SNR":         {Noise: "linear:zero-snr,timesteps=100", Precond: "v", Loss: "v"},
		"DDPM":             {Noise: "linear", Precond: "eps", Loss: "eps"},
		"picture":          {Noise: "v-diffusion", Precond: "x0", Loss: "min-snr"},
		"k-diffusion":      {Noise: "cosine-interpolated:low=4", Precond: "edm", Loss: "soft-min-snr", LossDCT: 2},
	}
}

// objectiveTrainer trains the tiny network for an objective.
func objectiveTrainer(t *testing.T, ob train.Objective) *train.Trainer {
	t.Helper()
	o := options()
	o.Objective, o.Batch, o.LR, o.Microbatch = ob, 16, 5e-3, 5
	c := tiny(t).Config
	if ob.Augment > 0 {
		c.AugmentDim = train.AugmentLabels
	}
	n := build(t, c)
	var err error
	if n.Precond, err = o.Preconditioning(); err != nil {
		t.Fatal(err)
	}
	tr, err := train.NewTrainer(o, n, n.clone(), toy{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestObjectives: whatever the network returns, it learns. The last ten losses of 40 are compared with the first ten by their geometric means,
// since some weights let single noise levels dominate.
func TestObjectives(t *testing.T) {
	for _, name := range []string{"simple diffusion", "zero SNR", "DDPM", "picture"} {
		all := steps(t, objectiveTrainer(t, objectives()[name]), 40)
		first, last := middle(all[:10]), middle(all[30:])
		t.Logf("%s: loss %.4g, then %.4g", name, first, last)
		if !(last < 0.9*first) {
			t.Errorf("%s: the loss went from %g to %g, want less than 0.9 times as much", name, first, last)
		}
	}
}

// middle is the geometric mean of the losses.
func middle(r []train.StepResult) float64 {
	var sum float64
	for _, s := range r {
		sum += math.Log(s.Loss)
	}
	return math.Exp(sum / float64(len(r)))
}

// TestObjectiveThreads: losses by scale and augmentation do not depend on the number of threads either.
func TestObjectiveThreads(t *testing.T) {
	for _, name := range []string{"SiD2", "simple diffusion", "k-diffusion"} {
		var want map[string][]float32
		for _, n := range []int{1, 3} {
			old := runtime.GOMAXPROCS(n)
			tr := objectiveTrainer(t, objectives()[name])
			steps(t, tr, 4)
			runtime.GOMAXPROCS(old)
			if want == nil {
				want = values(tr.Net)
			}
			same(t, name+" after four steps", values(tr.Net), want)
		}
	}
}

// TestNoiseBySize: the drawn noise levels are those of the schedule shifted for the pictures, here 8×8, so for a reference of 4 the median of sigma,
// 1 in an unshifted cosine, is 8/4.
func TestNoiseBySize(t *testing.T) {
	for spec, want := range map[string]float64{"cosine": 1, "cosine:shift=4": 2, "cosine:shift=4@64": 16, "loguniform:min=0.1,max=10": 1} {
		o := options()
		o.Noise = spec
		l, err := train.NewLoader(toy{}, o)
		if err != nil {
			t.Fatal(err)
		}
		const n = 4000
		b, err := l.Load(0, n)
		if err != nil {
			t.Fatal(err)
		}
		below := 0
		for _, s := range b.Sigma {
			if s < want {
				below++
			}
		}
		if share := float64(below) / n; !(math.Abs(share-0.5) < 0.03) { // standard error .008
			t.Errorf("%s: %.3f of the levels lie below %g, want half", spec, share, want)
		}
	}
}

// TestSide: pictures that are not square are shifted like a square of their area.
func TestSide(t *testing.T) {
	near(t, "side of 32×128", schedule.Side(32, 128), 64, 1e-15)
}

// TestObjectiveErrors: all complaints come at once, and a network without labels for the augmentation is refused.
func TestObjectiveErrors(t *testing.T) {
	_, err := train.UnmarshalOptions([]byte(`{"noise": "cosine:shift=", "precond": "iddpm", "loss": "mse", "loss_scales": 8, "loss_dct": 2, "augment": 1.5, "batch": 0}`))
	for _, field := range []string{"batch", "noise", "precond", "loss:", "loss_scales", "augment"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %s", err, field)
		}
	}
	o := options()
	o.Augment = 0.1
	n := tiny(t)
	if _, err := train.NewTrainer(o, struct{ train.Network }{n}, n.clone(), toy{}); err == nil || !strings.Contains(err.Error(), "augment") {
		t.Errorf("a network that cannot be told: error %v", err)
	}
}
