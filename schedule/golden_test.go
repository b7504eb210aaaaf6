package schedule_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
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

func falls(s []float64) bool {
	return slices.IsSortedFunc(s, func(a, b float64) int { return cmp.Compare(b, a) })
}

// Step grids of k-diffusion, diff-sampler and EDM, float64 against float64: 1e-10, where a case states nothing else.
func TestGridsGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case, Kind    string
			N             int
			Min, Max, Rho float64
			BetaD         float64 `json:"beta_d"`
			BetaMin       float64 `json:"beta_min"`
			EpsS          float64 `json:"eps_s"`
			SigmaMin      float64 `json:"sigma_min"`
			SigmaMax      float64 `json:"sigma_max"`
			Shift         float64
			T             []float64
			Shifted       []float64 `json:"t_shifted"`
			SigmaVE       []float64 `json:"ve_sigma_at_t_shifted"`
			Diffusers     []float64 `json:"diffusers_FlowMatchEuler_sigmas"`
			Tolerance     float64
			Sigmas        []float64
		}
	}
	load(t, "samplers/schedules_grids.json", &file)
	seen := map[string]int{}
	for _, c := range file.Cases {
		tol := c.Tolerance
		if tol == 0 {
			tol = 1e-10
		}
		spec := func(format string, args ...any) []float64 {
			spec := fmt.Sprintf(format, args...)
			s, err := schedule.Lookup(spec)
			if err != nil {
				t.Fatalf("%s: %v", c.Case, err)
			}
			if c.SigmaMax > 0 { // the case states the range that the schedule should have of its own
				relative(t, spec+": range", []float64{s.SigmaMin, s.SigmaMax}, []float64{c.SigmaMin, c.SigmaMax}, 1e-12)
				c.Min, c.Max = s.SigmaMin, s.SigmaMax
			}
			sigmas, err := s.Grid(c.N, c.Min, c.Max, 0)
			if !falls(c.Sigmas) { // diff-sampler's time_uniform from 1 to 0.1 rises first: beta_d comes out negative
				if err == nil {
					t.Errorf("%s: no error, but levels %v", c.Case, sigmas)
				}
				return c.Sigmas
			}
			if err != nil {
				t.Fatalf("%s: %v", c.Case, err)
			}
			return sigmas
		}
		seen[c.Kind]++
		switch c.Kind {
		case "karras":
			relative(t, c.Case, spec("karras:rho=%v", c.Rho), c.Sigmas, tol)
		case "exponential":
			relative(t, c.Case, spec("exponential"), c.Sigmas, tol)
		case "polyexponential":
			relative(t, c.Case, spec("polyexponential:rho=%v", c.Rho), c.Sigmas, tol)
		case "linear":
			relative(t, c.Case, spec("linear-sigma"), c.Sigmas, tol)
		case "polynomial": // as karras, without the last 0
			relative(t, c.Case, spec("polynomial:rho=%v", c.Rho)[:c.N], c.Sigmas, tol)
		case "logsnr": // as exponential, without the last 0
			relative(t, c.Case, spec("logsnr")[:c.N], c.Sigmas, tol)
		case "time_uniform": // without the last 0
			relative(t, c.Case, spec("time_uniform:rho=%v,eps=%v", c.Rho, c.EpsS)[:c.N], c.Sigmas, tol)
		case "vp":
			c.SigmaMin, c.SigmaMax = c.Sigmas[c.N-1], c.Sigmas[0]
			relative(t, c.Case, spec("vp:beta_d=%v,beta_min=%v,eps=%v", c.BetaD, c.BetaMin, c.EpsS), c.Sigmas, tol)
		case "edm_vp", "edm_ve", "edm_iddpm":
			relative(t, c.Case, spec("%s", c.Kind), c.Sigmas, tol)
		case "flow_shift":
			near(t, c.Case, each(c.T, func(v float64) float64 { return schedule.FlowShift(v, c.Shift) }), c.Shifted, tol)
			for i, v := range c.T {
				if got := schedule.Sigma(schedule.Flow(c.Shift)(v)); c.SigmaVE[i] < 1e300 {
					relative(t, c.Case, []float64{got}, c.SigmaVE[i:i+1], tol)
				} else if !math.IsInf(got, 1) {
					t.Errorf("%s: level %v at t = %v, want infinity", c.Case, got, v)
				}
			}
			near(t, c.Case+", diffusers", schedule.FlowMatchTimes(c.N, c.Shift, 1000), c.Diffusers, 1e-6) // float32 there
		}
	}
	for k, want := range map[string]int{"karras": 15, "exponential": 15, "polyexponential": 45, "linear": 15, "polynomial": 15, "logsnr": 15,
		"time_uniform": 30, "vp": 5, "flow_shift": 3, "edm_vp": 2, "edm_ve": 2, "edm_iddpm": 2} {
		if seen[k] != want {
			t.Errorf("%d reference cases of kind %q, want %d", seen[k], k, want)
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
			Mu, B, Start, End, Tau            float64
			T, LogSNR, Alpha, Sigma           []float64
			AlphaBar                          []float64 `json:"alpha_bar"`
			SigmaVE                           []float64 `json:"sigma_ve"`
		}
	}
	load(t, "samplers/schedules_logsnr.json", &file)
	clips := map[string]schedule.Clip{"A": schedule.ClipA, "B": schedule.ClipB}
	dirs := map[string]schedule.Direction{"low_at_noisy": schedule.LowAtNoisy, "low_at_clean": schedule.LowAtClean}
	seen := map[string]int{}
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
		case "laplace":
			l = schedule.Laplace(c.Mu, c.B)
		case "sigmoid_gamma":
			l = schedule.Sigmoid(c.Start, c.End, c.Tau)
		case "cosine_gamma":
			l = schedule.CosineGamma(c.Start, c.End, c.Tau)
		}
		seen[c.Kind]++
		got := each(c.T, l)
		if c.AlphaBar != nil {
			near(t, c.Case, each(got, func(v float64) float64 { a, _ := schedule.AlphaSigma(v); return a * a }), c.AlphaBar, 1e-10)
			continue
		}
		near(t, c.Case, got, c.LogSNR, 1e-10)
		if c.SigmaVE != nil {
			relative(t, c.Case+" sigma_ve", each(got, schedule.Sigma), c.SigmaVE, 1e-10)
		}
		if c.Alpha != nil {
			near(t, c.Case+" alpha", each(got, func(v float64) float64 { a, _ := schedule.AlphaSigma(v); return a }), c.Alpha, 1e-10)
			near(t, c.Case+" sigma", each(got, func(v float64) float64 { _, s := schedule.AlphaSigma(v); return s }), c.Sigma, 1e-10)
		}
	}
	for k, want := range map[string]int{"cosine": 2, "cosine_shifted": 36, "cosine_interpolated": 32, "laplace": 3, "sigmoid_gamma": 3, "cosine_gamma": 2} {
		if seen[k] != want {
			t.Errorf("%d reference cases of kind %q, want %d", seen[k], k, want)
		}
	}
}

