package sampler_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"diffuse/sampler"
	"diffuse/schedule"
)

func lookup(t *testing.T, name string) sampler.Info {
	t.Helper()
	info, err := sampler.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// Different names for the same steps agree to rounding, which ties the families to each other.
func TestSameMethod(t *testing.T) {
	g, x := gmm2(), []float64{30, -50, 1, 2}
	type choice struct {
		name           string
		order          int
		variant, final string
		eta            float64
	}
	for _, c := range [][2]choice{
		{{"ddim", 0, "", "", 0}, {"ipndm", 1, "", "", 0}},
		{{"ddim", 0, "", "", 0}, {"ipndm-v", 1, "", "", 0}},
		{{"ddim", 0, "", "", 0}, {"deis", 1, "tab", "", 0}},
		{{"ddim", 0, "", "", 0}, {"deis", 1, "log-rho", "", 0}},
		{{"ddim", 0, "", "", 0}, {"dpmpp", 1, "midpoint", "", 0}},
		{{"ddim", 0, "", "", 0}, {"dpmpp", 1, "noise", "", 0}},
		{{"ddim", 0, "", "", 0}, {"dpmpp-singlestep", 1, "", "", 0}},
		{{"ddim", 0, "", "", 0}, {"consistency", 0, "", "", 0}},
		{{"ddim", 0, "", "", 0}, {"tcd", 0, "", "", 0}},
		{{"ddim", 0, "", "", 0.7}, {"ddpm", 0, "", "", 0.7}},
		{{"ddim", 0, "", "", 1}, {"dpmpp", 1, "", "", 1}}, // SDE-DPM-Solver++(1) is DDPM
		{{"dpmpp-2m", 0, "", "", 0}, {"dpmpp", 2, "", "full", 0}},
		{{"dpmpp-3m", 0, "published", "", 0}, {"dpmpp", 3, "", "full", 0}},
		{{"dpmpp-3m", 0, "third-order", "", 0}, {"dpmpp", 3, "third-order", "full", 0}},
		{{"dpmpp-2m-sde", 0, "midpoint", "", 0.6}, {"dpmpp", 2, "midpoint", "full", 0.6}},
		{{"dpmpp-2m-sde", 0, "heun", "", 1}, {"dpmpp", 2, "heun", "full", 1}},
		{{"dpmpp-3m-sde", 0, "published", "", 1}, {"dpmpp", 3, "heun", "full", 1}}, // its second step has Heun's form
		{{"deis", 2, "log-rho", "full", 0}, {"dpmpp", 2, "noise-heun", "full", 0}},
		{{"dpm-2", 0, "", "", 0}, {"amed", 0, "", "", 0}},
		{{"dpm-2", 0, "", "", 0}, {"amed-dpm-2", 0, "", "", 0}},
		{{"heun", 0, "", "", 0}, {"restart", 0, "", "", 0}},
	} {
		run := func(k choice) []float64 {
			info := lookup(t, k.name)
			o := info.Options()
			o.Order, o.Variant, o.Final, o.Eta = k.order, k.variant, k.final, k.eta
			o.Noise = sampler.White(sampler.BatchNoise([]uint64{1, 2}, 2, "step"))
			if err := info.Check(o); err != nil {
				t.Error(err)
			}
			return last(info.Sampler(g.Denoise, x, schedule.Karras(12, .002, 80, 7), o))
		}
		near(t, fmt.Sprint(c), run(c[1]), run(c[0]), 1e-12)
	}
}

// The names of diffusers' classes and of diff-sampler's functions find what repeats them.
func TestPeersNames(t *testing.T) {
	for name, want := range map[string]string{
		"DDIMScheduler": "ddim", "DDPMScheduler": "ddpm", "PNDMScheduler": "pndm", "DPMSolverMultistepScheduler": "dpmpp-2m",
		"DPMSolverSinglestepScheduler": "dpmpp-singlestep", "UniPCMultistepScheduler": "unipc", "DEISMultistepScheduler": "deis",
		"SASolverScheduler": "sa-solver", "EulerDiscreteScheduler": "ddim", "EulerAncestralDiscreteScheduler": "euler-ancestral",
		"HeunDiscreteScheduler": "heun", "KDPM2DiscreteScheduler": "dpm-2", "KDPM2AncestralDiscreteScheduler": "dpm-2-ancestral",
		"LMSDiscreteScheduler": "lms", "EDMEulerScheduler": "ddim", "EDMDPMSolverMultistepScheduler": "dpmpp-2m", "LCMScheduler": "consistency",
		"TCDScheduler": "tcd", "CMStochasticIterativeScheduler": "consistency", "FlowMatchEulerDiscreteScheduler": "ddim",
		"FlowMatchHeunDiscreteScheduler": "heun-flow", "IPNDMScheduler": "ipndm",
		"euler": "ddim", "dpm_2": "dpm-2", "ipndm_v": "ipndm-v", "dpmpp": "dpmpp", "dpm_pp": "dpmpp", "amed": "amed", "amed_plugin_ipndm": "amed-ipndm",
	} {
		if info := lookup(t, name); info.Name != want {
			t.Errorf("%s is %s, want %s", name, info.Name, want)
		}
	}
}

// Runs shorter than the order, and one step, with lists that end at 0 and above, lower the order and stay finite, in every form and way to end.
func TestShortRuns(t *testing.T) {
	g := gmm2()
	for _, info := range sampler.All() {
		for _, f := range forms(info) {
			finals := []string{""}
			if strings.Contains(fmt.Sprint(info.Extra), "final") {
				finals = []string{"", sampler.FinalFull, sampler.FinalLower, sampler.FinalFew, sampler.FinalEuler}
			}
			for _, sigmas := range [][]float64{{80, 0}, {80, 1}, {80, 5, 0}, {80, 5, 1}, {80, 5, 1, 0}, {80, 5, 1, .1}, {80, 5, 1, .1, 0}} {
				for _, final := range finals {
					o := f.options
					o.Final, o.Noise = final, sampler.White(sampler.BatchNoise([]uint64{1}, 2, "step"))
					for _, v := range last(info.Sampler(g.Denoise, []float64{30, -50}, sigmas, o)) {
						if !(math.Abs(v) < 1e6) { // finite, that is: long steps with noise are unstable in noise prediction
							t.Errorf("%s %s over %v ends at %v", f.name(), final, sigmas, v)
						}
					}
				}
			}
		}
	}
}

// The steps of a consistency model and of TCD by hand: from sigma 4 to 2 to the end.
func TestConsistency(t *testing.T) {
	g, x := gmm2(), []float64{3, -5}
	den := make([]float64, 2)
	g.Denoise(den, x, 4)
	for _, c := range []struct {
		name           string
		eta, end       float64
		up, down       float64
		alreadyDenoise bool
	}{
		{"consistency", 1, 0, 2, 0, true},
		{"consistency", 1, 1, math.Sqrt(3), 0, true}, // algorithm 1 of arXiv 2303.01469 with epsilon 1
		{"consistency", 0.6, 0, 1.2, 1.6, false},
		{"consistency", 3, 0, 2, 0, true},
		{"tcd", 0.5, 0, math.Sqrt(3), 1, false},
		{"tcd", 1, 0, 2, 0, true},
	} {
		o := sampler.DefaultOptions()
		o.Eta, o.Noise = c.eta, func(dst []float64, from, to float64) { copy(dst, []float64{1, -2}) }
		want := make([]float64, 2)
		for i := range want {
			want[i] = den[i] + c.down*(x[i]-den[i])/4 + c.up*[]float64{1, -2}[i]
		}
		for s := range lookup(t, c.name).Sampler(g.Denoise, x, []float64{4, 2, c.end}, o) {
			if s.Step == 1 {
				near(t, fmt.Sprintf("%+v", c), s.X, want, 1e-14)
			} else if c.alreadyDenoise {
				same(t, fmt.Sprintf("%+v: end", c), s.X, s.Denoised)
			}
		}
	}
}

// TestUndividedSteps: where no level lies inside a step, because r is 1 or the levels are neighbouring numbers, the AMED plugin is the method that
// it plugs into, and not a division by a step of no length.
func TestUndividedSteps(t *testing.T) {
	g, x := gmm2(), []float64{30, -50, 1, 2}
	run := func(name, variant string, sigmas, r []float64) (last []float64) {
		info := lookup(t, name)
		o := info.Options()
		o.Variant, o.R = variant, r
		for s := range info.Sampler(g.Denoise, x, sigmas, o) {
			last = append(last[:0], s.X...)
		}
		return last
	}
	for _, pair := range [][3]string{{"amed-euler", "ddim", ""}, {"amed-ipndm", "ipndm", ""}, {"amed-dpmpp", "dpmpp", "midpoint"},
		{"amed-dpmpp", "dpmpp", "heun"}, {"amed-dpmpp", "dpmpp", "noise-heun"}} {
		levels := schedule.Karras(6, 0.002, 50, 7)
		near(t, pair[0]+" with r 1", run(pair[0], pair[2], levels, []float64{1}), run(pair[1], pair[2], levels, nil), 1e-12)
		neighbours := []float64{50, math.Nextafter(2, 3), 2, 0.5, 0}
		for i, v := range run(pair[0], pair[2], neighbours, nil) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s %s between neighbouring numbers: value %d is %v", pair[0], pair[2], i, v)
			}
		}
	}
}

