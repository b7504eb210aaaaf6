package sampler_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"diffuse/sampler"
)

// dsampFile is a file of trajectories of diff-sampler: x[k] at sigmas[k], and one more state for denoise_to_zero.
type dsampFile struct {
	Oracles map[string]oracleFile
	Cases   []dsampCase
}

type dsampCase struct {
	Case, Oracle, Sampler, Error string
	Options                      struct {
		AFS       bool
		ToZero    bool     `json:"denoise_to_zero"`
		Order     int      `json:"max_order"`
		R         *float64 `json:"r"`
		Variant   string
		Mode      string `json:"deis_mode"`
		Lower     *bool  `json:"lower_order_final"`
		X0        *bool  `json:"predict_x0"`
		Threshold bool   `json:"dynamic_thresholding"`
	}
	Sigmas    []float64
	X         [][][]float64
	Levels    []float64   `json:"call_sigmas"`
	Coeff     [][]float64 `json:"coeff"`
	Exact     [][]float64 `json:"coeff_exact_integral"`
	R         *float64    `json:"r"`
	ScaleDir  float64     `json:"scale_dir"`
	ScaleTime float64     `json:"scale_time"`
	NFE       int
}

// solver returns the sampler and the options that stand for a case.
func (c dsampCase) solver(t *testing.T) (sampler.Info, sampler.Options) {
	t.Helper()
	info, err := sampler.Lookup(c.Sampler)
	if err != nil {
		t.Fatal(err)
	}
	o, k := info.Options(), c.Options
	o.Order, o.Variant = k.Order, k.Variant
	noise := k.X0 != nil && !*k.X0
	switch {
	case noise && o.Variant == "":
		o.Variant = "noise"
	case noise:
		o.Variant += "-noise"
	}
	if k.Lower != nil && !*k.Lower {
		o.Final = sampler.FinalFull
	}
	if k.R != nil {
		o.R = []float64{*k.R}
	}
	if c.R != nil {
		o.R, o.ScaleDir, o.ScaleTime = []float64{*c.R}, []float64{c.ScaleDir}, []float64{c.ScaleTime}
	}
	if err := info.Check(o); err != nil {
		t.Fatalf("%s: %v", c.Case, err)
	}
	return info, o
}

// run compares every state of a case and the levels that the denoiser was asked at.
func (c dsampCase) run(t *testing.T, d sampler.Denoiser, tol float64) {
	t.Helper()
	info, o := c.solver(t)
	solve, sigmas := info.Sampler, c.Sigmas
	var levels []float64
	inner := d
	d = func(dst, x []float64, sigma float64) {
		levels = append(levels, sigma)
		inner(dst, x, sigma)
	}
	if c.Options.AFS {
		d = sampler.AnalyticFirst(d, sigmas[0])
	}
	if c.Options.ToZero {
		solve, sigmas = sampler.DenoiseToZero(solve), append(slices.Clone(sigmas), 0)
	}
	done := 0
	for s := range solve(d, flat(c.X[0]), sigmas, o) {
		if done++; s.Step != done || s.Sigma != sigmas[done] {
			t.Errorf("%s: step %d, sigma %v, want %d, %v", c.Case, s.Step, s.Sigma, done, sigmas[done])
		}
		near(t, fmt.Sprintf("%s: step %d", c.Case, s.Step), s.X, flat(c.X[s.Step]), tol)
	}
	if done != len(c.X)-1 {
		t.Errorf("%s: %d steps, the peer has %d", c.Case, done, len(c.X)-1)
	}
	near(t, c.Case+": levels of the calls", levels, c.Levels, 1e-12)
	if len(levels) != c.NFE {
		t.Errorf("%s: %d evaluations, the peer has %d", c.Case, len(levels), c.NFE)
	}
}

// threshold is the dynamic thresholding that diff-sampler has on by default.
func threshold(d sampler.Denoiser, size int) sampler.Denoiser {
	return func(dst, x []float64, sigma float64) {
		d(dst, x, sigma)
		limitQuantile(dst, size, 0.995, math.Inf(1))
	}
}