// Training densities as quantile functions. k-diffusion's cosine-interpolated density is our schedule in convention B.
func TestDensitiesGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case, Density string
			Params        struct {
				Loc, Scale float64
				Below      float64 `json:"scale_1"`
				Above      float64 `json:"scale_2"`
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
		if p.Max == 0 {
			p.Max = math.Inf(1)
		}
		var d schedule.Density
		switch c.Density {
		case "lognormal":
			d = schedule.LogNormalDensity(p.Loc, p.Scale)
		case "loglogistic":
			d = schedule.LogLogistic(p.Loc, p.Scale, p.Min, p.Max)
		case "loguniform":
			d = schedule.LogUniform(p.Min, p.Max)
		case "v-diffusion":
			d = schedule.VDiffusion(p.SigmaData, p.Min, p.Max)
		case "cosine-interpolated":
			b := schedule.Cosine{Min: -2 * math.Log(p.Max/p.SigmaData), Max: -2 * math.Log(p.Min/p.SigmaData)}
			d = schedule.OfSchedule(b.Interpolated(p.Low, p.High, p.ImageD, schedule.ClipB, schedule.LowAtNoisy), p.SigmaData)
		case "split-lognormal":
			d = schedule.SplitLogNormal(p.Loc, p.Below, p.Above)
		default:
			t.Errorf("no density %q", c.Density)
			continue
		}
		seen[c.Density]++
		relative(t, c.Case, each(c.U, d), c.Sigma, 1e-10)
	}
	for k, want := range map[string]int{"lognormal": 2, "loglogistic": 3, "loguniform": 1, "v-diffusion": 3, "cosine-interpolated": 3, "split-lognormal": 2} {
		if seen[k] != want {
			t.Errorf("%d reference cases of density %q, want %d", seen[k], k, want)
		}
	}
}

