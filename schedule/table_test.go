package schedule_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/internal/golden"
	"diffuse/schedule"
)

func discrete(t *testing.T, spec string) *schedule.Discrete {
	t.Helper()
	s, err := schedule.Lookup(spec)
	if err != nil {
		t.Fatal(err)
	}
	if s.Discrete == nil {
		t.Fatalf("%s has no table", spec)
	}
	return s.Discrete
}

func pick(v []float64, index []int) []float64 {
	r := make([]float64, len(index))
	for i, j := range index {
		r[i] = v[j]
	}
	return r
}

// Tables of diffusers in float32, held to the last bits of float32 where those are significant; own tables in float64.
func TestBetasGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case, Kind   string
			Config       struct{ BetaStart, BetaEnd float64 }
			ZeroSNR      bool `json:"zero_snr"`
			Float32      bool
			Index        []int
			Beta         []float64
			AlphaBar     []float64 `json:"alpha_bar"`
			SigmaVE      []float64 `json:"sigma_ve"`
			Spacing      string
			Offset, N    int
			Timesteps    []float64
			Sigma        []float64
			Interpolated []float64 `json:"sigma_to_t_interpolated"`
			Quantized    []float64 `json:"sigma_to_t_quantized"`
			T            []float64
			At           []float64 `json:"t_to_sigma"`
			KDiffusion   []float64 `json:"get_sigmas_10"`
		}
	}
	load(t, "samplers/schedules_betas.json", &file)
	specs := map[string]string{
		"linear": "linear:float32", "scaled_linear": "scaled_linear:float32", "squaredcos_cap_v2": "squaredcos_cap_v2:float32",
		"sigmoid": "sigmoid-geodiff:float32", "laplace": "laplace-diffusers:float32",
		"linear 1e-4..0.02": "linear", "scaled_linear .00085...012": "scaled-linear", "cosine s=.008 max_beta .999": "squaredcos",
		"sigmoid start=-3 end=3 tau=1 (lucidrains form)": "sigmoid-jabri", "sigmoid GeoDiff (diffusers form)": "sigmoid-geodiff",
	}
	seen := map[string]int{}
	for _, c := range file.Cases {
		seen[c.Kind]++
		switch c.Kind {
		case "timesteps":
			d := discrete(t, "linear:spacing="+c.Spacing)
			d.StepsOffset = c.Offset
			_, got, err := d.Steps(c.N, 0, math.Inf(1))
			switch {
			case c.Spacing == "linspace" && c.N == 1: // the peer begins, and ends, at t = 0; ours begins at the noisy end
				near(t, c.Case, got, []float64{999}, 0)
			case c.Timesteps[0] > 999: // the peer names a timestep that the table has not got
				if err == nil {
					t.Errorf("%s: no error, but %v", c.Case, got)
				}
			case err != nil:
				t.Errorf("%s: %v", c.Case, err)
			default:
				if c.N == 1000 { // the case has both ends of the list only
					got = append(got[:5:5], got[995:]...)
				}
				near(t, c.Case, got, c.Timesteps, 0)
			}
			continue
		case "discrete_sigma_t":
			d := discrete(t, map[bool]string{true: "scaled-linear:like=k-diffusion,spacing=linspace", false: "linear:like=k-diffusion,spacing=linspace"}[strings.Contains(c.Case, "scaled")])
			near(t, c.Case, each(c.Sigma, d.Table.Timestep), c.Interpolated, 1e-10)
			near(t, c.Case, each(c.Sigma, func(s float64) float64 { return float64(d.Table.Nearest(s)) }), c.Quantized, 0)
			relative(t, c.Case, each(c.T, func(v float64) float64 { return d.Table.At(float64(float32(v))) }), c.At, 1e-10) // t is float32 there
			got, _, err := d.Steps(10, 0, math.Inf(1))
			if err != nil {
				t.Fatal(err)
			}
			relative(t, c.Case, got, c.KDiffusion, 1e-10)
			continue
		}
		spec := specs[c.Kind]
		if c.ZeroSNR {
			spec += ",zero-snr"
		}
		table := discrete(t, spec).Table
		tol := 1e-10
		switch { // float32 has 6e-8, which the differences of the rescaling amplify
		case c.ZeroSNR:
			tol = 1e-5
		case c.Float32:
			tol = 5e-7
		}
		near(t, c.Case+": beta", pick(table.Betas, c.Index), c.Beta, tol)
		near(t, c.Case+": alpha_bar", pick(table.AlphaBar, c.Index), c.AlphaBar, tol)
		if last := len(c.SigmaVE) - 1; c.SigmaVE[last] == 1e300 {
			if !math.IsInf(table.Sigma[999], 1) || table.AlphaBar[999] != 0 {
				t.Errorf("%s: alpha_bar ends in %v, sigma in %v", c.Case, table.AlphaBar[999], table.Sigma[999])
			}
			c.SigmaVE, c.Index = c.SigmaVE[:last], c.Index[:last]
		}
		if c.Float32 {
			tol = 3e-4
		}
		relative(t, c.Case+": sigma", pick(table.Sigma, c.Index), c.SigmaVE, tol)
	}
	for k := range specs {
		if seen[k] == 0 {
			t.Errorf("no reference case of kind %q", k)
		}
	}
	if seen["timesteps"] != 24 || seen["discrete_sigma_t"] != 2 {
		t.Errorf("reference cases missing: %v", seen)
	}
}

