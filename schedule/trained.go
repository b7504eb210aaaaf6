package schedule

import (
	"fmt"
	"math"
)

// Trained is the noise schedule that a network was trained on in steps, under the names of diffusers' scheduler_config.json: step t of
// NumTrainTimesteps has the variance preserving signal level ᾱ_t = Π_{s≤t} (1 − beta_s) (DDPM, Ho et al. 2020, eq. 4).
type Trained struct {
	NumTrainTimesteps int       `json:"num_train_timesteps"`
	BetaStart         float64   `json:"beta_start"`
	BetaEnd           float64   `json:"beta_end"`
	BetaSchedule      string    `json:"beta_schedule"`                    // "linear", "scaled_linear", "sigmoid" or "squaredcos_cap_v2"
	TrainedBetas      []float64 `json:"trained_betas,omitempty"`          // in place of the four above
	PredictionType    string    `json:"prediction_type"`                  // what the network returns: "epsilon", "sample" or "v_prediction"
	ZeroSNR           bool      `json:"rescale_betas_zero_snr,omitempty"` // no signal at the last step, whose level stands as 4096 (arXiv 2305.08891)
	TimestepScale     float64   `json:"timestep_scale,omitempty"`         // the network's label is the step times this; 0 = 1
}

// DefaultTrained returns DDPM's schedule, which is what diffusers' schedulers take for absent settings.
func DefaultTrained() Trained {
	return Trained{NumTrainTimesteps: 1000, BetaStart: 1e-4, BetaEnd: 0.02, BetaSchedule: "linear", PredictionType: "epsilon"}
}

// Table returns the noise levels of the steps. Schedules whose levels do not rise, or that end without any signal but for ZeroSNR, which makes the last
// level infinite, are errors.
func (d Trained) Table() (Table, error) {
	betas, err := d.betas()
	if err != nil {
		return Table{}, err
	}
	for t, b := range betas {
		if !(b > 0 && b < 1) {
			return Table{}, fmt.Errorf("schedule: beta of step %d is %g, want it between 0 and 1", t, b)
		}
	}
	if d.ZeroSNR {
		betas = rescaleZeroSNR(betas, exactly)
	}
	table, err := NewTable(betas)
	if err != nil {
		return Table{}, fmt.Errorf("schedule: %w", err)
	}
	if last := len(betas) - 1; math.IsInf(table.Sigma[last], 0) && !d.ZeroSNR {
		return Table{}, fmt.Errorf("schedule: no signal is left at step %d", last)
	}
	return table, nil
}

func (d Trained) betas() ([]float64, error) {
	if len(d.TrainedBetas) > 0 {
		return d.TrainedBetas, nil
	}
	T := d.NumTrainTimesteps
	if T < 2 || T > maxTable {
		return nil, fmt.Errorf("schedule: num_train_timesteps is %d, want 2 to %d", T, maxTable)
	}
	switch d.BetaSchedule {
	case "linear":
		return LinearBetas(T, d.BetaStart, d.BetaEnd), nil
	case "scaled_linear":
		return ScaledLinearBetas(T, d.BetaStart, d.BetaEnd), nil
	case "sigmoid":
		return SigmoidBetas(T, d.BetaStart, d.BetaEnd), nil
	case "squaredcos_cap_v2":
		return BetasOf(SquaredCosine, T), nil
	}
	return nil, fmt.Errorf("schedule: beta_schedule %q is not built in; known are linear, scaled_linear, sigmoid, squaredcos_cap_v2", d.BetaSchedule)
}

// Precond wraps a network that was trained on d: its input is x/sqrt(sigma²+1), its output the noise, the picture or v, and its label the step
// whose level is sigma, interpolated in ln sigma between steps as diffusers' and k-diffusion's samplers do ([Table.Timestep]); with ZeroSNR, that of
// [PureNoise] is the last.
func (d Trained) Precond() (Precond, error) {
	table, err := d.Table()
	if err != nil {
		return Precond{}, err
	}
	var mix func(s float64) (skip, out float64)
	switch d.PredictionType {
	case "epsilon":
		mix = epsMix
	case "sample":
		mix = x0Mix
	case "v_prediction":
		mix = vMix
	default:
		return Precond{}, fmt.Errorf("schedule: prediction_type %q is unknown; known are epsilon, sample, v_prediction", d.PredictionType)
	}
	scale := d.TimestepScale
	if scale == 0 {
		scale = 1
	}
	if !(scale > 0 && scale < 1e6) {
		return Precond{}, fmt.Errorf("schedule: timestep_scale is %g, want a positive number", scale)
	}
	last := len(table.Sigma) - 1
	return Precond{
		Name: "discrete", SigmaMin: table.Sigma[0], SigmaMax: table.Sigma[last],
		Scaling: func(s float64) (float64, float64, float64, float64) {
			skip, out := mix(s)
			step := table.Timestep(s)
			if d.ZeroSNR && s == PureNoise { // which lies below the level of the step before
				step = float64(last)
			}
			return skip, out, 1 / math.Sqrt(s*s+1), scale * step
		},
	}, nil
}
