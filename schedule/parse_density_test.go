package schedule_test

import (
	"math"
	"strings"
	"testing"

	"diffuse/schedule"
)

func TestParseDensity(t *testing.T) {
	c := schedule.DefaultCosine()
	const size = 256
	uniform := []float64{1e-9, .01, .2, .5, .7, .99, 1 - 1e-9}
	inf := math.Inf(1)
	for _, f := range []struct {
		spec string
		want schedule.Density
	}{
		{"lognormal", schedule.LogNormalDensity(-1.2, 1.2)},
		{"LogNormal:mean=-0.4,std=1", schedule.LogNormalDensity(-0.4, 1)},
		{"split_lognormal:loc=-0.5,below=1.2,above=0.7", schedule.SplitLogNormal(-0.5, 1.2, 0.7)},
		{"loglogistic", schedule.LogLogistic(math.Log(0.5), 0.5, 0, inf)},
		{"loglogistic:loc=0,scale=1,min=0.002,max=80", schedule.LogLogistic(0, 1, .002, 80)},
		{"loguniform:min=0.02,max=100", schedule.LogUniform(.02, 100)},
		{"v-diffusion:min=0.002,max=80", schedule.VDiffusion(0.5, .002, 80)},
		{"cosine-interpolated", schedule.OfSchedule(schedule.Cosine{Min: -2 * math.Log(2e3), Max: -2 * math.Log(2e-3)}.
			Interpolated(32, 256, 256, schedule.ClipB, schedule.LowAtNoisy), 0.5)},
		{"cosine", schedule.OfSchedule(c.LogSNR, 1)},
		{"cosine:shift=64", schedule.OfSchedule(c.Shifted(64, 256, schedule.ClipA), 1)},
		{"cosine:shift=64@128,clip=b", schedule.OfSchedule(c.Shifted(64, 128, schedule.ClipB), 1)},
		{"cosine:interpolate=32:128", schedule.OfSchedule(c.Interpolated(32, 128, 256, schedule.ClipA, schedule.LowAtNoisy), 1)},
		{"flow:shift=3", schedule.OfSchedule(schedule.Flow(3), 1)},
		{"laplace", schedule.OfSchedule(schedule.Laplace(0, 0.5), 1)},
	} {
		d, err := schedule.ParseDensity(f.spec, size, 0.5)
		if err != nil {
			t.Errorf("%q: %v", f.spec, err)
			continue
		}
		for _, u := range uniform {
			// The limits of 1e-6 and 1e6 are ParseDensity's own.
			relative(t, f.spec, []float64{d(u)}, []float64{math.Min(math.Max(f.want(u), 1e-6), 1e6)}, 0)
		}
	}
}

// TestDensityOfVP: EDM's loss for VP networks draws t evenly between 1 and 1e-5 (EDM, table 1, column VP).
func TestDensityOfVP(t *testing.T) {
	d, err := schedule.ParseDensity("vp:eps=1e-5", 32, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []float64{0, .1, .5, 1} {
		time := 1 + u*(1e-5-1)
		relative(t, "vp", []float64{d(u)}, []float64{math.Sqrt(math.Expm1(19.9/2*time*time + .1*time))}, 1e-11) // 1 + u(1e-5-1) is rounded
	}
}

// TestDensityOfTable: every timestep of a table gets the same share, also the last one of a zero terminal SNR.
func TestDensityOfTable(t *testing.T) {
	s, err := schedule.Lookup("linear:timesteps=10,zero-snr")
	if err != nil {
		t.Fatal(err)
	}
	d, err := schedule.ParseDensity("linear:timesteps=10,zero-snr", 32, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range s.Discrete.Table.Sigma {
		if math.IsInf(want, 1) {
			want = math.Sqrt(1<<24 - 1)
		}
		relative(t, "table", []float64{d((float64(i) + 0.01) / 10), d((float64(i) + 0.99) / 10)}, []float64{want, want}, 0)
	}
	relative(t, "end of the table", []float64{d(1)}, []float64{math.Sqrt(1<<24 - 1)}, 0)
}

// TestDensityEnds: whatever is drawn, under every weight and every preconditioning for training, is finite in float32.
func TestDensityEnds(t *testing.T) {
	for _, name := range append(schedule.DensityNames(), "squaredcos:zero-snr", "laplace:b=100", "sigmoid:tau=0.1", "cosine:min=-70,max=70,shift=1@1000000") {
		d, err := schedule.ParseDensity(name, 64, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []float64{0, 0x1p-54, 0.5, 1 - 0x1p-53, 1} {
			sigma := d(u)
			if !(sigma >= 1e-6 && sigma <= 1e6) {
				t.Errorf("%s: level %g at %g", name, sigma, u)
			}
			for _, weight := range schedule.WeightNames() {
				w, err := schedule.ParseWeight(weight, 0.5)
				if err != nil {
					t.Fatal(err)
				}
				if v := w(sigma); !(v > 0 && v < 1e13) {
					t.Errorf("weight %s at sigma %g is %g", weight, sigma, v)
				}
			}
			for _, name := range []string{"edm", "v", "eps", "x0", "vp", "ve"} {
				p, err := schedule.PrecondByName(name, 0.5)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range four(p.Scaling(sigma)) {
					if !(math.Abs(c) < 1e7) {
						t.Errorf("preconditioning %s has a coefficient %g at sigma %g", name, c, sigma)
					}
				}
			}
		}
	}
}

func four(a, b, c, d float64) []float64 { return []float64{a, b, c, d} }

func TestParseDensityErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                                 "lognormal, split-lognormal",
		"gauss":                            "cosine-interpolated, vp, cosine",
		"karras":                           "is a grid",
		"flow:diffusers":                   "is a grid",
		"lognormal:loc=3":                  "mean=M, std=S",
		"loguniform:min=2,max=1":           "min < max",
		"loguniform:min=0":                 "must lie between",
		"cosine-interpolated:low=9,high=8": "above high",
		"cosine:shift=x":                   "finite number",
		"cosine:shift=32:64":               "R@D",
		"cosine:interpolate=32":            "LOW:HIGH@D",
	} {
		if _, err := schedule.ParseDensity(spec, 64, 0.5); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDensity(%q): error %v, want one that says %q", spec, err, want)
		}
	}
}

