package sampler_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/sampler"
	"diffuse/schedule"
)

// same fails unless two results are equal bit for bit.
func same(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Errorf("%s: value %d is %.17g, want exactly %.17g", what, i, got[i], want[i])
		}
	}
}

func panics(t *testing.T, what, want string, f func()) {
	t.Helper()
	defer func() {
		if r := recover(); r == nil {
			t.Errorf("%s did not panic", what)
		} else if s, ok := r.(string); !ok || !strings.Contains(s, want) {
			t.Errorf("%s: panic %v, want one that says %q", what, r, want)
		}
	}()
	f()
}

// One step from sigma 80 to 0 is the denoised picture, exactly, for every solver; no noise source is needed.
func TestOneStep(t *testing.T) {
	g, x := gmm2(), []float64{30, -50, 3, 80}
	want := make([]float64, 4)
	g.Denoise(want, x, 80)
	for _, info := range sampler.All() {
		n := 0
		for s := range info.Sampler(g.Denoise, x, []float64{80, 0}, info.Options()) {
			n++
			same(t, info.Name, s.X, want)
			same(t, info.Name, s.Denoised, want)
		}
		if n != 1 || info.NFE != nil && info.NFE(1) != 1 {
			t.Errorf("%s: %d states, want 1, and one evaluation by the table", info.Name, n)
		}
	}
}

// One step to a level above 0: Euler's formula for the methods of first order (a multistep method's first step is one), the
// average of both ends' slopes for Heun; with eta 1, Euler to sigma_down and one draw of strength sigma_up.
func TestOneStepAboveZero(t *testing.T) {
	g, x, sigmas := gmm2(), []float64{3, -5, 0.3, 8}, []float64{4, 1}
	den, slope := make([]float64, 4), make([]float64, 4)
	g.Denoise(den, x, 4)
	euler, heun, ancestral := make([]float64, 4), make([]float64, 4), make([]float64, 4)
	up := math.Sqrt(1 * 1 * (4*4 - 1*1) / (4. * 4)) // sqrt(15/16), so sigma_down is 1/4
	for i := range x {
		slope[i] = (x[i] - den[i]) / 4
		euler[i] = x[i] + (1-4)*slope[i]
		ancestral[i] = x[i] + (0.25-4)*slope[i] + up*float64(i)
	}
	g.Denoise(den, euler, 1)
	for i := range x {
		heun[i] = x[i] + (1-4)*(slope[i]+(euler[i]-den[i])/1)/2
	}
	for _, info := range sampler.All() {
		o := info.Options()
		o.Eta = 0
		want := euler
		if info.Name == "heun" {
			want = heun
		} else if info.OwnLevels || info.NFE(5) != 5 {
			continue // steps with a middle
		}
		near(t, info.Name, last(info.Sampler(g.Denoise, x, sigmas, o)), want, 1e-14)
		if !info.UsesEta || info.Name == "consistency" || info.Name == "tcd" {
			continue // those two split noise otherwise, see TestConsistency
		}
		draws := 0
		o.Eta, o.Noise = 1, func(dst []float64, _, _ float64) {
			draws++
			for i := range dst {
				dst[i] = float64(i)
			}
		}
		near(t, info.Name+" eta 1", last(info.Sampler(g.Denoise, x, sigmas, o)), ancestral, 1e-14)
		if draws != 1 {
			t.Errorf("%s eta 1: %d draws, want 1", info.Name, draws)
		}
	}
}

// The start is not modified, a sequence can be run again, a loop may break, and X and Denoised keep their length.
func TestSequence(t *testing.T) {
	g, sigmas := gmm2(), schedule.Karras(6, .002, 80, 7)
	for _, info := range sampler.All() {
		x := []float64{30, -50}
		o := info.Options()
		o.Eta = 0
		seq := info.Sampler(g.Denoise, x, sigmas, o)
		first := last(seq)
		same(t, info.Name+": start", x, []float64{30, -50})
		for s := range seq {
			if s.Step == 3 {
				break
			}
		}
		same(t, info.Name+": second run", last(seq), first)
	}
}