// Every state of diff-sampler's solvers in float64, with AFS, denoise_to_zero, lowered and full orders, both predictions. The agreement is 1e-12 or
// better; 1e-11 is held (1e-9 is asked for).
func TestDiffSamplerMultistepGolden(t *testing.T) {
	want := map[string]int{"euler": 12, "heun": 12, "ipndm": 16, "ipndm_v": 14, "dpmpp": 24, "unipc": 28, "list": 8}
	for name, cases := range want {
		t.Run(name, func(t *testing.T) {
			worstSeen = 0
			var data dsampFile
			load(t, "dsamp_"+name+".json", &data)
			seen := 0
			for _, c := range data.Cases {
				if c.Error != "" {
					continue // order 1, which the peer cannot run; ours is Euler, see TestOrderOneIsEuler
				}
				seen++
				d := sampler.Denoiser(oracle(t, data.Oracles[c.Oracle]).Denoise)
				if c.Options.Threshold && (c.Sampler == "dpmpp" || c.Sampler == "unipc") {
					d = threshold(d, len(c.X[0][0]))
				}
				c.run(t, d, 1e-11)
			}
			if seen != cases {
				t.Errorf("%d cases, want %d", seen, cases)
			}
			t.Logf("%d cases, largest difference %.2g", seen, worstSeen)
		})
	}
}

// DEIS against the peer, whose integrals are sums of 10,000 points and 6e-5 off, which grows to 1.2e-3 in the coarsest runs; and to 1e-9 against the
// peer's formula with exact integrals (scipy's quadrature).
func TestDEISGolden(t *testing.T) {
	var data dsampFile
	load(t, "dsamp_deis.json", &data)
	worstSeen = 0
	seen, exact := 0, 0.0
	for _, c := range data.Cases {
		if c.Error != "" || c.Options.Mode != "" {
			continue // orders and a mode that the peer cannot run or computes with stale coefficients
		}
		seen++
		d := sampler.Denoiser(oracle(t, data.Oracles[c.Oracle]).Denoise)
		c.run(t, d, 1.5e-3)
		if c.Options.AFS {
			d = sampler.AnalyticFirst(d, c.Sigmas[0])
		}
		x, den := flat(c.X[0]), make([]float64, len(flat(c.X[0])))
		var slopes [][]float64 // newest first
		info, o := c.solver(t)
		for s := range info.Sampler(d, x, c.Sigmas, o) {
			i := s.Step - 1
			d(den, x, c.Sigmas[i])
			slope := make([]float64, len(x))
			for j := range x {
				slope[j] = (x[j] - den[j]) / c.Sigmas[i]
			}
			slopes = append([][]float64{slope}, slopes...)
			weights := c.Exact[i]
			if i == 0 {
				weights = []float64{c.Sigmas[1] - c.Sigmas[0]}
			}
			for j := range x {
				for k, w := range weights {
					x[j] += w * slopes[k][j]
				}
				exact = math.Max(exact, math.Abs(s.X[j]-x[j]))
			}
			near(t, fmt.Sprintf("%s: exact, step %d", c.Case, s.Step), s.X, x, 1e-9)
		}
	}
	if seen != 14 {
		t.Errorf("%d cases, want 14", seen)
	}
	t.Logf("%d cases, largest difference %.2g, with exact integrals %.2g", seen, worstSeen, exact)
}

// AMED-Solver and its plugin over four methods with constant r, scale_dir and scale_time.
func TestAMEDGolden(t *testing.T) {
	var data dsampFile
	load(t, "dsamp_amed.json", &data)
	worstSeen = 0
	seen := map[string]int{}
	for _, c := range data.Cases {
		seen[c.Sampler]++
		c.run(t, oracle(t, data.Oracles[c.Oracle]).Denoise, 1e-11)
	}
	if len(seen) != 5 || len(data.Cases) != 69 {
		t.Errorf("cases %v", seen)
	}
	t.Logf("cases %v, largest difference %.2g", seen, worstSeen)
}
