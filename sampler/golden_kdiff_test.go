package sampler_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"diffuse/sampler"
)

// kdiffCase is one run of k-diffusion. The fields that a file does not have stay empty.
type kdiffCase struct {
	Case, Oracle string
	Options      struct {
		Churn   *float64 `json:"s_churn"`
		Min     float64  `json:"s_tmin"`
		Max     number   `json:"s_tmax"`
		Scale   *float64 `json:"s_noise"`
		Eta     *float64
		Order   int
		R       float64
		Variant string `json:"solver_type"`
		RTol    *float64
		ATol    *float64
		P       *float64 `json:"pcoeff"`
		I       *float64 `json:"icoeff"`
		D       *float64 `json:"dcoeff"`
	}
	N          int     // dpm_fast: evaluations
	SigmaMin   float64 `json:"sigma_min"`
	SigmaMax   float64 `json:"sigma_max"`
	Sigmas     []float64
	X0         [][]float64
	Trajectory []struct {
		X, Denoised     [][]float64
		Sigma, Error, H float64
		SigmaHat        *float64 `json:"sigma_hat"`
		Accepted        int      `json:"n_accept"`
		Rejected        int      `json:"n_reject"`
	}
	XFinal     [][]float64 `json:"x_final"`
	CallSigmas []float64   `json:"call_sigmas"`
	NFE        int
	Info       struct {
		Steps, NFE int
		Accepted   int `json:"n_accept"`
		Rejected   int `json:"n_reject"`
	}
	Noise       [][][]float64
	NoiseSigmas [][2]float64 `json:"noise_sigmas"`
}

// options are the case's, for a solver.
func (c kdiffCase) options(i sampler.Info) sampler.Options {
	o := i.Options()
	for _, f := range []struct{ dst, src *float64 }{
		{&o.Churn, c.Options.Churn}, {&o.NoiseScale, c.Options.Scale}, {&o.Eta, c.Options.Eta},
		{&o.Adaptive.Relative, c.Options.RTol}, {&o.Adaptive.Absolute, c.Options.ATol},
		{&o.Adaptive.P, c.Options.P}, {&o.Adaptive.I, c.Options.I}, {&o.Adaptive.D, c.Options.D},
	} {
		if f.src != nil {
			*f.dst = *f.src
		}
	}
	if c.Options.Churn != nil {
		o.ChurnMin, o.ChurnMax = c.Options.Min, float64(c.Options.Max)
	}
	o.Order, o.Variant = c.Options.Order, c.Options.Variant
	if r := c.Options.R; r != 0 {
		o.R = []float64{r}
	}
	return o
}

// noise hands out the draws of the case: perStep of them belong to each step, whether used or not, and *done steps are done.
func (c kdiffCase) noise(t *testing.T, done *int, perStep int) sampler.Noise {
	step, k := -1, 0
	return func(dst []float64, from, to float64) {
		if *done != step {
			step, k = *done, 0
		}
		at := step*perStep + k
		k++
		copy(dst, flat(c.Noise[at]))
		if c.NoiseSigmas != nil {
			near(t, c.Case+": levels of a draw", []float64{from, to}, c.NoiseSigmas[at][:], 1e-12)
		}
	}
}

func loadKDiff(t *testing.T, name string) (cases []kdiffCase, oracles map[string]oracleFile) {
	t.Helper()
	var data struct {
		Oracles map[string]oracleFile
		Cases   []kdiffCase
	}
	loadGzip(t, name+".json.gz", &data)
	return data.Cases, data.Oracles
}

