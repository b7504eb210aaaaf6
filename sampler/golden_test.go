package sampler_test

import (
	"fmt"
	"math"
	"testing"

	"diffuse/sampler"
	"diffuse/schedule"
)

// Trajectories of k-diffusion in float64. Agreement between implementations is 1e-12 or better; 1e-9 is held.
func TestKDiffusionGolden(t *testing.T) {
	const tol = 1e-9
	type step struct {
		X, Denoised [][]float64
		Sigma       float64
		SigmaHat    *float64 `json:"sigma_hat"`
	}
	type file struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Oracle string
			Options      struct {
				Churn *float64 `json:"s_churn"`
				Min   float64  `json:"s_tmin"`
				Max   number   `json:"s_tmax"`
				Scale *float64 `json:"s_noise"`
				Eta   *float64
			}
			Sigmas     []float64
			X0         [][]float64
			Trajectory []step
			XFinal     [][]float64 `json:"x_final"`
			CallSigmas []float64   `json:"call_sigmas"`
			NFE        int
			Noise      [][][]float64
		}
	}
	for _, f := range []struct{ name, solver string }{
		{"kdiff_euler", "euler"}, {"kdiff_euler_churn", "k_euler"}, {"kdiff_heun", "heun"}, {"kdiff_heun_churn", "sample_heun"},
		{"kdiff_dpmpp_2m", "DPM++ 2M"}, {"kdiff_euler_ancestral", "euler_a"},
	} {
		t.Run(f.name, func(t *testing.T) {
			worstSeen = 0
			var data file
			load(t, f.name+".json", &data)
			if len(data.Cases) < 10 {
				t.Fatalf("only %d cases", len(data.Cases))
			}
			info, err := sampler.Lookup(f.solver)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range data.Cases {
				o := info.Options()
				if c.Options.Churn != nil {
					o.Churn, o.ChurnMin, o.ChurnMax = *c.Options.Churn, c.Options.Min, float64(c.Options.Max)
				}
				if c.Options.Scale != nil {
					o.NoiseScale = *c.Options.Scale
				}
				if c.Options.Eta != nil {
					o.Eta = *c.Options.Eta
				}
				// The peer draws in every step, we only when the draw is used: hand out the draw of the current step.
				done := 0
				o.Noise = func(dst []float64) { copy(dst, flat(c.Noise[done])) }
				var calls []call
				var x []float64
				for s := range info.Sampler(recorded(oracle(t, data.Oracles[c.Oracle]).Denoise, &calls), flat(c.X0), c.Sigmas, o) {
					what := fmt.Sprintf("%s: step %d", c.Case, s.Step)
					if done++; s.Step != done || s.Sigma != c.Sigmas[done] {
						t.Fatalf("%s: state says step %d, sigma %v", what, s.Step, s.Sigma)
					}
					want := c.Trajectory[done-1]
					near(t, what+" denoised", s.Denoised, flat(want.Denoised), tol)
					if done < len(c.Trajectory) && c.Trajectory[done].SigmaHat == nil {
						near(t, what+" x", s.X, flat(c.Trajectory[done].X), tol)
					}
					x = append(x[:0], s.X...)
				}
				near(t, c.Case+": final x", x, flat(c.XFinal), tol)
				if len(calls) != c.NFE || len(calls) != info.NFE(len(c.Sigmas)-1) {
					t.Errorf("%s: %d evaluations, peer %d, table %d", c.Case, len(calls), c.NFE, info.NFE(len(c.Sigmas)-1))
					continue
				}
				for i, w := range c.CallSigmas {
					near(t, c.Case+": sigma of a call", []float64{calls[i].sigma}, []float64{w}, 1e-12)
				}
				// The first call of a step sees x after the noise was added.
				per := len(calls) / max(1, len(c.Trajectory)-1)
				if info.Order == 1 || info.Name == "dpmpp-2m" {
					per = 1
				}
				for i, w := range c.Trajectory {
					near(t, fmt.Sprintf("%s: input %d", c.Case, i), calls[i*per].x, flat(w.X), tol)
				}
			}
			t.Logf("%d cases, largest difference %.2g", len(data.Cases), worstSeen)
		})
	}
}