func TestParseWeight(t *testing.T) {
	const sd = 0.5
	for spec, want := range map[string]schedule.Weight{
		"edm":             func(s float64) float64 { return schedule.EDMWeight(s, sd) },
		"eps":             schedule.SNRWeight,
		"SNR":             schedule.SNRWeight,
		"v":               schedule.SNRPlusOneWeight,
		"x0":              func(float64) float64 { return 1 },
		"truncated_snr":   schedule.TruncatedSNRWeight,
		"min-snr":         schedule.MinSNR(5),
		"min-snr:gamma=1": schedule.MinSNR(1),
		"soft-min-snr":    schedule.SoftMinSNR(sd),
		"sigmoid":         schedule.SigmoidWeight(-3),
		"sigmoid:bias=-1": schedule.SigmoidWeight(-1),
	} {
		w, err := schedule.ParseWeight(spec, sd)
		if err != nil {
			t.Errorf("%q: %v", spec, err)
			continue
		}
		for _, sigma := range []float64{1e-3, .3, 1, 7, 1e4} {
			relative(t, spec, []float64{w(sigma)}, []float64{want(sigma)}, 0)
		}
	}
	for spec, want := range map[string]string{"": "min-snr, soft-min-snr, sigmoid", "l2": "edm, eps", "edm:gamma=1": "takes no options", "min-snr:gamma=0": "must lie between"} {
		if _, err := schedule.ParseWeight(spec, sd); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseWeight(%q): error %v, want one that says %q", spec, err, want)
		}
	}
}

// TestPredictions: a network that returns exactly what its preconditioning asks of it denoises exactly, and the loss that is named after its
// output is the plain squared error of that output.
func TestPredictions(t *testing.T) {
	const y, n, miss = 0.7, -1.3, 0.01
	for name, target := range map[string]func(sigma float64) float64{
		"eps": func(float64) float64 { return n },
		"x0":  func(float64) float64 { return y },
		"v":   func(s float64) float64 { return (n - s*y) / math.Sqrt(1+s*s) },
	} {
		p, err := schedule.PrecondByName(name, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		w, err := schedule.ParseWeight(name, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []float64{.01, .5, 1, 30} {
			skip, out, in, label := p.Scaling(s)
			x := y + s*n
			relative(t, name, []float64{skip*x + out*target(s)}, []float64{y}, 1e-13*(1+s)) // x and s·F cancel
			relative(t, name+", input", []float64{in * x, label}, []float64{x / math.Sqrt(1+s*s), math.Log(s) / 4}, 1e-15)
			e := skip*x + out*(target(s)+miss) - y
			relative(t, name+", loss", []float64{w(s) * e * e}, []float64{miss * miss}, 1e-10*(1+s))
		}
	}
}
