package sampler_test

import (
	"fmt"
	"math"
	"testing"

	"diffuse/sampler"
	"diffuse/schedule"
)

// curve returns one of EDM's curves by its names.
func curve(t *testing.T, name, scaling string, min, max float64) sampler.Curve {
	t.Helper()
	c, err := schedule.CurveByName(name, scaling, min, max)
	if err != nil {
		t.Fatal(err)
	}
	return sampler.Curve(c)
}

// EDM's ablation sampler in float64, all recorded combinations of step grid, sigma(t), s(t), solver, alpha and
// churn, from their names alone. 1e-11 holds but in two runs: without churn the peer still adds noise of strength
// sqrt(sigma(t(sigma))² - sigma²), which is 0 but for rounding. There, at sigma 5.8, it is 1.88486e-7, the root of five
// units in the last place of sigma²: the four numbers differ by that times the peer's third draw (recorded in the run with churn,
// which has the same latents), all by the same factor to seven digits.
func TestAblationGolden(t *testing.T) {
	worstSeen = 0
	var data struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Sampler, Oracle string
			Options               struct {
				Steps                     int      `json:"num_steps"`
				Churn                     float64  `json:"S_churn"`
				Min                       float64  `json:"S_min"`
				Max                       *number  `json:"S_max"`
				Scale                     *float64 `json:"S_noise"`
				Solver, Schedule, Scaling string
				Grid                      string `json:"discretization"`
				Alpha                     *float64
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
	n, worst := 0, map[float64]float64{}
	for _, c := range data.Cases {
		if c.Sampler != "edm_ablation" {
			continue
		}
		n++
		k := c.Options
		g, err := schedule.DiscretizationByName(k.Grid)
		if err != nil {
			t.Fatal(err)
		}
		sigmas, err := g.Grid(k.Steps, g.SigmaMin, g.SigmaMax, 7)
		if err != nil {
			t.Fatal(err)
		}
		over, alpha := curve(t, k.Schedule, k.Scaling, g.SigmaMin, g.SigmaMax), 1.0
		if k.Alpha != nil {
			alpha = *k.Alpha
		}
		solve := sampler.HeunOver(over, alpha)
		if k.Solver == "euler" {
			solve = sampler.EulerOver(over)
		}
		o := sampler.DefaultOptions()
		if k.Max != nil {
			o.Churn, o.ChurnMin, o.ChurnMax, o.NoiseScale = k.Churn, k.Min, float64(*k.Max), *k.Scale
		}
		x := flat(c.Latents)
		for i := range x {
			x[i] *= sigmas[0]
		}
		done := 0
		o.Noise = func(dst []float64, _, _ float64) { copy(dst, flat(c.Noise[done])) } // the peer draws in every step
		var calls []call
		var final []float64
		for s := range solve(recorded(oracle(t, data.Oracles[c.Oracle]).Denoise, &calls), x, sigmas, o) {
			done, final = s.Step, s.X
		}
		tol := 1e-11
		if k.Grid == "edm" && k.Schedule == "vp" {
			tol = 3e-7
		}
		near(t, c.Case, final, flat(c.XFinal), tol)
		if done != k.Steps || len(calls) != len(c.CallSigmas) {
			t.Errorf("%s: %d steps and %d evaluations, want %d and %d", c.Case, done, len(calls), k.Steps, len(c.CallSigmas))
			continue
		}
		for i, k := range calls {
			near(t, fmt.Sprintf("%s: sigma of call %d", c.Case, i), []float64{k.sigma}, []float64{c.CallSigmas[i]}, 1e-11)
			near(t, fmt.Sprintf("%s: input %d", c.Case, i), k.x, flat(c.CallsX[i]), tol)
			near(t, fmt.Sprintf("%s: denoised %d", c.Case, i), k.denoised, flat(c.Denoised[i]), tol)
		}
		worst[tol], worstSeen = max(worst[tol], worstSeen), 0
	}
	if n != 14 {
		t.Errorf("%d cases, want 14", n)
	}
	t.Logf("%d cases, largest difference %.2g, in the two runs with the peer's rounding noise %.2g", n, worst[1e-11], worst[3e-7])
}

// On EDM's own curve the general methods are DDIM and Heun, with churn and to an end above 0 too.
func TestLinearCurveIsHeun(t *testing.T) {
	g := gmm2()
	for _, end := range []int{18, 19} {
		for _, churn := range []float64{0, 10} {
			sigmas := schedule.Karras(18, .002, 80, 7)[:end]
			x := []float64{30, -50, 3, 80}
			run := func(s sampler.Sampler) (states, calls []float64) {
				o := sampler.DefaultOptions()
				o.Churn, o.ChurnMax, o.Noise = churn, 50, sampler.White(sampler.BatchNoise([]uint64{3, 4}, 2, "churn"))
				d := func(dst, x []float64, sigma float64) { calls = append(calls, sigma); g.Denoise(dst, x, sigma) }
				for v := range s(d, x, sigmas, o) {
					states = append(append(append(states, v.Sigma, float64(v.Step)), v.X...), v.Denoised...)
				}
				return states, calls
			}
			for _, c := range []struct {
				name       string
				ours, want sampler.Sampler
			}{
				{"heun", sampler.HeunOver(sampler.Curve(schedule.LinearCurve()), 1), sampler.Heun},
				{"ddim", sampler.EulerOver(sampler.Curve(schedule.LinearCurve())), sampler.DDIM},
			} {
				states, calls := run(c.ours)
				wantStates, wantCalls := run(c.want)
				what := fmt.Sprintf("%s, %d levels, churn %v", c.name, end, churn)
				near(t, what, states, wantStates, 1e-12)
				same(t, what+": noise levels of calls", calls, wantCalls)
			}
		}
	}
}

// Order of convergence on the exact Gaussian, as in TestConvergenceOrder, for every curve and second stage. The
// constants of the VP curves are those of the whole diffusion, not of the part that is integrated. The midpoint method is of
// order 3 on the unscaled linear and ve curves here, since the first term of its error vanishes for one Gaussian.
func TestCurveOrder(t *testing.T) {
	const from, to, x0 = 10.0, 0.1, 7.0
	g, exact := gauss()
	curves := map[string]sampler.Curve{
		"linear": sampler.Curve(schedule.LinearCurve()), "linear, scaled": curve(t, "linear", "vp", to, from),
		"ve": curve(t, "ve", "none", to, from), "ve, scaled": curve(t, "ve", "vp", to, from),
		"vp": sampler.Curve(schedule.VPCurve(19.9, 0.1)), "vp, scaled": sampler.Curve(schedule.VPCurve(19.9, 0.1).VariancePreserving()),
	}
	for name, c := range curves {
		for _, m := range []struct {
			name  string
			solve sampler.Sampler
			order float64
		}{
			{"euler", sampler.EulerOver(c), 1}, {"heun", sampler.HeunOver(c, 1), 2},
			{"ralston", sampler.HeunOver(c, 2./3), 2}, {"midpoint", sampler.HeunOver(c, 0.5), 2}, {"alpha 0.3", sampler.HeunOver(c, 0.3), 2},
		} {
			var errs []float64
			for _, steps := range []int{640, 1280} {
				sigmas := schedule.Karras(steps+1, to, from, 7)[:steps+1]
				x := last(m.solve(g.Denoise, []float64{x0}, sigmas, sampler.DefaultOptions()))
				errs = append(errs, math.Abs(x[0]-exact(x0, from, to)))
			}
			if m.name == "midpoint" && (name == "linear" || name == "ve") {
				m.order = 3
			}
			slope := math.Log2(errs[0] / errs[1])
			t.Logf("%-14s %-9s errors %.2e slope %.3f", name, m.name, errs, slope)
			if d := math.Abs(slope - m.order); !(d <= 0.1) {
				t.Errorf("%s, %s: errors %v, order %v, want %v", name, m.name, errs, slope, m.order)
			}
		}
	}
}

// A last step to 0 is Euler's: with sigma = t it lands on the denoised picture, with sigma = sqrt(t) half-way.
func TestCurveLastStep(t *testing.T) {
	g, x := gmm2(), []float64{3, -5, 0.3, 8}
	den, half := make([]float64, 4), make([]float64, 4)
	g.Denoise(den, x, 4)
	for i := range x {
		half[i] = (x[i] + den[i]) / 2
	}
	for _, s := range []func(sampler.Curve) sampler.Sampler{sampler.EulerOver, func(c sampler.Curve) sampler.Sampler { return sampler.HeunOver(c, 0.5) }} {
		near(t, "linear", last(s(curve(t, "linear", "none", 0, 0))(g.Denoise, x, []float64{4, 0}, sampler.DefaultOptions())), den, 1e-14)
		near(t, "ve", last(s(curve(t, "ve", "none", 0, 0))(g.Denoise, x, []float64{4, 0}, sampler.DefaultOptions())), half, 1e-14)
	}
}

// A run leaves its start alone and can be run again, may be left early, and treats every picture alike.
func TestCurveSequence(t *testing.T) {
	g, x := gmm2(), []float64{30, -50, 3, 80}
	sigmas := schedule.VPSteps(6, .01, 152, 1e-3)
	run := sampler.HeunOver(curve(t, "vp", "vp", .01, 152), 1)
	seq := run(g.Denoise, x, sigmas, sampler.DefaultOptions()) // draws nothing: no noise source is needed
	first := last(seq)
	same(t, "second run", last(seq), first)
	same(t, "start", x, []float64{30, -50, 3, 80})
	same(t, "second picture alone", last(run(g.Denoise, x[2:], sigmas, sampler.DefaultOptions())), first[2:])
	for s := range seq {
		if s.Sigma != sigmas[s.Step] {
			t.Errorf("step %d at level %v, want %v", s.Step, s.Sigma, sigmas[s.Step])
		}
		if s.Step == 3 {
			break
		}
	}
}

func TestCurveBugs(t *testing.T) {
	c := sampler.Curve(schedule.VECurve())
	for _, alpha := range []float64{0, -1, 1.01, math.NaN(), math.Inf(1)} {
		panics(t, fmt.Sprint("alpha ", alpha), "alpha", func() { sampler.HeunOver(c, alpha) })
	}
	panics(t, "empty curve", "curve lacks", func() { sampler.EulerOver(sampler.Curve{}) })
	c.Scale = c.Sigma
	panics(t, "scale without its derivative", "ScaleDeriv", func() { sampler.HeunOver(c, 1) })
	c.Scale = nil
	panics(t, "no denoiser", "nil denoiser", func() { sampler.EulerOver(c)(nil, []float64{1}, []float64{1, 0}, sampler.DefaultOptions()) })
}