// Churn 0, churn outside its limits, eta 0 and noise scale do not draw and do not change a bit.
func TestNoNoiseNoDraw(t *testing.T) {
	g, sigmas, x := gmm2(), schedule.Karras(9, .002, 80, 7), []float64{30, -50, 1, 2}
	never := func([]float64, float64, float64) { t.Error("noise was drawn") }
	for _, info := range sampler.All() {
		for _, f := range forms(info) {
			o := f.options
			o.Eta = 0
			want := last(info.Sampler(g.Denoise, x, sigmas, o))
			o.Noise, o.NoiseScale = never, 1.003
			same(t, f.name()+" without churn", last(info.Sampler(g.Denoise, x, sigmas, o)), want)
			o.Churn, o.ChurnMin, o.ChurnMax = 40, 100, 200
			same(t, f.name()+" with churn outside", last(info.Sampler(g.Denoise, x, sigmas, o)), want)
		}
	}
}

// A draw is made exactly where it is used, and both limits of churn are inclusive.
func TestDrawCount(t *testing.T) {
	g, sigmas := gmm2(), []float64{80, 10, 5, 1, 0.1, 0}
	for _, c := range []struct {
		name       string
		eta, churn float64
		draws      int
	}{{"heun", 0, 1, 3}, {"ddim", 0, 1, 3}, {"ddim", 1, 0, 4}, {"ddim", 1, 1, 7}, {"euler-ancestral", 1, 1, 4}, {"dpmpp-2m", 1, 1, 0},
		{"dpm-2", 1, 1, 3}, {"dpm-2-ancestral", 1, 1, 4}, {"dpmpp-2s-ancestral", 1, 1, 4}, {"dpmpp-sde", 1, 1, 8}, {"dpmpp-2m-sde", 1, 1, 4}, {"dpmpp-3m-sde", 0.5, 0, 4}, {"lms", 1, 1, 0},
		{"dpm-fast", 1, 0, 1}} {
		info, err := sampler.Lookup(c.name)
		if err != nil {
			t.Fatal(err)
		}
		draws := 0
		o := info.Options()
		o.Eta, o.Churn, o.ChurnMin, o.ChurnMax = c.eta, c.churn, 1, 10 // 10, 5 and 1 lie inside
		o.Noise = func(dst []float64, _, _ float64) { draws++; clear(dst) }
		last(info.Sampler(g.Denoise, []float64{30, -50}, sigmas, o))
		if draws != c.draws {
			t.Errorf("%s eta %v churn %v: %d draws, want %d", c.name, c.eta, c.churn, draws, c.draws)
		}
	}
}

// DDIM with eta is the ancestral Euler step, bit for bit.
func TestDDIMIsEulerAncestral(t *testing.T) {
	g, sigmas, x := gmm2(), schedule.Karras(9, .002, 80, 7), []float64{30, -50, 1, 2}
	for _, eta := range []float64{0, 0.3, 1, 1.7} {
		run := func(s sampler.Sampler) []float64 {
			o := sampler.DefaultOptions()
			o.Eta, o.Noise = eta, sampler.White(sampler.BatchNoise([]uint64{1, 2}, 2, "step"))
			return last(s(g.Denoise, x, sigmas, o))
		}
		same(t, "ddim", run(sampler.DDIM), run(sampler.EulerAncestral))
	}
}

// A picture is the same alone and in any batch, whatever its place, with every source of noise on, for every solver in each of its forms.
// Solvers that choose their steps by the whole batch are given one picture at a time, as their users are told to do.
func TestBatchSplit(t *testing.T) {
	g, sigmas := gmm2(), schedule.Karras(7, .002, 80, 7)
	noises := map[string]func(seeds []uint64) sampler.Noise{
		"white":    func(seeds []uint64) sampler.Noise { return sampler.White(sampler.BatchNoise(seeds, 2, "step")) },
		"Brownian": func(seeds []uint64) sampler.Noise { return sampler.BrownianNoise(seeds, 2, "step") },
	}
	for _, info := range sampler.All() {
		for _, f := range forms(info) {
			for name, noise := range noises {
				what := f.name() + ", " + name
				run := func(seeds ...uint64) []float64 {
					x := make([]float64, 2*len(seeds))
					sampler.BatchNoise(seeds, 2, "latent")(x)
					for i := range x {
						x[i] *= sigmas[0]
					}
					o := f.options
					o.Churn, o.Eta, o.Noise = 5, 0.8, noise(seeds)
					return last(info.Sampler(g.Denoise, x, sigmas, o))
				}
				if info.Adaptive {
					same(t, what, run(12), run(12))
					continue
				}
				all := run(11, 12, 13)
				same(t, what, append(run(11), run(12, 13)...), all)
				same(t, what, append(run(13), run(11)...), append(append([]float64(nil), all[4:]...), all[:2]...))
			}
		}
	}
}