func TestWeightsGolden(t *testing.T) {
	var file struct {
		Cases []struct {
			Case          string
			Sigma         float64
			SigmaData     float64 `json:"sigma_data"`
			Skip          float64 `json:"c_skip"`
			Out           float64 `json:"c_out"`
			In            float64 `json:"c_in"`
			Noise         float64 `json:"c_noise"`
			EDM           float64 `json:"edm_weight_on_x0"`
			EDMOnF        float64 `json:"edm_weight_on_F"`
			SNROnF        float64 `json:"kd_snr_on_F"`
			SoftMinSNROnF float64 `json:"kd_soft_min_snr_on_F"`
			SNR           float64 `json:"snr_on_x0"`
			MinSNR        float64 `json:"min_snr5_on_x0"`
			MinSNROnEps   float64 `json:"min_snr5_on_eps"`
			MinSNROnV     float64 `json:"min_snr5_on_v"`
			SNRPlusOne    float64 `json:"snr_plus1_on_x0_equals_v_loss"`
			Truncated     float64 `json:"truncated_snr_on_x0"`
			SigmoidOnEps  float64 `json:"sid2_sigmoid_bias_m3_on_eps"`
		}
	}
	load(t, "samplers/schedules_weights.json", &file)
	for _, c := range file.Cases {
		skip, out, in, noise := schedule.EDM(c.SigmaData).Scaling(c.Sigma)
		edm := func(sigma float64) float64 { return schedule.EDMWeight(sigma, c.SigmaData) }
		relative(t, c.Case, []float64{skip, out, in, noise, edm(c.Sigma), schedule.OnF(edm, c.SigmaData)(c.Sigma),
			schedule.OnF(schedule.SNRWeight, c.SigmaData)(c.Sigma), schedule.OnF(schedule.SoftMinSNR(c.SigmaData), c.SigmaData)(c.Sigma),
			schedule.SNRWeight(c.Sigma), schedule.MinSNR(5)(c.Sigma), schedule.OnEps(schedule.MinSNR(5))(c.Sigma), schedule.OnV(schedule.MinSNR(5))(c.Sigma),
			schedule.SNRPlusOneWeight(c.Sigma), schedule.TruncatedSNRWeight(c.Sigma), schedule.OnEps(schedule.SigmoidWeight(-3))(c.Sigma)},
			[]float64{c.Skip, c.Out, c.In, c.Noise, c.EDM, c.EDMOnF, c.SNROnF, c.SoftMinSNROnF,
				c.SNR, c.MinSNR, c.MinSNROnEps, c.MinSNROnV, c.SNRPlusOne, c.Truncated, c.SigmoidOnEps}, 1e-12)
	}
	if len(file.Cases) != 18 {
		t.Errorf("%d reference cases, want 18", len(file.Cases))
	}
}