// EDM's own sampler in float64, from unit-variance latents and a grid made by package schedule.
func TestEDMGolden(t *testing.T) {
	worstSeen = 0
	var data struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Sampler, Oracle string
			Options               struct {
				Steps int     `json:"num_steps"`
				Churn float64 `json:"S_churn"`
				Min   float64 `json:"S_min"`
				Max   *number `json:"S_max"`
				Scale float64 `json:"S_noise"`
			}
			Latents    [][]float64
			XFinal     [][]float64   `json:"x_final"`
			CallsX     [][][]float64 `json:"calls_x"`
			CallSigmas []float64     `json:"call_sigmas"`
			Denoised   [][][]float64
			Noise      [][][]float64
		}
	}
	load(t, "edm_samplers.json", &data)
	seen := 0
	for _, c := range data.Cases {
		if c.Sampler != "edm_heun" {
			continue
		}
		seen++
		sigmas := schedule.Karras(c.Options.Steps, 0.002, 80, 7)
		x := flat(c.Latents)
		for i := range x {
			x[i] *= sigmas[0]
		}
		o := sampler.DefaultOptions()
		if c.Options.Max != nil {
			o.Churn, o.ChurnMin, o.ChurnMax, o.NoiseScale = c.Options.Churn, c.Options.Min, float64(*c.Options.Max), c.Options.Scale
		}
		done := 0
		o.Noise = func(dst []float64) { copy(dst, flat(c.Noise[done])) }
		var calls []call
		for s := range sampler.Heun(recorded(oracle(t, data.Oracles[c.Oracle]).Denoise, &calls), x, sigmas, o) {
			done = s.Step
			if done == len(sigmas)-1 {
				near(t, c.Case, s.X, flat(c.XFinal), 1e-9)
			}
		}
		if len(calls) != len(c.CallSigmas) {
			t.Errorf("%s: %d evaluations, want %d", c.Case, len(calls), len(c.CallSigmas))
			continue
		}
		for i, k := range calls {
			near(t, fmt.Sprintf("%s: sigma of call %d", c.Case, i), []float64{k.sigma}, []float64{c.CallSigmas[i]}, 1e-12)
			near(t, fmt.Sprintf("%s: input %d", c.Case, i), k.x, flat(c.CallsX[i]), 1e-9)
			near(t, fmt.Sprintf("%s: denoised %d", c.Case, i), k.denoised, flat(c.Denoised[i]), 1e-9)
		}
	}
	if seen < 8 {
		t.Errorf("only %d cases of EDM's Heun sampler", seen)
	}
	t.Logf("%d cases, largest difference %.2g", seen, worstSeen)
}

// diff-sampler's Euler and DPM-Solver++(2M), whose grids end above 0.
func TestDiffSamplerGolden(t *testing.T) {
	worstSeen = 0
	seen := map[string]int{}
	for _, name := range []string{"euler", "dpmpp"} {
		var data struct {
			Oracles map[string]oracleFile
			Cases   []struct {
				Case, Oracle string
				Options      struct {
					AFS      bool
					ToZero   bool  `json:"denoise_to_zero"`
					Order    int   `json:"max_order"`
					Lower    *bool `json:"lower_order_final"`
					X0       *bool `json:"predict_x0"`
					Dynamics bool  `json:"dynamic_thresholding"`
				}
				Sigmas []float64
				X      [][][]float64
			}
		}
		load(t, "dsamp_"+name+".json", &data)
		for _, c := range data.Cases {
			o := c.Options
			if o.AFS || o.Dynamics || o.X0 != nil && !*o.X0 {
				continue // variants this package does not offer
			}
			run, sigmas := sampler.DDIM, c.Sigmas
			switch {
			case name == "dpmpp" && o.Order == 2 && o.Lower != nil && !*o.Lower:
				run = sampler.DPMPP2M
			case name == "dpmpp" && o.Order != 1: // order 1 is DDIM
				continue
			}
			if o.ToZero { // one more Euler step, from the last level to 0
				sigmas = append(append([]float64(nil), sigmas...), 0)
			}
			seen[fmt.Sprint(name, o.Order, o.ToZero)]++
			for s := range run(oracle(t, data.Oracles[c.Oracle]).Denoise, flat(c.X[0]), sigmas, sampler.DefaultOptions()) {
				near(t, fmt.Sprintf("%s: step %d", c.Case, s.Step), s.X, flat(c.X[s.Step]), 1e-9)
			}
		}
	}
	if len(seen) != 4 {
		t.Errorf("kinds of cases: %v, want 4", seen)
	}
	t.Logf("cases %v, largest difference %.2g", seen, worstSeen)
}