func loadGzip(t *testing.T, name string, v any) {
	t.Helper()
	f, err := os.Open("../testdata/samplers/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// The rest of k-diffusion's samplers on given levels, in float64: every state, evaluation and level to 1e-11. dpm_fast has steps of up to
// h = ln 40000, in which numbers cancel that are exp(h) times larger than their sum: 1e-10.
func TestKDiffusionFamilyGolden(t *testing.T) {
	for _, f := range []struct {
		name, solver string
		cases        int
	}{
		{"dpm_2", "DPM2", 10}, {"dpm_2_churn", "k_dpm_2", 13}, {"dpm_2_ancestral", "DPM2 a", 13}, {"lms", "LMS", 19},
		{"dpmpp_2s_ancestral", "DPM++ 2S a", 16}, {"dpmpp_sde", "DPM++ SDE", 16}, {"dpmpp_2m_sde", "DPM++ 2M SDE", 25}, {"dpmpp_3m_sde", "DPM++ 3M SDE", 16},
		{"dpm_fast", "DPM fast", 15},
	} {
		t.Run(f.name, func(t *testing.T) {
			worstSeen = 0
			tol := 1e-11
			if f.name == "dpm_fast" {
				tol = 1e-10
			}
			cases, oracles := loadKDiff(t, "kdiff_"+f.name)
			if len(cases) != f.cases {
				t.Errorf("%d cases, want %d", len(cases), f.cases)
			}
			info, err := sampler.Lookup(f.solver)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cases {
				sigmas := c.Sigmas
				if c.N > 0 { // only the ends and the number matter
					sigmas = make([]float64, c.N+1)
					for i := range sigmas {
						sigmas[i] = c.SigmaMax + float64(i)/float64(c.N)*(c.SigmaMin-c.SigmaMax)
					}
				}
				o, done := c.options(info), 0
				o.Noise = c.noise(t, &done, max(1, info.Draws))
				var calls []call
				var x []float64
				for s := range info.Sampler(recorded(oracle(t, oracles[c.Oracle]).Denoise, &calls), flat(c.X0), sigmas, o) {
					want := c.Trajectory[done]
					if done++; s.Step != done {
						t.Fatalf("%s: step %d says it is %d", c.Case, done, s.Step)
					}
					near(t, fmt.Sprintf("%s: denoised of step %d", c.Case, s.Step), s.Denoised, flat(want.Denoised), tol)
					if done < len(c.Trajectory) {
						next := c.Trajectory[done]
						if next.SigmaHat == nil {
							near(t, fmt.Sprintf("%s: x after step %d", c.Case, s.Step), s.X, flat(next.X), tol)
						}
						near(t, c.Case+": level", []float64{s.Sigma}, []float64{next.Sigma}, 1e-12)
					}
					x = append(x[:0], s.X...)
				}
				near(t, c.Case+": final x", x, flat(c.XFinal), tol)
				if done != len(c.Trajectory) || len(calls) != c.NFE || len(calls) != info.NFE(len(sigmas)-1) {
					t.Errorf("%s: %d steps, peer %d; %d evaluations, peer %d, table %d",
						c.Case, done, len(c.Trajectory), len(calls), c.NFE, info.NFE(len(sigmas)-1))
					continue
				}
				for i, w := range c.CallSigmas {
					near(t, c.Case+": level of an evaluation", []float64{calls[i].sigma}, []float64{w}, 1e-12)
				}
			}
			t.Logf("%d cases, largest difference %.2g", len(cases), worstSeen)
		})
	}
}

// dpm_adaptive in float64: every attempt's error, step and decision. 1e-8 as the files say, because the controller amplifies rounding;
// errors far below the tolerance are differences of nearly equal numbers and are compared to 1e-8 of the tolerance. The peer
// repeats the first evaluation after a rejected step and we do not.
func TestDPMAdaptiveGolden(t *testing.T) {
	const tol = 1e-8
	worstSeen = 0
	cases, oracles := loadKDiff(t, "kdiff_dpm_adaptive")
	info, err := sampler.Lookup("DPM adaptive")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 14 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		o, done, attempts, rejected := c.options(info), 0, 0, 0
		o.Noise = c.noise(t, &done, 1)
		var x []float64
		o.Attempt = func(a sampler.Attempt) {
			if !a.Accepted {
				rejected++
			}
			if attempts++; attempts > len(c.Trajectory) {
				return
			}
			want := c.Trajectory[attempts-1]
			what := fmt.Sprintf("%s: attempt %d", c.Case, attempts)
			near(t, what+", error and next length", []float64{a.Error, a.Next}, []float64{want.Error, want.H}, tol)
			if a.Accepted {
				near(t, what+", level", []float64{a.To}, []float64{want.Sigma}, tol)
			}
			if rejected != want.Rejected {
				t.Errorf("%s: %d rejected, peer %d", what, rejected, want.Rejected)
			}
		}
		calls := 0
		d := sampler.Counted(oracle(t, oracles[c.Oracle]).Denoise, &calls)
		for s := range info.Sampler(d, flat(c.X0), []float64{c.SigmaMax, c.SigmaMin}, o) {
			if done++; attempts <= len(c.Trajectory) {
				near(t, fmt.Sprintf("%s: x after step %d", c.Case, s.Step), s.X, flat(c.Trajectory[attempts-1].X), tol)
			}
			x = append(x[:0], s.X...)
		}
		near(t, c.Case+": final x", x, flat(c.XFinal), tol)
		if w := c.Info; attempts != w.Steps || done != w.Accepted || rejected != w.Rejected || calls+rejected != w.NFE {
			t.Errorf("%s: %d attempts, %d accepted, %d rejected, %d evaluations; peer %+v", c.Case, attempts, done, rejected, calls, w)
		}
	}
	t.Logf("%d cases, largest difference %.2g", len(cases), worstSeen)
}

// diff-sampler's DPM-Solver-2 with its parameter r, and DPM-Solver++(3M) without lowered orders at the end, on grids that end above 0.
func TestDiffSamplerSecondAndThirdOrder(t *testing.T) {
	worstSeen = 0
	type file struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Oracle string
			Options      struct {
				AFS   bool
				R     float64
				Order int   `json:"max_order"`
				Lower *bool `json:"lower_order_final"`
			}
			Sigmas []float64
			X      [][][]float64
		}
	}
	var second, third file
	loadGzip(t, "dsamp_dpm_2.json.gz", &second)
	load(t, "dsamp_dpmpp.json", &third)
	seen := 0
	for solver, data := range map[string]file{"dpm-2": second, "dpmpp-3m": third} {
		info, err := sampler.Lookup(solver)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range data.Cases {
			if c.Options.AFS || solver == "dpmpp-3m" && (c.Options.Order != 3 || c.Options.Lower == nil) {
				continue
			}
			seen++
			o := info.Options()
			if r := c.Options.R; r != 0 {
				o.R = []float64{r}
			}
			for s := range info.Sampler(oracle(t, data.Oracles[c.Oracle]).Denoise, flat(c.X[0]), c.Sigmas, o) {
				near(t, fmt.Sprintf("%s: step %d", c.Case, s.Step), s.X, flat(c.X[s.Step]), 1e-11)
			}
		}
	}
	if seen != 12 {
		t.Errorf("%d cases, want 12", seen)
	}
	t.Logf("%d cases, largest difference %.2g", seen, math.Abs(worstSeen))
}