// Restart against its algorithm written with whole runs of Heun: down to the level nearest to Low, up again, down on EDM's grid, on from there.
func TestRestart(t *testing.T) {
	g, start := gmm2(), []float64{30, -50}
	sigmas := schedule.Karras(10, .002, 80, 7)
	intervals := []sampler.Interval{{Levels: 4, Repeats: 2, Low: 0.3, High: 2}, {Levels: 3, Repeats: 1, Low: 19, High: 45}}
	o := sampler.DefaultOptions()
	o.Restart, o.NoiseScale = intervals, 1.003
	o.Noise = sampler.White(sampler.BatchNoise([]uint64{5}, 2, "step"))
	calls := 0
	got := last(sampler.Restart(sampler.Counted(g.Denoise, &calls), start, sigmas, o))

	noise := sampler.BatchNoise([]uint64{5}, 2, "step")
	x, at, draw := start, 0, make([]float64, 2)
	plain := sampler.DefaultOptions()
	for _, r := range []sampler.Interval{intervals[1], intervals[0]} { // in the order in which they are met
		to := 1
		for i, s := range sigmas[:10] {
			if math.Abs(s-r.Low) < math.Abs(sigmas[to]-r.Low) {
				to = i
			}
		}
		x = last(sampler.Heun(g.Denoise, x, sigmas[at:to+1], plain))
		at = to
		grid := schedule.Karras(r.Levels, sigmas[to], r.High, 7)[:r.Levels]
		for range r.Repeats {
			noise(draw)
			for j, v := range draw {
				x[j] += v * 1.003 * math.Sqrt(r.High*r.High-sigmas[to]*sigmas[to])
			}
			x = last(sampler.Heun(g.Denoise, x, grid, plain))
		}
	}
	near(t, "restart", got, last(sampler.Heun(g.Denoise, x, sigmas[at:], plain)), 1e-12)
	if want := 19 + 2*(2*3) + 1*(2*2); calls != want {
		t.Errorf("%d evaluations, want %d", calls, want)
	}
}

