package schedule_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"diffuse/schedule"
)

// load reads a reference file whose numbers were made by running other implementations; see testdata/samplers.
func load(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// near compares relative to max(1, |want|) and fails on NaN and on a length that differs.
func near(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	for i, w := range want {
		if d := math.Abs(got[i]-w) / math.Max(1, math.Abs(w)); !(d <= tol) {
			t.Errorf("%s: value %d is %.17g, want %.17g (difference %.3g > %.3g)", what, i, got[i], w, d, tol)
		}
	}
}

// relative compares relative to |want|, for levels far below 1.
func relative(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	for i, w := range want {
		if d := math.Abs(got[i] - w); !(d <= tol*math.Abs(w)) {
			t.Errorf("%s: value %d is %.17g, want %.17g (relative difference %.3g > %.3g)", what, i, got[i], w, d/math.Abs(w), tol)
		}
	}
}

func each(ts []float64, f func(float64) float64) []float64 {
	r := make([]float64, len(ts))
	for i, v := range ts {
		r[i] = f(v)
	}
	return r
}

// Step grids of k-diffusion and diff-sampler, float64 against float64: 1e-10.
func TestGridsGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case, Kind    string
			N             int
			Min, Max, Rho float64
			Sigmas        []float64
		}
	}
	load(t, "samplers/schedules_grids.json", &file)
	seen := map[string]int{}
	for _, c := range file.Cases {
		seen[c.Kind]++
		switch c.Kind {
		case "karras":
			relative(t, c.Case, schedule.Karras(c.N, c.Min, c.Max, c.Rho), c.Sigmas, 1e-10)
		case "exponential":
			relative(t, c.Case, schedule.Exponential(c.N, c.Min, c.Max), c.Sigmas, 1e-10)
		case "polynomial": // as karras, without the last 0
			relative(t, c.Case, schedule.Karras(c.N, c.Min, c.Max, c.Rho)[:c.N], c.Sigmas, 1e-10)
		case "logsnr": // as exponential, without the last 0
			relative(t, c.Case, schedule.Exponential(c.N, c.Min, c.Max)[:c.N], c.Sigmas, 1e-10)
		}
	}
	for _, k := range []string{"karras", "exponential", "polynomial", "logsnr"} {
		if seen[k] == 0 {
			t.Errorf("no reference case of kind %q", k)
		}
	}
}

func TestLogSNRGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case, Kind, Convention, Direction string
			ImageD                            float64 `json:"image_d"`
			NoiseD                            float64 `json:"noise_d"`
			Low                               float64 `json:"noise_d_low"`
			High                              float64 `json:"noise_d_high"`
			Min                               float64 `json:"logsnr_min"`
			Max                               float64 `json:"logsnr_max"`
			T, LogSNR, Alpha, Sigma           []float64
			SigmaVE                           []float64 `json:"sigma_ve"`
		}
	}
	load(t, "samplers/schedules_logsnr.json", &file)
	clips := map[string]schedule.Clip{"A": schedule.ClipA, "B": schedule.ClipB}
	dirs := map[string]schedule.Direction{"low_at_noisy": schedule.LowAtNoisy, "low_at_clean": schedule.LowAtClean}
	seen := 0
	for _, c := range file.Cases {
		base := schedule.Cosine{Min: c.Min, Max: c.Max}
		var l schedule.LogSNR
		switch c.Kind {
		case "cosine":
			l = base.LogSNR
		case "cosine_shifted":
			l = base.Shifted(c.NoiseD, c.ImageD, clips[c.Convention])
		case "cosine_interpolated":
			l = base.Interpolated(c.Low, c.High, c.ImageD, clips[c.Convention], dirs[c.Direction])
		default:
			continue
		}
		seen++
		got := each(c.T, l)
		near(t, c.Case, got, c.LogSNR, 1e-10)
		if c.SigmaVE != nil {
			relative(t, c.Case+" sigma_ve", each(got, schedule.Sigma), c.SigmaVE, 1e-10)
		}
		if c.Alpha != nil {
			near(t, c.Case+" alpha", each(got, func(v float64) float64 { a, _ := schedule.AlphaSigma(v); return a }), c.Alpha, 1e-10)
			near(t, c.Case+" sigma", each(got, func(v float64) float64 { _, s := schedule.AlphaSigma(v); return s }), c.Sigma, 1e-10)
		}
	}
	if seen < 60 {
		t.Errorf("only %d cosine cases found", seen)
	}
}

// Training densities as quantile functions. The lognormal one squeezes u into [1e-7, 1-1e-7]; k-diffusion's cosine-
// interpolated density is our schedule in convention B with its noisy end at u = 0.
func TestDensitiesGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case, Density string
			Params        struct {
				Loc, Scale float64
				ImageD     float64 `json:"image_d"`
				Low        float64 `json:"noise_d_low"`
				High       float64 `json:"noise_d_high"`
				SigmaData  float64 `json:"sigma_data"`
				Min        float64 `json:"min_value"`
				Max        float64 `json:"max_value"`
			}
			U, Sigma []float64
		}
	}
	load(t, "samplers/schedules_densities.json", &file)
	seen := map[string]int{}
	for _, c := range file.Cases {
		p := c.Params
		seen[c.Density]++
		switch c.Density {
		case "lognormal":
			relative(t, c.Case, each(c.U, func(u float64) float64 {
				return schedule.LogNormal(p.Loc, p.Scale, math.Sqrt2*math.Erfinv(2*(u*(1-2e-7)+1e-7)-1))
			}), c.Sigma, 1e-9) // at u = 1e-7 the argument of Erfinv has lost seven digits
		case "cosine-interpolated":
			b := schedule.Cosine{Min: -2 * math.Log(p.Max/p.SigmaData), Max: -2 * math.Log(p.Min/p.SigmaData)}
			l := b.Interpolated(p.Low, p.High, p.ImageD, schedule.ClipB, schedule.LowAtNoisy)
			relative(t, c.Case, each(c.U, func(u float64) float64 { return p.SigmaData * schedule.Sigma(l(1-u)) }), c.Sigma, 1e-10)
		}
	}
	if seen["lognormal"] == 0 || seen["cosine-interpolated"] == 0 {
		t.Errorf("reference cases missing: %v", seen)
	}
}

func TestEDMWeightsGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case      string
			Sigma     float64
			SigmaData float64 `json:"sigma_data"`
			Skip      float64 `json:"c_skip"`
			Out       float64 `json:"c_out"`
			In        float64 `json:"c_in"`
			Noise     float64 `json:"c_noise"`
			Weight    float64 `json:"edm_weight_on_x0"`
		}
	}
	load(t, "samplers/schedules_weights.json", &file)
	for _, c := range file.Cases {
		skip, out, in, noise := schedule.EDM(c.SigmaData).Scaling(c.Sigma)
		relative(t, c.Case, []float64{skip, out, in, noise, schedule.EDMWeight(c.Sigma, c.SigmaData)},
			[]float64{c.Skip, c.Out, c.In, c.Noise, c.Weight}, 1e-12)
	}
}