// For every solver: the denoiser is given a state that it does not share with its result, State.Denoised is what it returned in one of the
// evaluations so far, and the steps count up and lead down to the last level.
func TestStates(t *testing.T) {
	g, x := gmm2(), []float64{30, -50, 1, 2}
	for _, sigmas := range [][]float64{schedule.Karras(9, .002, 80, 7), schedule.Karras(9, .002, 80, 7)[:9]} {
		for _, info := range sampler.All() {
			for _, f := range forms(info) {
				var calls []call
				d := func(dst, x []float64, sigma float64) {
					if len(dst) != 4 || len(x) != 4 || &dst[0] == &x[0] {
						t.Fatalf("%s: bad arguments of the denoiser", f.name())
					}
					g.Denoise(dst, x, sigma)
				}
				o := f.options
				o.Noise = sampler.BrownianNoise([]uint64{1, 2}, 2, "step")
				step, level := 0, sigmas[0]
				for s := range info.Sampler(recorded(d, &calls), x, sigmas, o) {
					if step++; s.Step != step || !(s.Sigma < level) || !info.OwnLevels && s.Sigma != sigmas[step] {
						t.Errorf("%s: step %d says that it is %d and leads from %v to %v", f.name(), step, s.Step, level, s.Sigma)
					}
					level = s.Sigma
					if !slices.ContainsFunc(calls, func(c call) bool { return slices.Equal(c.denoised, s.Denoised) }) {
						t.Errorf("%s: Denoised of step %d is not what the denoiser returned", f.name(), step)
					}
				}
				if level != sigmas[len(sigmas)-1] || !info.OwnLevels && step != len(sigmas)-1 {
					t.Errorf("%s: %d steps to level %v, want %d to %v", f.name(), step, level, len(sigmas)-1, sigmas[len(sigmas)-1])
				}
				same(t, f.name()+": start", x, []float64{30, -50, 1, 2})
			}
		}
	}
}

func TestValidate(t *testing.T) {
	for _, good := range [][]float64{{80, 0}, {80, 1}, {3, 2, 1, 0}} {
		if err := sampler.Validate(good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		sigmas []float64
		want   string
	}{
		{nil, "at least 2"}, {[]float64{1}, "at least 2"}, {[]float64{1, 1}, "must decrease"}, {[]float64{1, 2, 0}, "must decrease"},
		{[]float64{1, 0, 0}, "only the last"}, {[]float64{1, -1}, "none below"}, {[]float64{inf, 1}, "+Inf"}, {[]float64{1, nan}, "NaN"}, {[]float64{nan, 1}, "NaN"},
	} {
		if err := sampler.Validate(c.sigmas); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Validate(%v) = %v, want an error that says %q", c.sigmas, err, c.want)
		}
	}
	o := sampler.DefaultOptions()
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []sampler.Options{{Eta: -1}, {Eta: nan}, {Churn: inf}, {ChurnMin: nan}, {ChurnMax: -1}, {NoiseScale: nan}, {Churn: 1, ChurnMin: 2, ChurnMax: 1}} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if _, err := json.Marshal(o); err != nil {
		t.Errorf("default options as JSON: %v", err)
	}
}

// A caller's bugs are named at once, before the loop starts.
func TestCallerBugs(t *testing.T) {
	g := gmm2()
	for _, info := range sampler.All() {
		panics(t, "bad sigmas", "must decrease", func() { info.Sampler(g.Denoise, []float64{1, 2}, []float64{1, 2}, info.Options()) })
		panics(t, "bad options", "eta", func() {
			info.Sampler(g.Denoise, []float64{1, 2}, []float64{1, 0}, sampler.Options{Eta: math.NaN()})
		})
		panics(t, "no denoiser", "nil denoiser", func() { info.Sampler(nil, []float64{1}, []float64{1, 0}, info.Options()) })
	}
	o := sampler.DefaultOptions()
	o.Eta = 1
	panics(t, "no noise source", "Options.Noise is nil", func() { last(sampler.EulerAncestral(g.Denoise, []float64{1, 2}, []float64{2, 1, 0}, o)) })
}

