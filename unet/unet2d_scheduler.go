package unet

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"diffuse/schedule"
)

// diffusersScheduler returns the class and the configuration of the scheduler of
// diffusers under which the network is used as its preconditioning says: the one that came
// with the model, else Euler steps for EDM's, DDIM or, for networks that
// return a variance too, DDPM for those trained in steps.
func (m *Model) diffusersScheduler() (class string, text []byte, err error) {
	if o := m.Diffusers; o != nil && o.Scheduler != "" {
		m := schedulerClass.FindStringSubmatch(o.Scheduler)
		if m == nil {
			return "", nil, errors.New("the scheduler that came with the model has no class")
		}
		return m[1], []byte(o.Scheduler), nil
	}
	c, err := m.makeScheduler()
	if err != nil {
		return "", nil, err
	}
	c["_diffusers_version"] = diffusersVersion
	text, err = indented(c)
	return c["_class_name"].(string), text, err
}

// schedulerClass finds the class in a scheduler's configuration, which need not be JSON as Go reads it.
var schedulerClass = regexp.MustCompile(`"_class_name"\s*:\s*"(\w+)"`)

// makeScheduler makes the configuration of a scheduler for the model's preconditioning.
func (m *Model) makeScheduler() (map[string]any, error) {
	trained := m.Discrete
	switch m.Precond {
	case "consistency":
		if m.SigmaRange[0] == 0 {
			return nil, fmt.Errorf("%w: no scheduler there has EDM's preconditioning with a label of 250 ln sigma", ErrNotUNet2D)
		}
		return map[string]any{"_class_name": "CMStochasticIterativeScheduler", "sigma_min": m.SigmaRange[0], "sigma_max": m.SigmaRange[1],
			"sigma_data": m.SigmaData, "num_train_timesteps": 40, "rho": 7.0, "s_noise": 1.0, "clip_denoised": true}, nil
	case "score":
		return map[string]any{"_class_name": "ScoreSdeVeScheduler", "sigma_min": m.SigmaRange[0], "sigma_max": m.SigmaRange[1]}, nil
	case "edm", "edm-v":
		prediction := "epsilon"
		if m.Precond == "edm-v" {
			prediction = "v_prediction"
		}
		return map[string]any{"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": m.SigmaData,
			"sigma_schedule": "karras", "rho": 7.0, "num_train_timesteps": 1000, "prediction_type": prediction, "final_sigmas_type": "zero"}, nil
	case "iddpm": // its levels are those of the capped cosine
		d := schedule.DefaultTrained()
		d.BetaSchedule, trained = "squaredcos_cap_v2", &d
	case "discrete":
	default:
		return nil, fmt.Errorf("%w: no scheduler there has the preconditioning %q", ErrNotUNet2D, m.Precond)
	}
	if trained.TimestepScale != 0 && trained.TimestepScale != 1 {
		return nil, fmt.Errorf("%w: its embedding gets timesteps times %g, there as they are", ErrNotUNet2D, trained.TimestepScale)
	}
	c := map[string]any{"_class_name": "DDIMScheduler", "clip_sample": false,
		"num_train_timesteps": trained.NumTrainTimesteps, "beta_start": trained.BetaStart, "beta_end": trained.BetaEnd,
		"beta_schedule": trained.BetaSchedule, "trained_betas": nil, "prediction_type": trained.PredictionType,
		"rescale_betas_zero_snr": trained.ZeroSNR}
	if len(trained.TrainedBetas) > 0 {
		c["trained_betas"], c["num_train_timesteps"] = trained.TrainedBetas, len(trained.TrainedBetas)
	}
	if m.Net.OutChannels == 2*m.Net.InChannels {
		c["_class_name"], c["variance_type"] = "DDPMScheduler", "learned_range"
	}
	return c, nil
}

// pipelineFor names the pipeline that calls network and scheduler rightly:
// DDPM's and DDIM's neither scale the input nor pass classes, the one for
// consistency models does both whatever the scheduler.
func pipelineFor(scheduler string, classes int) string {
	scales := strings.HasPrefix(scheduler, "EDM") || strings.HasPrefix(scheduler, "Euler") || strings.HasPrefix(scheduler, "Heun") ||
		strings.HasPrefix(scheduler, "LMS") || strings.HasPrefix(scheduler, "KDPM2") || strings.HasPrefix(scheduler, "CM")
	switch {
	case classes > 0 || scales:
		return "ConsistencyModelPipeline"
	case scheduler == "ScoreSdeVeScheduler":
		return "ScoreSdeVePipeline"
	case scheduler == "DDIMScheduler":
		return "DDIMPipeline"
	}
	return "DDPMPipeline"
}