// Two atoms at -1 and 1, grids that end at 0.05: k-diffusion's runs.
func TestTwoAtomsGolden(t *testing.T) {
	worstSeen = 0
	var data struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Kind, Oracle, Sampler string
			Sigmas                      []float64
			X0                          [][]float64
			XFinal                      [][]float64 `json:"x_final"`
		}
	}
	load(t, "oracles.json", &data)
	seen := 0
	for _, c := range data.Cases {
		if c.Kind != "run" {
			continue
		}
		seen++
		info, err := sampler.Lookup(c.Sampler)
		if err != nil {
			t.Fatal(err)
		}
		var x []float64
		for s := range info.Sampler(oracle(t, data.Oracles[c.Oracle]).Denoise, flat(c.X0), c.Sigmas, info.Options()) {
			x = s.X
		}
		near(t, c.Case, x, flat(c.XFinal), 1e-9)
	}
	if seen < 9 {
		t.Errorf("only %d runs on two atoms", seen)
	}
	t.Logf("%d runs, largest difference %.2g", seen, worstSeen)
}

// diffusers' DDIM works on the variance preserving state with eta 0, 0.4 and 1. Our state divided by
// sqrt(1 + sigma²) must follow it. 1e-5 because the peer's alpha tables are float32.
func TestDDIMAgainstVariancePreserving(t *testing.T) {
	var data struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Oracle string
			Config       struct {
				Clip     bool   `json:"clip_sample"`
				Kind     string `json:"prediction_type"`
				One      *bool  `json:"set_alpha_to_one"`
				Offset   int    `json:"steps_offset"`
				Spacing  string `json:"timestep_spacing"`
				Schedule string `json:"beta_schedule"`
			}
			StepOptions struct{ Eta float64 } `json:"step_options"`
			Steps       []struct{ Sigma float64 }
			X, Noise    [][][]float64
		}
	}
	load(t, "diffusers_ddim.json", &data)
	etas := map[float64]int{}
	for _, c := range data.Cases {
		k := c.Config
		if k.Clip || k.One != nil || k.Offset != 0 || k.Spacing != "" || k.Kind != "" {
			continue // other grids and predictions; the step itself is what is tested here
		}
		etas[c.StepOptions.Eta]++
		var sigmas []float64
		for _, s := range c.Steps {
			sigmas = append(sigmas, s.Sigma)
		}
		sigmas = append(sigmas, 0)
		x := flat(c.X[0])
		for i := range x {
			x[i] *= math.Sqrt(1 + sigmas[0]*sigmas[0])
		}
		o := sampler.DefaultOptions()
		o.Eta = c.StepOptions.Eta
		done := 0
		o.Noise = func(dst []float64) { copy(dst, flat(c.Noise[done])) }
		for s := range sampler.DDIM(oracle(t, data.Oracles[c.Oracle]).Denoise, x, sigmas, o) {
			done = s.Step
			vp := append([]float64(nil), s.X...)
			for i := range vp {
				vp[i] /= math.Sqrt(1 + s.Sigma*s.Sigma)
			}
			near(t, fmt.Sprintf("%s: step %d", c.Case, s.Step), vp, flat(c.X[s.Step]), 1e-5)
		}
	}
	if etas[0] == 0 || etas[0.4] == 0 || etas[1] == 0 {
		t.Errorf("eta values tested: %v", etas)
	}
}