func TestCountedAndGuided(t *testing.T) {
	constant := func(v float64) sampler.Denoiser {
		return func(dst, _ []float64, _ float64) {
			for i := range dst {
				dst[i] = v
			}
		}
	}
	var nc, nu int
	cond, uncond := sampler.Counted(constant(3), &nc), sampler.Counted(constant(1), &nu)
	for _, c := range []struct {
		w, sigma, want float64
		uncond         int
	}{{2, 1, 5, 1}, {0, 1, 1, 1}, {1, 1, 3, 0}, {2, 0.5, 5, 1}, {2, 2, 5, 1}, {2, 0.49, 3, 0}, {2, 2.01, 3, 0}} {
		nc, nu = 0, 0
		dst := make([]float64, 3)
		sampler.Guided(cond, uncond, c.w, 0.5, 2)(dst, make([]float64, 3), c.sigma)
		same(t, "guided", dst, []float64{c.want, c.want, c.want})
		if nc != 1 || nu != c.uncond {
			t.Errorf("w %v at %v: %d and %d evaluations, want 1 and %d", c.w, c.sigma, nc, nu, c.uncond)
		}
	}
}

func TestLookup(t *testing.T) {
	for name, want := range map[string]string{
		"ddim": "ddim", "DDIM": "ddim", "euler": "ddim", "k_euler": "ddim", "sample-euler": "ddim",
		"heun": "heun", "k-heun": "heun", "edm": "heun",
		"dpmpp-2m": "dpmpp-2m", "dpmpp_2m": "dpmpp-2m", "dpm++2m": "dpmpp-2m", "DPM++ 2M": "dpmpp-2m", "k_dpmpp_2m": "dpmpp-2m", "sample_dpmpp_2m": "dpmpp-2m",
		// k-diffusion, diffusers, A1111, ComfyUI, stable-diffusion.cpp
		"sample_dpm_2": "dpm-2", "KDPM2DiscreteScheduler": "dpm-2", "DPM2": "dpm-2", "dpm2": "dpm-2",
		"dpm_2_ancestral": "dpm-2-ancestral", "DPM2 a": "dpm-2-ancestral", "KDPM2AncestralDiscreteScheduler": "dpm-2-ancestral",
		"LMS": "lms", "k_lms": "lms", "LMSDiscreteScheduler": "lms",
		"DPM fast": "dpm-fast", "dpm_fast": "dpm-fast", "DPM adaptive": "dpm-adaptive", "dpm_adaptive": "dpm-adaptive", "k_dpm_ad": "dpm-adaptive",
		"DPM++ 2S a": "dpmpp-2s-ancestral", "dpmpp_2s_ancestral": "dpmpp-2s-ancestral", "dpm++2s_a": "dpmpp-2s-ancestral", "k_dpmpp_2s_a": "dpmpp-2s-ancestral",
		"DPMSolverSinglestepScheduler": "dpmpp-singlestep", "DPMSolverMultistepScheduler": "dpmpp-2m", "EDMDPMSolverMultistepScheduler": "dpmpp-2m",
		"DPM++ SDE": "dpmpp-sde", "dpmpp_sde_gpu": "dpmpp-sde", "DPMSolverSDEScheduler": "dpmpp-sde",
		"DPM++ 2M SDE": "dpmpp-2m-sde", "dpmpp_2m_sde_gpu": "dpmpp-2m-sde", "dpm++2m_sde": "dpmpp-2m-sde", "dpm++2m_sde_bt": "dpmpp-2m-sde",
		"DPM++ 2M SDE Heun": "dpmpp-2m-sde-heun", "dpmpp_2m_sde_heun_gpu": "dpmpp-2m-sde-heun",
		"DPM++ 3M SDE": "dpmpp-3m-sde", "sample_dpmpp_3m_sde": "dpmpp-3m-sde", "dpmpp_3m_sde_gpu": "dpmpp-3m-sde",
		"EulerDiscreteScheduler": "ddim", "EDMEulerScheduler": "ddim", "DDIMScheduler": "ddim", "HeunDiscreteScheduler": "heun", "EulerAncestralDiscreteScheduler": "euler-ancestral",
		"euler-ancestral": "euler-ancestral", "euler_a": "euler-ancestral", "Euler a": "euler-ancestral", "k_euler_ancestral": "euler-ancestral", "k_euler_a": "euler-ancestral",
	} {
		if info, err := sampler.Lookup(name); err != nil || info.Name != want {
			t.Errorf("Lookup(%q) = %q, %v, want %q", name, info.Name, err, want)
		}
	}
	for _, name := range []string{"", "eulr", "euler-b", "k-", "++", "karras"} {
		_, err := sampler.Lookup(name)
		if err == nil {
			t.Errorf("Lookup(%q) found something", name)
			continue
		}
		for _, info := range sampler.All() {
			if !strings.Contains(err.Error(), info.Name) {
				t.Errorf("error for %q does not list %s: %v", name, info.Name, err)
			}
		}
	}
}