// Every entry of diffusers' float32 tables, and what its schedulers make of them.
func TestDiffusersBetasGolden(t *testing.T) {
	tensors := golden.Tensors(t, golden.Path(t, "samplers", "diffusers_betas.safetensors"))
	read := func(name string) []float64 {
		v, err := tensors[name].Float64()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for name, spec := range map[string]string{
		"linear": "linear:", "scaled_linear": "scaled_linear:", "squaredcos_cap_v2": "squaredcos:", "sigmoid": "sigmoid-geodiff:",
		"linear_zero_snr": "linear:zero_snr,", "cosine_100": "squaredcos:timesteps=100,",
	} {
		table := discrete(t, spec+"float32").Table
		tol := [2]float64{1e-7, 1e-6}
		if name == "linear_zero_snr" { // at the noisy end the differences of sqrt(alpha_bar), float32 there, are small
			tol = [2]float64{1e-5, 5e-4}
		}
		near(t, name, table.Betas, read("betas."+name), tol[0])
		relative(t, name, table.AlphaBar, read("alphas_cumprod."+name), tol[1])
	}
	x, n := read("x"), read("n")
	ts, err := tensors["t"].Int64()
	if err != nil {
		t.Fatal(err)
	}
	table := discrete(t, "linear").Table
	var noisy, velocity, ve []float64
	for i := range x {
		step := ts[i/(len(x)/len(ts))]
		a := table.AlphaBar[step]
		noisy = append(noisy, math.Sqrt(a)*x[i]+math.Sqrt(1-a)*n[i])
		velocity = append(velocity, math.Sqrt(a)*n[i]-math.Sqrt(1-a)*x[i])
		ve = append(ve, x[i]+table.Sigma[step]*n[i])
	}
	near(t, "add_noise", noisy, read("ddpm.add_noise"), 1e-5)
	near(t, "get_velocity", velocity, read("ddpm.get_velocity"), 1e-5)
	near(t, "add_noise of Euler", ve, read("euler.add_noise"), 1e-5)
}

// The timesteps and levels of diffusers' schedulers: whole timesteps exactly, fractional ones to 1e-4, levels to 1e-5 of float32.
func TestDiffusersTimestepsGolden(t *testing.T) {
	var rows []struct {
		Scheduler string
		Config    struct {
			Spacing     string  `json:"timestep_spacing"`
			Karras      bool    `json:"use_karras_sigmas"`
			Exponential bool    `json:"use_exponential_sigmas"`
			Beta        bool    `json:"use_beta_sigmas"`
			Lu          bool    `json:"use_lu_lambdas"`
			LogLinear   string  `json:"interpolation_type"`
			Betas       string  `json:"beta_schedule"`
			LambdaMin   float64 `json:"lambda_min_clipped"`
			Grid        string  `json:"sigma_schedule"`
		}
		N                 int
		Timesteps, Sigmas []float64
		Error             string
	}
	load(t, "samplers/diffusers_timesteps.json", &rows)
	for _, r := range rows {
		c, name := r.Config, fmt.Sprintf("%s %+v n=%d", r.Scheduler, r.Config, r.N)
		like, spacing, table, max := "euler", "linspace", "linear:", math.Inf(1)
		switch r.Scheduler {
		case "EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "CMStochasticIterativeScheduler":
			checkContinuous(t, name, r.Scheduler, c.Grid, r.N, r.Timesteps, r.Sigmas)
			continue
		case "PNDMScheduler": // its solver takes the second timestep twice, or needs 4 steps for its Runge-Kutta start
			like, spacing = "ddpm", "leading"
			r.Timesteps = pndm(r.Timesteps, r.N)
		case "DDPMScheduler", "DDIMScheduler":
			like = "ddpm"
		case "LCMScheduler", "TCDScheduler":
			like, spacing = "ddpm", "lcm"
		case "DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler", "DPMSolverSinglestepScheduler":
			like = "dpm-solver"
		case "HeunDiscreteScheduler", "KDPM2DiscreteScheduler":
			table = "linear:beta_start=0.00085,beta_end=0.012,"
			r.Timesteps, r.Sigmas = single(r.Scheduler, r.N, r.Timesteps, r.Sigmas)
		}
		if c.Spacing != "" {
			spacing = c.Spacing
		}
		if c.Betas != "" {
			table = c.Betas + ":"
		}
		spec := fmt.Sprintf("%sfloat32,like=%s,spacing=%s", table, like, spacing)
		switch {
		case c.Karras:
			spec += ",sigmas=karras"
		case c.Exponential, c.Lu: // diffusers' lu at its rho of 1
			spec += ",sigmas=exponential"
		case c.Beta:
			spec += ",sigmas=beta"
		}
		if r.Scheduler == "DEISMultistepScheduler" {
			spec += ",final=sigma-min"
		}
		if c.LambdaMin != 0 {
			max = math.Exp(-c.LambdaMin)
		}
		sigmas, timesteps, err := discrete(t, spec).Steps(r.N, 0, max)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.N == 1 && spacing == "linspace" && r.Timesteps[0] == 0 { // ours begins at the noisy end
			near(t, name, timesteps, []float64{999}, 0)
			continue
		}
		tol := 0.0
		if like == "euler" {
			tol = 1e-4
		}
		absolute(t, name, timesteps, r.Timesteps, tol)
		switch {
		case c.LogLinear == "log_linear": // one level more than timesteps there: they do not belong to each other
			n := len(r.Sigmas) - 1
			relative(t, name, schedule.Exponential(n, r.Sigmas[n-1], r.Sigmas[0]), r.Sigmas, 1e-5)
		case r.Sigmas != nil:
			relative(t, name, sigmas, r.Sigmas, 1e-5)
		}
	}
	if len(rows) != 240 {
		t.Errorf("%d rows, want 240", len(rows))
	}
}

func absolute(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
		return
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tol) {
			t.Errorf("%s: value %d is %v, want %v", what, i, got[i], w)
		}
	}
}