// Stochastic forms beyond those of TestStochasticLaw leave the law of the data intact too; the tolerances are explained there.
func TestMultistepLaw(t *testing.T) {
	const n = 20000
	d := func(dst, x []float64, sigma float64) {
		a := sigma * sigma / (0.25 + sigma*sigma)
		for i, v := range x {
			dst[i] = v + a*(0.3-v)
		}
	}
	for _, c := range []struct {
		name    string
		steps   int
		order   int
		variant string
	}{
		{"ddpm", 600, 0, "fixed-small"}, {"dpmpp", 60, 2, "midpoint"}, {"dpmpp", 60, 3, "third-order"}, {"dpmpp", 60, 2, "noise"},
		{"dpmpp-singlestep", 1200, 3, "heun"}, {"sa-solver", 60, 3, "data"}, {"sa-solver", 60, 2, "noise"}, {"restart", 60, 0, ""},
	} {
		info := lookup(t, c.name)
		sigmas := schedule.Karras(c.steps, .002, 80, 7)
		x := make([]float64, n)
		noise := sampler.White(sampler.BatchNoise([]uint64{7}, n, "law"))
		noise(x, 0, 0)
		for i := range x {
			x[i] *= sigmas[0]
		}
		o := info.Options()
		o.Order, o.Variant, o.Noise = c.order, c.variant, noise
		if info.UsesEta {
			o.Eta = 1
		} else {
			o.Restart = []sampler.Interval{{Levels: 20, Repeats: 3, Low: 0.05, High: 3}}
		}
		var sum, sq float64
		for _, v := range last(info.Sampler(d, x, sigmas, o)) {
			sum += v
			sq += v * v
		}
		mean := sum / n
		std := math.Sqrt(sq/n - mean*mean)
		t.Logf("%+v: mean %.4f, deviation %.4f", c, mean, std)
		if !(math.Abs(mean-0.3) < 0.014+0.01) || !(math.Abs(std-0.5) < 0.010+0.01) {
			t.Errorf("%+v: mean %v, deviation %v, want 0.3 and 0.5", c, mean, std)
		}
	}
}

