package schedule

import (
	"fmt"
	"math"
	"sort"
)

// Discrete is the noise schedule that a network was trained on in steps, under the names of diffusers' scheduler_config.json: step t of
// NumTrainTimesteps has the variance preserving signal level ᾱ_t = Π_{s≤t} (1 − beta_s) (DDPM, Ho et al. 2020, eq. 4).
type Discrete struct {
	NumTrainTimesteps int       `json:"num_train_timesteps"`
	BetaStart         float64   `json:"beta_start"`
	BetaEnd           float64   `json:"beta_end"`
	BetaSchedule      string    `json:"beta_schedule"`           // "linear", "scaled_linear", "sigmoid" or "squaredcos_cap_v2"
	TrainedBetas      []float64 `json:"trained_betas,omitempty"` // in place of the four above
	PredictionType    string    `json:"prediction_type"`         // what the network returns: "epsilon", "sample" or "v_prediction"
}

// DefaultDiscrete returns DDPM's schedule, which is what diffusers' schedulers take for absent settings.
func DefaultDiscrete() Discrete {
	return Discrete{NumTrainTimesteps: 1000, BetaStart: 1e-4, BetaEnd: 0.02, BetaSchedule: "linear", PredictionType: "epsilon"}
}

// maxTrainTimesteps bounds what a file may ask for.
const maxTrainTimesteps = 1 << 20

// Sigmas returns the noise levels sigma = sqrt((1−ᾱ)/ᾱ) of the steps, rising. Schedules that do not rise, or end without any signal, are errors.
func (d Discrete) Sigmas() ([]float64, error) {
	betas, err := d.betas()
	if err != nil {
		return nil, err
	}
	sigmas, bar := make([]float64, len(betas)), 1.0
	for t, b := range betas {
		if !(b > 0 && b < 1) {
			return nil, fmt.Errorf("schedule: beta of step %d is %g, want it between 0 and 1", t, b)
		}
		bar *= 1 - b
		sigmas[t] = math.Sqrt((1 - bar) / bar)
		if math.IsInf(sigmas[t], 0) {
			return nil, fmt.Errorf("schedule: no signal is left at step %d", t)
		}
	}
	return sigmas, nil
}

func (d Discrete) betas() ([]float64, error) {
	if len(d.TrainedBetas) > 0 {
		return d.TrainedBetas, nil
	}
	T := d.NumTrainTimesteps
	if T < 2 || T > maxTrainTimesteps {
		return nil, fmt.Errorf("schedule: num_train_timesteps is %d, want 2 to %d", T, maxTrainTimesteps)
	}
	betas := make([]float64, T)
	for t := range betas {
		u := float64(t) / float64(T-1)
		switch d.BetaSchedule {
		case "linear":
			betas[t] = d.BetaStart + u*(d.BetaEnd-d.BetaStart)
		case "scaled_linear":
			r := math.Sqrt(d.BetaStart) + u*(math.Sqrt(d.BetaEnd)-math.Sqrt(d.BetaStart))
			betas[t] = r * r
		case "sigmoid":
			betas[t] = d.BetaStart + (d.BetaEnd-d.BetaStart)/(1+math.Exp(6-12*u))
		case "squaredcos_cap_v2": // improved DDPM (Nichol & Dhariwal 2021), eq. 17
			bar := func(t int) float64 {
				c := math.Cos((float64(t)/float64(T) + 0.008) / 1.008 * math.Pi / 2)
				return c * c
			}
			betas[t] = math.Min(1-bar(t+1)/bar(t), 0.999)
		default:
			return nil, fmt.Errorf("schedule: beta_schedule %q is not built in; known are linear, scaled_linear, sigmoid, squaredcos_cap_v2", d.BetaSchedule)
		}
	}
	return betas, nil
}

// Precond wraps a network that was trained on d: its input is x/sqrt(sigma²+1), its output the noise, the picture or v, and its label the step
// whose level is sigma, interpolated in ln sigma between steps as diffusers' and k-diffusion's samplers do.
func (d Discrete) Precond() (Precond, error) {
	sigmas, err := d.Sigmas()
	if err != nil {
		return Precond{}, err
	}
	var mix func(s float64) (skip, out float64)
	switch d.PredictionType {
	case "epsilon": // D = x − s·F
		mix = func(s float64) (float64, float64) { return 1, -s }
	case "sample": // D = F
		mix = func(float64) (float64, float64) { return 0, 1 }
	case "v_prediction": // D = α·x_vp − σ_vp·F with α = 1/sqrt(s²+1) (Salimans & Ho 2022, appendix D)
		mix = func(s float64) (float64, float64) { return 1 / (s*s + 1), -s / math.Sqrt(s*s+1) }
	default:
		return Precond{}, fmt.Errorf("schedule: prediction_type %q is unknown; known are epsilon, sample, v_prediction", d.PredictionType)
	}
	logs := make([]float64, len(sigmas))
	for t, s := range sigmas {
		logs[t] = math.Log(s)
	}
	return Precond{
		Name: "discrete", SigmaMin: sigmas[0], SigmaMax: sigmas[len(sigmas)-1],
		Scaling: func(s float64) (float64, float64, float64, float64) {
			skip, out := mix(s)
			return skip, out, 1 / math.Sqrt(s*s+1), interpolate(logs, math.Log(s))
		},
	}, nil
}

// interpolate returns the fractional index at which the rising list holds v, at most its ends.
func interpolate(list []float64, v float64) float64 {
	i := sort.SearchFloat64s(list, v)
	switch {
	case i == 0:
		return 0
	case i == len(list):
		return float64(len(list) - 1)
	}
	return float64(i-1) + (v-list[i-1])/(list[i]-list[i-1])
}