// checkContinuous compares schedulers without a table: EDM's timestep is ln(sigma)/4, that of consistency models 250 ln(sigma).
func checkContinuous(t *testing.T, name, scheduler, kind string, n int, timesteps, sigmas []float64) {
	t.Helper()
	spec, scale, levels := "karras", 0.25, n
	switch {
	case scheduler[0] == 'C':
		spec, scale = "consistency:final=sigma-min", 250
		if n == 1 { // 80 and sigma_min
			levels = 1
		}
	case kind != "":
		spec = kind
	}
	s, err := schedule.Lookup(spec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Grid(levels, 0.002, 80, 7)
	if err != nil {
		t.Fatal(err)
	}
	if n == 1 && scheduler[0] == 'E' { // the peer's only level is sigma_min
		relative(t, name, got, []float64{80, 0}, 1e-12)
		return
	}
	relative(t, name, got, sigmas, 1e-5)
	near(t, name, each(got[:n], func(v float64) float64 { return scale * math.Log(v) }), timesteps, 1e-5)
}

// pndm undoes the repetitions of PNDM's list; nothing is left to compare of one that has Runge-Kutta stages.
func pndm(ts []float64, n int) []float64 {
	if len(ts) > n+1 || len(ts) == 0 {
		return leadingOf1000(n)
	}
	return slices.Compact(slices.Clone(ts))
}

func leadingOf1000(n int) []float64 {
	ts := make([]float64, n)
	for i := range ts {
		ts[i] = float64((n - 1 - i) * (1000 / n))
	}
	return ts
}

// single takes the levels of the steps out of the lists of two-stage schedulers. Heun's has every level but the ends twice;
// KDPM2's has the midpoints between its timesteps and their levels only in part.
func single(scheduler string, n int, ts, sigmas []float64) ([]float64, []float64) {
	if scheduler == "KDPM2DiscreteScheduler" {
		var own []float64
		for i := 0; i < len(ts); i += 2 {
			own = append(own, ts[i])
		}
		return own, append(slices.Compact(slices.Clone(sigmas))[:n], 0)
	}
	return slices.Compact(slices.Clone(ts)), slices.Compact(slices.Clone(sigmas))
}

func TestDiscreteErrors(t *testing.T) {
	for _, c := range []struct {
		spec     string
		n        int
		min, max float64
		want     string
	}{
		{"linear", 0, 0, 1e9, "at least 1"},
		{"linear", 1001, 0, 1e9, "do not fit into the table: 1000"},
		{"linear:spacing=leading", 1001, 0, 1e9, "do not fit"},
		{"linear:spacing=linspace,like=dpm-solver", 1000, 0, 1e9, "do not fit"},
		{"linear:spacing=lcm", 51, 0, 1e9, "do not fit"},
		{"linear:timesteps=30", 20, 0.5, 1, "do not fit into the table: 5"},
		{"linear:spacing=leading,steps-offset=1", 1000, 0, 1e9, "outside the table"},
		{"linear:spacing=leading,final=sigma-min", 5, 0, 1e9, "leaves no step"},
		{"linear", 5, 200, 300, "do not overlap"},
		{"linear", 5, 0, 0.001, "do not overlap"},
		{"linear", 5, 2, 1, "do not overlap"},
		{"linear", 5, 0, math.NaN(), "do not overlap"},
		{"linear:zero-snr", 1000, 0, math.Inf(1), "too many steps"},
	} {
		if s, _, err := discrete(t, c.spec).Steps(c.n, c.min, c.max); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %d steps from %v to %v: error %v, want one that says %q; %v", c.spec, c.n, c.max, c.min, err, c.want, s)
		}
	}
	d := discrete(t, "linear")
	for want, list := range map[string][]float64{"no timesteps": nil, "outside": {1000, 5}, "must fall": {5, 5}, "outside the": {5, math.NaN()}} {
		if s, err := d.At(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("timesteps %v: error %v, want one that says %q; %v", list, err, want, s)
		}
	}
	if _, err := schedule.NewTable([]float64{0.1}); err == nil {
		t.Error("a table of one timestep")
	}
	if _, err := schedule.NewTable([]float64{0.1, 0, 0.1}); err == nil {
		t.Error("a table that does not rise")
	}
}

