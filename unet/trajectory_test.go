package unet_test

import (
	"fmt"
	"math"
	"testing"

	"diffuse/internal/golden"
	"diffuse/sampler"
	"diffuse/schedule"
)

// TestGoldenTrajectories runs our solvers on EDM's networks and holds every
// state to EDM's own run with the same latents and noise. The tolerance is a
// tenth of the recording's: three times the measured effect of a relative
// error of 1e-6 in the network, of the largest |x|.
func TestGoldenTrajectories(t *testing.T) {
	for name, solve := range map[string]sampler.Sampler{
		"traj_heun18": sampler.Heun, "traj_heun5": sampler.Heun, "traj_churn18": sampler.Heun, "traj_churn6_limits": sampler.Heun,
		"traj_heun_vpnet": sampler.Heun, "traj_heun_venet": sampler.Heun, "traj_heun_iddpmnet": sampler.Heun,
		"traj_abl_heun_edm": sampler.Heun, "traj_abl_euler_edm": sampler.DDIM, "traj_abl_euler_iddpm": sampler.DDIM,
	} {
		t.Run(name, func(t *testing.T) { follow(t, name, solve) })
	}
	// EDM's ablation sampler: step grid, curve, scaling and method follow from the recorded names.
	for _, name := range []string{"traj_abl_heun_edm", "traj_abl_euler_edm", "traj_abl_euler_iddpm",
		"traj_abl_euler_vp", "traj_abl_heun_alpha", "traj_abl_heun_ve", "traj_abl_heun_vp_churn"} {
		t.Run("general/"+name, func(t *testing.T) { follow(t, name, nil) })
	}
}

// A trajectory is the part of a case that says how it was sampled.
type trajectory struct {
	Options struct {
		Steps    int      `json:"num_steps"`
		Churn    float64  `json:"S_churn"`
		ChurnMin float64  `json:"S_min"`
		ChurnMax *float64 `json:"S_max"`
		Noise    *float64 `json:"S_noise"`
		Min      *float64 `json:"sigma_min"`
		Max      *float64 `json:"sigma_max"`
		Rho      *float64 `json:"rho"`
		Grid     string   `json:"discretization"` // the rest: ablation sampler only
		Solver   string
		Schedule string
		Scaling  string
		Alpha    *float64
	}
	Calls     []float64 `json:"call_sigmas"`
	Tolerance string
}

// follow compares one trajectory; a nil solver is made from the case's names.
func follow(t *testing.T, name string, solve sampler.Sampler) {
	c := golden.Open(t, "edm/"+name)
	var j trajectory
	c.JSON("case.json", &j)
	d := loadEDM(t, c)

	o := sampler.DefaultOptions()
	o.Churn, o.ChurnMin = j.Options.Churn, j.Options.ChurnMin
	or(&o.ChurnMax, j.Options.ChurnMax)
	or(&o.NoiseScale, j.Options.Noise)
	if j.Options.Grid == "" {
		j.Options.Grid, j.Options.Schedule, j.Options.Scaling = "edm", "linear", "none"
	}
	grid, err := schedule.DiscretizationByName(j.Options.Grid)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi, rho, alpha := grid.SigmaMin, grid.SigmaMax, 7.0, 1.0
	or(&lo, j.Options.Min)
	or(&hi, j.Options.Max)
	or(&rho, j.Options.Rho)
	or(&alpha, j.Options.Alpha)
	lo, hi = d.Precond.Limit(lo, hi)
	sigmas, err := grid.Grid(j.Options.Steps, lo, hi, rho)
	if err != nil {
		t.Fatal(err)
	}
	sigmas = d.Precond.RoundAll(sigmas)
	curve, err := schedule.CurveByName(j.Options.Schedule, j.Options.Scaling, lo, hi)
	if err != nil {
		t.Fatal(err)
	}
	if solve == nil && j.Options.Solver == "euler" {
		solve = sampler.EulerOver(sampler.Curve(curve))
	} else if solve == nil {
		solve = sampler.HeunOver(sampler.Curve(curve), alpha)
	}
	scale := func(sigma float64) float64 { // s(t), which the recorded states include
		if curve.Scale == nil || sigma == 0 {
			return 1
		}
		return curve.Scale(curve.SigmaInv(sigma))
	}

	var noise []float64 // recorded where it is used
	if c.Has("noise") {
		noise, _ = c.Float64("noise")
	}
	if c.Has("class_labels") {
		d.Labels = classes(c)
	}
	steps, _ := c.Float64("x_steps")
	final, _ := c.Float64("x_final")
	x, _ := c.Float64("latents")
	n := len(x)
	for i := range x {
		x[i] *= sigmas[0]
	}
	if len(steps) != n*j.Options.Steps {
		t.Fatalf("%d recorded values for %d steps of %d", len(steps), j.Options.Steps, n)
	}
	tol, worst := tolerance(t, j.Tolerance)/10, 0.0
	compare := func(what string, x, want []float64, sigma float64) {
		t.Helper()
		z, s := append([]float64(nil), x...), scale(sigma)
		for i := range z {
			z[i] *= s
			worst = max(worst, math.Abs(z[i]-want[i])/golden.MaxAbs(want))
		}
		golden.Close(t, what, z, want, tol*golden.MaxAbs(want))
	}
	step := 0
	o.Noise = func(dst []float64, _, _ float64) { copy(dst, noise[step*n:]) } // the peer draws in every step
	var calls []float64
	denoise := func(dst, x []float64, sigma float64) {
		calls = append(calls, sigma)
		d.At(dst, x, sigma)
	}
	compare("start", x, steps[:n], sigmas[0])
	for s := range solve(denoise, x, sigmas, o) {
		step = s.Step
		want := final
		if step < j.Options.Steps {
			want = steps[step*n:][:n]
		}
		compare(fmt.Sprint("x after step ", step), s.X, want, s.Sigma)
	}
	if step != j.Options.Steps || len(calls) != len(j.Calls) {
		t.Fatalf("%d steps and %d calls of the network, want %d and %d", step, len(calls), j.Options.Steps, len(j.Calls))
	}
	limit := 1e-12
	if d.Precond.Round != nil {
		limit = 2e-6 // rounded to a float32 table, ours off by up to 1.1e-6
	}
	far := 0.0
	for i, s := range calls {
		rel := math.Abs(s/j.Calls[i] - 1)
		if far = max(far, rel); !(rel <= limit) {
			t.Errorf("call %d at sigma %v, want %v", i, s, j.Calls[i])
		}
	}
	t.Logf("states within %.2g of the largest |x|, tolerance %.2g; noise levels within %.2g", worst, tol, far)
}

