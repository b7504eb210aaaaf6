package schedule_test

import (
	"math"
	"strings"
	"testing"

	"diffuse/internal/golden"
	"diffuse/schedule"
)

// TestGoldenTrained holds the noise levels of all schedules to diffusers' products ᾱ. It keeps these in float32, where 1 − 0.999, the last factor of
// the cosine schedule, is off by 3e-5.
func TestGoldenTrained(t *testing.T) {
	c := golden.Open(t, "diffusers/sched_betas")
	cosine := schedule.DefaultTrained()
	cosine.BetaSchedule, cosine.NumTrainTimesteps = "squaredcos_cap_v2", 100
	for name, d := range map[string]schedule.Trained{
		"linear":            schedule.DefaultTrained(),
		"scaled_linear":     {NumTrainTimesteps: 1000, BetaStart: 0.00085, BetaEnd: 0.012, BetaSchedule: "scaled_linear"},
		"sigmoid":           {NumTrainTimesteps: 1000, BetaStart: 1e-4, BetaEnd: 0.02, BetaSchedule: "sigmoid"},
		"squaredcos_cap_v2": {NumTrainTimesteps: 1000, BetaSchedule: "squaredcos_cap_v2"},
		"cosine_100":        cosine,
	} {
		table, err := d.Table()
		if err != nil {
			t.Fatal(err)
		}
		sigmas := table.Sigma
		want, _ := c.Float64("alphas_cumprod." + name)
		ratio, ones := make([]float64, len(sigmas)), make([]float64, len(want))
		for i, s := range sigmas {
			ratio[i], ones[i] = 1/(s*s+1)/want[i], 1
		}
		golden.Close(t, name, ratio, ones, 3e-5)
		betas, _ := c.Float64("betas." + name)
		inverse, err := schedule.Trained{TrainedBetas: betas}.Table()
		if err != nil {
			t.Fatal(err)
		}
		again := inverse.Sigma
		for i, s := range again {
			again[i] = s / sigmas[i]
		}
		golden.Close(t, name+" from its betas", again, ones, 1e-4) // float32 betas; 1 − ᾱ loses digits in the first steps
	}
}

// TestTrainedPrecond: at the level of a step the label is that step, and a perfect network gives the clean picture back, whatever it predicts.
func TestTrainedPrecond(t *testing.T) {
	d := schedule.DefaultTrained()
	table, err := d.Table()
	if err != nil {
		t.Fatal(err)
	}
	sigmas := table.Sigma
	const y, n = 0.7, -1.3 // picture and noise
	for _, prediction := range []string{"epsilon", "sample", "v_prediction"} {
		d.PredictionType = prediction
		p, err := d.Precond()
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []int{0, 1, 500, 999} {
			s := sigmas[step]
			alpha := 1 / math.Sqrt(1+s*s)
			f := map[string]float64{"epsilon": n, "sample": y, "v_prediction": alpha*n - alpha*s*y}[prediction]
			skip, out, in, label := p.Scaling(s)
			golden.Close(t, prediction, []float64{skip*(y+s*n) + out*f, in, label}, []float64{y, alpha, float64(step)}, 1e-9*(1+s))
		}
		if _, _, _, label := p.Scaling(math.Sqrt(sigmas[10] * sigmas[11])); !(math.Abs(label-10.5) <= 1e-9) {
			t.Errorf("between steps 10 and 11: %g", label)
		}
		for s, want := range map[float64]float64{1e-6: 0, 1e6: 999} {
			if _, _, _, label := p.Scaling(s); label != want {
				t.Errorf("label of level %g is %g, want %g", s, label, want)
			}
		}
	}
}

func TestTrainedErrors(t *testing.T) {
	for want, spoil := range map[string]func(d *schedule.Trained){
		"num_train_timesteps is 1":  func(d *schedule.Trained) { d.NumTrainTimesteps = 1 },
		"num_train_timesteps is -5": func(d *schedule.Trained) { d.NumTrainTimesteps = -5 },
		`beta_schedule "laplace"`:   func(d *schedule.Trained) { d.BetaSchedule = "laplace" },
		`prediction_type "flow"`:    func(d *schedule.Trained) { d.PredictionType = "flow" },
		"beta of step 0 is 0":       func(d *schedule.Trained) { d.BetaStart = 0 },
		"beta of step 1 is NaN":     func(d *schedule.Trained) { d.TrainedBetas = []float64{0.1, math.NaN()} },
	} {
		d := schedule.DefaultTrained()
		spoil(&d)
		if _, err := d.Precond(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that says %q", err, want)
		}
	}
}