// TestRescaleZeroSNR: sqrt(alpha_bar) keeps its first value, ends at 0 and is stretched evenly between (arXiv 2305.08891, algorithm 1).
func TestRescaleZeroSNR(t *testing.T) {
	betas := schedule.LinearBetas(1000, 1e-4, 0.02)
	root := func(betas []float64) []float64 {
		r, product := make([]float64, len(betas)), 1.0
		for i, b := range betas {
			product *= 1 - b
			r[i] = math.Sqrt(product)
		}
		return r
	}
	rescaled := schedule.RescaleZeroSNR(betas)
	before, after := root(betas), root(rescaled)
	last := before[len(before)-1]
	want := make([]float64, len(before))
	for i, v := range before {
		want[i] = (v - last) * before[0] / (before[0] - last)
	}
	near(t, "sqrt(alpha_bar)", after, want, 1e-12)
	if rescaled[999] != 1 || betas[0] != 1e-4 {
		t.Errorf("the last variance is %v, want 1; the first given one is now %v", rescaled[999], betas[0])
	}
}

// A zero terminal SNR begins at 4096, a range cuts the table on both sides, and explicit timesteps are those of the table.
func TestDiscrete(t *testing.T) {
	sigmas, ts, err := discrete(t, "linear:zero-snr").Steps(4, 0, math.Inf(1))
	if err != nil {
		t.Fatal(err)
	}
	relative(t, "zero-snr", sigmas[:1], []float64{math.Sqrt(1<<24 - 1)}, 0)
	near(t, "zero-snr", ts, []float64{999, 749, 499, 249}, 0)
	d := discrete(t, "linear:spacing=linspace")
	sigmas, ts, err = d.Steps(3, 0.5, 80)
	if err != nil {
		t.Fatal(err)
	}
	if table := d.Table.Sigma; ts[0] != 929 || !(table[929] <= 80 && table[930] > 80) || !(table[int(ts[2])] >= 0.5 && table[int(ts[2])-1] < 0.5) {
		t.Errorf("timesteps %v, levels %v", ts, sigmas)
	}
	at, err := d.At(ts)
	if err != nil {
		t.Fatal(err)
	}
	relative(t, "At", at, sigmas, 0)
}