// TestGoldenCalls holds every single evaluation of the network in EDM's
// trajectories to ours, at the recorded inputs. The tolerance is TestGoldenNetworks'.
func TestGoldenCalls(t *testing.T) {
	for _, name := range []string{"traj_heun18", "traj_heun5", "traj_churn18", "traj_churn6_limits", "traj_heun_vpnet", "traj_heun_venet",
		"traj_heun_iddpmnet", "traj_abl_heun_edm", "traj_abl_euler_edm", "traj_abl_euler_iddpm",
		"traj_abl_euler_vp", "traj_abl_heun_alpha", "traj_abl_heun_ve", "traj_abl_heun_vp_churn"} {
		t.Run(name, func(t *testing.T) {
			c := golden.Open(t, "edm/"+name)
			var j struct {
				Calls []float64 `json:"call_sigmas"`
			}
			c.JSON("case.json", &j)
			d := loadEDM(t, c)
			if c.Has("class_labels") {
				d.Labels = classes(c)
			}
			x, shape := c.Float64("call_x")
			want, _ := c.Float64("call_denoised")
			if len(j.Calls) != shape[0] {
				t.Fatalf("%d noise levels for calls of shape %v", len(j.Calls), shape)
			}
			n := len(x) / shape[0]
			y := make([]float64, n)
			for i, sigma := range j.Calls {
				d.At(y, x[i*n:][:n], sigma)
				w := want[i*n:][:n]
				golden.Close(t, fmt.Sprintf("call %d, sigma %g", i, sigma), y, w, 1e-5*max(1, golden.MaxAbs(w)))
			}
		})
	}
}

func or(x, value *float64) {
	if value != nil {
		*x = *value
	}
}

// tolerance reads the number at the start of a recording's tolerance.
func tolerance(t *testing.T, s string) float64 {
	t.Helper()
	var v float64
	if _, err := fmt.Sscan(s, &v); err != nil || !(v > 0 && v < 0.01) {
		t.Fatalf("tolerance %q", s)
	}
	return v
}

// classes turns recorded one-hot rows into class numbers.
func classes(c *golden.Case) []int {
	v, s := c.Float64("class_labels")
	y := make([]int, s[0])
	for i := range y {
		y[i] = -1
		for k, one := range v[i*s[1]:][:s[1]] {
			if one == 1 {
				y[i] = k
			}
		}
	}
	return y
}
