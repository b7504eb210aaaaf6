package sampler_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/sampler"
)

// diffusers' schedulers on closed-form denoisers, with their own grids, quirks of stride and lowering of orders. 1e-5 relative to max(1, |x|) because the peer's tables
// are float32 and some schedulers round their states to it.
func TestDiffusersSchedulers(t *testing.T) {
	for _, file := range []string{"ddim", "ddim_inverse", "ddpm", "dpmsolver", "pndm", "sigma_space", "unipc_deis_sa"} {
		var data struct {
			Oracles map[string]oracleFile
			Cases   []struct {
				Case, Oracle, Sampler, Space string
				Config                       diffusersConfig
				StepOptions                  struct {
					Eta     float64
					Clipped bool `json:"use_clipped_model_output"`
				} `json:"step_options"`
				Timesteps, Sigmas []float64
				X, Noise          [][][]float64
				N                 int
			}
		}
		load(t, "diffusers_"+file+".json", &data)
		for _, c := range data.Cases {
			t.Run(strings.ReplaceAll(c.Case, " ", ""), func(t *testing.T) {
				worstSeen = 0
				r := trajectory{
					what: c.Case, class: c.Sampler, cfg: c.Config, steps: c.N, eta: c.StepOptions.Eta, clipped: c.StepOptions.Clipped,
					churn: sampler.DefaultOptions(), timesteps: c.Timesteps, sigmas: c.Sigmas, scale: unscaled, perPicture: 2,
					tol: func(want []float64) float64 {
						most := 1.0
						for _, v := range want {
							most = max(most, math.Abs(v))
						}
						return 1e-5 * most
					},
				}
				if strings.HasPrefix(c.Space, "vp") {
					r.scale = variancePreserving
				}
				for _, x := range c.X {
					r.states = append(r.states, flat(x))
				}
				for _, x := range c.Noise {
					r.noise = append(r.noise, flat(x))
				}
				g := oracle(t, data.Oracles[c.Oracle])
				r.denoiser = func(int) sampler.Denoiser { return g.Denoise }
				r.follow(t)
				t.Logf("largest difference: %.2g of the tolerance", worstSeen)
			})
		}
	}
}

// The same on stored outputs of a small network, which takes its errors out: what the schedulers make of raw outputs in every kind of prediction. Per
// run 1e-4 of the largest number, which is what the peer's float32 reaches.
func TestDiffusersReplay(t *testing.T) {
	var data struct {
		Cases []struct {
			Case, Scheduler string
			Config          diffusersConfig
			Steps           struct {
				N int `json:"num_inference_steps"`
			} `json:"set_timesteps"`
			Step      map[string]float64 `json:"step_arguments"`
			Timesteps []float64
			Sigmas    []float64
			Latents   [][]float64
			Outputs   [][]float64 `json:"model_output"`
			Noise     [][]float64 `json:"step_noise"`
		}
	}
	load(t, "diffusers_replay.json", &data)
	if len(data.Cases) != 46 {
		t.Errorf("%d cases, want 46", len(data.Cases))
	}
	for _, c := range data.Cases {
		t.Run(c.Case, func(t *testing.T) {
			worstSeen = 0
			r := trajectory{
				what: c.Case, class: c.Scheduler, cfg: c.Config, steps: c.Steps.N, eta: c.Step["eta"], churn: sampler.DefaultOptions(),
				timesteps: c.Timesteps, sigmas: c.Sigmas, scale: variancePreserving, states: c.Latents, noise: c.Noise, perPicture: len(c.Latents[0]),
				tol: func(want []float64) float64 {
					most := 0.0
					for _, v := range want {
						most = max(most, math.Abs(v))
					}
					return 1e-4 * most
				},
			}
			if churn := c.Step["s_churn"]; churn > 0 {
				r.churn.Churn, r.churn.NoiseScale = churn, c.Step["s_noise"]
				if most, ok := c.Step["s_tmax"]; ok {
					r.churn.ChurnMin, r.churn.ChurnMax = c.Step["s_tmin"], most
				}
			}
			for _, prefix := range []string{"Euler", "Heun", "KDPM2", "LMS", "EDM", "CM"} {
				if strings.HasPrefix(c.Scheduler, prefix) {
					r.scale = unscaled
				}
			}
			r.denoiser = func(first int) sampler.Denoiser {
				return stored(c.Scheduler, c.Config, c.Timesteps[first:], c.Outputs[first:])
			}
			r.follow(t)
			t.Logf("largest difference: %.2g of the tolerance", worstSeen)
		})
	}
}

// stored returns the denoiser that turns stored raw outputs into estimates, one an evaluation.
func stored(class string, cfg diffusersConfig, timesteps []float64, outputs [][]float64) sampler.Denoiser {
	done := 0
	return func(dst, x []float64, sigma float64) {
		skip, out := 1.0, -sigma // D = x - sigma·e
		switch {
		case strings.HasPrefix(class, "EDM"):
			const data = 0.5
			r := math.Hypot(sigma, data)
			skip, out = data*data/(r*r), sigma*data/r
		case strings.HasPrefix(class, "CM"):
			const data, low = 0.5, 0.002
			skip, out = data*data/((sigma-low)*(sigma-low)+data*data), (sigma-low)*data/math.Hypot(sigma, data)
		case cfg.Prediction == "v_prediction":
			skip, out = 1/(1+sigma*sigma), -sigma/math.Hypot(1, sigma)
		case cfg.Prediction == "sample":
			skip, out = 0, 1
		}
		for i, v := range outputs[done] {
			dst[i] = skip*x[i] + out*v
		}
		switch class {
		case "CMStochasticIterativeScheduler":
			for i, v := range dst {
				dst[i] = min(max(v, -1), 1)
			}
		case "LCMScheduler": // its boundary condition, in the variance preserving state
			s := 10 * timesteps[done]
			for i, v := range x {
				dst[i] = s/math.Hypot(s, 0.5)*dst[i] + 0.25/(s*s+0.25)*v*variancePreserving(sigma)
			}
		}
		done++
	}
}

// limitQuantile limits each picture to a quantile of |D|, between 1 and most, and divides by it (Saharia et al., arXiv 2205.11487).
func limitQuantile(dst []float64, size int, ratio, most float64) {
	for p := range slices.Chunk(dst, size) {
		sorted := slices.Clone(p)
		for i, v := range sorted {
			sorted[i] = math.Abs(v)
		}
		slices.Sort(sorted)
		at := ratio * float64(size-1)
		lo := int(at)
		q := sorted[lo]
		if lo+1 < size {
			q += (at - float64(lo)) * (sorted[lo+1] - q)
		}
		q = min(max(q, 1), most)
		for i, v := range p {
			p[i] = min(max(v, -q), q) / q
		}
	}
}