// Options that do not exist or do not fit are refused with what there is; as a caller's bug they panic.
func TestUnfitOptions(t *testing.T) {
	sigmas := []float64{80, 5, 1, 0}
	for _, c := range []struct {
		name string
		set  func(*sampler.Options)
		want string
	}{
		{"unipc", func(o *sampler.Options) { o.Order = 4 }, "orders 1 to 3"},
		{"deis", func(o *sampler.Options) { o.Order = 5 }, "orders 1 to 4"},
		{"amed", func(o *sampler.Options) { o.Order = 2 }, "no orders"},
		{"unipc", func(o *sampler.Options) { o.Variant = "bh3" }, "bh2, bh1"},
		{"ipndm", func(o *sampler.Options) { o.Variant = "bh1" }, "no variants"},
		{"unipc", func(o *sampler.Options) { o.Final = "never" }, "full, lower, few, euler"},
		{"heun", func(o *sampler.Options) { o.Final = "full" }, "final has no effect"},
		{"heun", func(o *sampler.Options) { o.Clip = 1 }, "clip has no effect"},
		{"ddim", func(o *sampler.Options) { o.Clip = math.NaN() }, "clip"},
		{"ddim", func(o *sampler.Options) { o.ClipNoise = true }, "without clip"},
		{"ddpm", func(o *sampler.Options) { o.Clip, o.ClipNoise = 1, true }, "clip_noise has no effect"},
		{"unipc", func(o *sampler.Options) { o.Corrector = 2 }, "corrector has no effect"},
		{"sa-solver", func(o *sampler.Options) { o.Corrector = 5 }, "correctors of orders 1 to 4"},
		{"sa-solver", func(o *sampler.Options) { o.Corrector = -1 }, "0 or more"},
		{"sa-solver", func(o *sampler.Options) { o.ChurnMin, o.ChurnMax = 2, 1 }, "churn_min 2 is above churn_max 1"},
		{"unipc", func(o *sampler.Options) { o.Uncorrected = -1 }, "0 or more"},
		{"amed", func(o *sampler.Options) { o.R = []float64{0} }, "above 0"},
		{"amed", func(o *sampler.Options) { o.R = []float64{1.5} }, "at most 1"},
		{"amed", func(o *sampler.Options) { o.ScaleDir = []float64{math.Inf(1)} }, "scale_dir"},
		{"amed", func(o *sampler.Options) { o.R = []float64{0.5, 0.5} }, "2 values for 3 steps"},
		{"dpm-2", func(o *sampler.Options) { o.ScaleTime = []float64{1} }, "scale_time has no effect"},
		{"restart", func(o *sampler.Options) { o.Restart = []sampler.Interval{{Levels: 1, Repeats: 1, Low: 1, High: 2}} }, "at least 2"},
		{"restart", func(o *sampler.Options) { o.Restart = []sampler.Interval{{Levels: 3, Repeats: 1, Low: 2, High: 1}} }, "low < high"},
		{"restart", func(o *sampler.Options) { o.Restart = []sampler.Interval{{Levels: 3, Repeats: 1, Low: 70, High: 90}} }, "outside"},
		{"restart", func(o *sampler.Options) { o.Restart = []sampler.Interval{{Levels: 3, Repeats: 1, Low: 0.1, High: 0.5}} }, "outside"},
	} {
		info := lookup(t, c.name)
		o := info.Options()
		c.set(&o)
		err := info.Check(o)
		if err == nil {
			err = o.ValidateFor(sigmas)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that says %q", c.name, err, c.want)
		}
	}
	g := gmm2()
	panics(t, "an order that does not exist", "order 9", func() {
		sampler.UniPC(g.Denoise, []float64{1, 2}, sigmas, sampler.Options{Order: 9})
	})
	panics(t, "a value a step, but not as many", "2 values for 3 steps", func() {
		sampler.AMED(g.Denoise, []float64{1, 2}, sigmas, sampler.Options{R: []float64{.5, .5}})
	})
}