// An adaptive run ends whatever the denoiser returns and however small the tolerance, and accepts a step only if it is within the tolerance.
func TestAdaptiveEnds(t *testing.T) {
	nan := func(dst, x []float64, _ float64) {
		for i := range dst {
			dst[i] = math.NaN()
		}
	}
	o := sampler.DefaultOptions()
	if x := last(sampler.DPMAdaptive(nan, []float64{3}, []float64{80, .002, 0}, o)); !math.IsNaN(x[0]) {
		t.Errorf("a denoiser of NaN gives %v", x)
	}
	g, _ := gauss()
	steps := 0
	o.Adaptive.Relative, o.Adaptive.Absolute = 0, 1e-30
	for s := range sampler.DPMAdaptive(g.Denoise, []float64{3}, []float64{80, .002}, o) {
		steps = s.Step
	}
	if steps < 50_000 || steps > 100_000 { // where rounding makes both results equal, steps grow
		t.Errorf("%d steps for a tolerance that none can meet, want 50,000 to 100,000", steps)
	}
	o.Adaptive.Absolute = 1e-4
	o.Attempt = func(a sampler.Attempt) {
		if a.Accepted && a.Error > 1.9 { // the factor 1 + arctan(error^(-1/3) - 1) is above 0.81 up to 1.898
			t.Errorf("a step with error %v of the tolerance was accepted", a.Error)
		}
	}
	last(sampler.DPMAdaptive(g.Denoise, []float64{3}, []float64{80, .002}, o))
	for _, bad := range []func(*sampler.Tolerance){
		func(a *sampler.Tolerance) { a.Relative, a.Absolute = 0, 0 }, func(a *sampler.Tolerance) { a.First = 0 },
		func(a *sampler.Tolerance) { a.Absolute = -1 }, func(a *sampler.Tolerance) { a.P = math.NaN() },
	} {
		o := sampler.DefaultOptions()
		bad(&o.Adaptive)
		info, err := sampler.Lookup("dpm-adaptive")
		if err != nil {
			t.Fatal(err)
		}
		if err := info.Check(o); err == nil {
			t.Errorf("%+v was accepted", o.Adaptive)
		}
	}
}

// A1111 joins sampler and schedule in one name; the error says how they part.
func TestLookupWithSchedule(t *testing.T) {
	_, err := sampler.Lookup("DPM++ 2M SDE Karras")
	if err == nil || !strings.Contains(err.Error(), "dpmpp-2m-sde, and a schedule, karras") {
		t.Errorf("a name with a schedule: %v", err)
	}
}

// Heun's cost for common step counts (EDM: 35 evaluations for CIFAR-10, 79 for faces, 511 for ImageNet).
func TestHeunEvaluations(t *testing.T) {
	info, err := sampler.Lookup("heun")
	if err != nil {
		t.Fatal(err)
	}
	for steps, want := range map[int]int{5: 9, 10: 19, 18: 35, 20: 39, 40: 79, 256: 511} {
		calls := 0
		last(info.Sampler(sampler.Counted(gmm2().Denoise, &calls), []float64{1, 2}, schedule.Karras(steps, .002, 80, 7), info.Options()))
		if calls != want || info.NFE(steps) != want {
			t.Errorf("%d steps: %d evaluations, table %d, want %d", steps, calls, info.NFE(steps), want)
		}
	}
}

// No two solvers share a spelling, and each finds itself.
func TestTable(t *testing.T) {
	for _, info := range sampler.All() {
		for _, n := range append([]string{info.Name}, info.Aliases...) {
			if got, err := sampler.Lookup(n); err != nil || got.Name != info.Name {
				t.Errorf("%q belongs to %s but finds %q, %v", n, info.Name, got.Name, err)
			}
		}
		if info.About == "" || info.Source == "" || info.Order < 1 || info.NFE == nil != info.Adaptive || info.NFE != nil && info.NFE(18) < 18 {
			t.Errorf("incomplete entry %+v", info)
		}
		if info.Stochastic != (info.Options().Eta > 0) {
			t.Errorf("%s: stochastic %v, usual eta %v", info.Name, info.Stochastic, info.Eta)
		}
	}
}