// AFS takes one evaluation less, at the start alone; denoise-to-zero is the solver to the level before, then D, whatever is left of the list.
func TestWrappers(t *testing.T) {
	g, x, sigmas := gmm2(), []float64{30, -50}, schedule.Karras(6, .002, 80, 7)
	for _, info := range sampler.All() {
		if info.OwnLevels {
			continue
		}
		o := info.Options()
		o.Eta = 0
		calls := 0
		first := true
		d := sampler.AnalyticFirst(sampler.Counted(func(dst, x []float64, sigma float64) {
			if first && sigma >= sigmas[0] {
				t.Errorf("%s was evaluated at the start", info.Name)
			}
			first = false
			g.Denoise(dst, x, sigma)
		}, &calls), sigmas[0])
		last(info.Sampler(d, x, sigmas, o))
		if want := info.NFE(6) - 1; calls != want {
			t.Errorf("%s with AFS: %d evaluations, want %d", info.Name, calls, want)
		}

		to := last(info.Sampler(g.Denoise, x, sigmas[:6], o))
		want := make([]float64, 2)
		g.Denoise(want, to, sigmas[5])
		steps := 0
		for s := range sampler.DenoiseToZero(info.Sampler)(g.Denoise, x, sigmas, o) {
			if steps++; s.Step == 6 {
				same(t, info.Name+" to zero", s.X, want)
			}
		}
		if steps != 6 {
			t.Errorf("%s to zero: %d steps", info.Name, steps)
		}
		same(t, info.Name+", no zero to go to", last(sampler.DenoiseToZero(info.Sampler)(g.Denoise, x, sigmas[:6], o)), to)
		g.Denoise(want, x, 80)
		same(t, info.Name+" to zero at once", last(sampler.DenoiseToZero(info.Sampler)(g.Denoise, x, []float64{80, 0}, o)), want)
	}
}

// Inverting and sampling again comes back to the picture as steps grow, at the rate of the method's order. Heun's is one more,
// for the leading errors of a method of even order are odd in the step and cancel between the ways up and down. Its lists end above 0, since a
// step to 0 lands on the denoised picture and is worth what the last level is.
func TestInversionRoundTrip(t *testing.T) {
	g := gmm2()
	picture := []float64{-0.9, 0.6}
	for _, c := range []struct {
		name       string
		up, down   sampler.Sampler
		order      float64
		withoutEnd int
	}{{"DDIM", sampler.DDIMInverse, sampler.DDIM, 1, 0}, {"Heun", sampler.HeunInverse, sampler.Heun, 3, 1}} {
		var errs []float64
		for _, steps := range []int{50, 100, 200, 400} {
			sigmas := schedule.Karras(steps, .02, 80, 7)
			sigmas = sigmas[:len(sigmas)-c.withoutEnd]
			noise := last(c.up(g.Denoise, picture, sigmas, sampler.DefaultOptions()))
			back := last(c.down(g.Denoise, noise, sigmas, sampler.DefaultOptions()))
			errs = append(errs, math.Hypot(back[0]-picture[0], back[1]-picture[1]))
		}
		slope := math.Log2(errs[2] / errs[3])
		t.Logf("%s: errors %.2e, slope %.2f", c.name, errs, slope)
		if !(math.Abs(slope-c.order) <= 0.2) {
			t.Errorf("%s: errors %v fall with slope %v, want %v", c.name, errs, slope, c.order)
		}
	}
}

// No solver allocates anything of a picture's size in a step: 40 more steps cost less memory than one vector.
func TestStepsAllocateNoVectors(t *testing.T) {
	const length = 1 << 14
	d := func(dst, x []float64, sigma float64) {
		for i, v := range x {
			dst[i] = v / (1 + sigma*sigma)
		}
	}
	for _, info := range sampler.All() {
		if info.Adaptive {
			continue
		}
		for _, f := range forms(info) {
			bytes := func(steps int) uint64 {
				o := f.options
				o.Noise = func(dst []float64, _, _ float64) { clear(dst) }
				x, sigmas := make([]float64, length), schedule.Karras(steps, .002, 80, 7)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range info.Sampler(d, x, sigmas, o) {
				}
				runtime.ReadMemStats(&after)
				return after.TotalAlloc - before.TotalAlloc
			}
			few, many := bytes(20), bytes(60)
			if many > few+8*length {
				t.Errorf("%s: 40 more steps allocate %d bytes; a vector has %d", f.name(), many-few, 8*length)
			}
		}
	}
}
