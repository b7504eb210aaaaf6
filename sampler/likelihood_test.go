package sampler_test

import (
	"math"
	"strings"
	"testing"

	"diffuse/sampler"
)

// k-diffusion's log_likelihood with its random signs, for one Gaussian and for a mixture. 50 times the tolerance, as the file says: two
// integrators of that tolerance differ by a few of it. Exact divergence gives the true density, but for the prior without the data's
// variance, on the Gaussian and, unlike one probe, on the mixture.
func TestLogLikelihoodGolden(t *testing.T) {
	var data struct {
		Oracles map[string]oracleFile
		Cases   []struct {
			Case, Oracle string
			X, V         [][]float64
			SigmaMin     float64 `json:"sigma_min"`
			SigmaMax     float64 `json:"sigma_max"`
			RTol         float64
			Tolerance    float64
			Want         []float64 `json:"log_likelihood"`
			Analytic     []float64 `json:"analytic_with_N0_sigmamax_prior"`
			True         []float64 `json:"true_log_density_at_sigma_min"`
		}
	}
	load(t, "kdiff_log_likelihood.json", &data)
	worstSeen = 0
	if len(data.Cases) != 4 {
		t.Errorf("%d cases, want 4", len(data.Cases))
	}
	for _, c := range data.Cases {
		g := oracle(t, data.Oracles[c.Oracle])
		for i, x := range c.X {
			o := sampler.LikelihoodOptions{SigmaMin: c.SigmaMin, SigmaMax: c.SigmaMax, Tolerance: c.RTol, Probes: [][]float64{c.V[i]}}
			r, err := sampler.LogLikelihood(g.DenoiseGradient, x, o)
			if err != nil {
				t.Fatal(err)
			}
			near(t, c.Case, []float64{r.LogDensity}, c.Want[i:i+1], c.Tolerance)
			o.Probes = nil
			if r, err = sampler.LogLikelihood(g.DenoiseGradient, x, o); err != nil {
				t.Fatal(err)
			}
			if c.Analytic != nil {
				near(t, c.Case+", exact", []float64{r.LogDensity}, c.Analytic[i:i+1], c.Tolerance)
			}
			// The prior is wrong by about the ratio of the data's variance to 80².
			near(t, c.Case+", exact, true density", []float64{r.LogDensity}, c.True[i:i+1], c.Tolerance+0.01)
			t.Logf("%s: picture %d: exact %.6f, true %.6f, %d evaluations", c.Case, i, r.LogDensity, c.True[i], r.Evaluations)
		}
	}
}

// The gradient of the mixture's denoiser against four-point differences, which are exact to 1e-9 at this step.
func TestDenoiseGradient(t *testing.T) {
	g := gmm2()
	x, v := []float64{0.3, -0.2, 1.5, 0.4}, []float64{0.7, -1.1, 0.2, 0.5}
	for _, sigma := range []float64{0.05, 0.4, 3} {
		dst, grad, want := make([]float64, 4), make([]float64, 4), make([]float64, 4)
		g.DenoiseGradient(dst, grad, x, v, sigma)
		dot := func(j int, h float64) float64 {
			moved, d := append([]float64(nil), x...), make([]float64, 4)
			moved[j] += h
			g.Denoise(d, moved, sigma)
			sum := 0.0
			for i := range d {
				sum += d[i] * v[i]
			}
			return sum
		}
		const h = 1e-3
		for j := range want {
			want[j] = (8*(dot(j, h)-dot(j, -h)) - (dot(j, 2*h) - dot(j, -2*h))) / (12 * h)
		}
		near(t, "gradient", grad, want, 1e-6)
		d := make([]float64, 4)
		g.Denoise(d, x, sigma)
		same(t, "denoised", dst, d)
	}
}

// The mean over many probes approaches the exact value within the stated error, which is not far too large either.
func TestLikelihoodProbes(t *testing.T) {
	g := gmm2()
	x := []float64{-0.3, -0.1}
	o := sampler.LikelihoodOptions{SigmaMin: 0.002, SigmaMax: 80, Tolerance: 1e-6}
	exact, err := sampler.LogLikelihood(g.DenoiseGradient, x, o)
	if err != nil {
		t.Fatal(err)
	}
	r := sampler.Stream(1, "probes")
	for range 400 {
		p := make([]float64, 2)
		for i := range p {
			p[i] = float64(2*r.IntN(2) - 1)
		}
		o.Probes = append(o.Probes, p)
	}
	many, err := sampler.LogLikelihood(g.DenoiseGradient, x, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exact %.4f, 400 probes %.4f ± %.4f", exact.LogDensity, many.LogDensity, many.StdErr)
	if d := math.Abs(many.LogDensity - exact.LogDensity); !(d <= 4*many.StdErr) || !(many.StdErr > 0 && many.StdErr < 1) || exact.StdErr != 0 {
		t.Errorf("exact %v ± %v, 400 probes %v ± %v", exact.LogDensity, exact.StdErr, many.LogDensity, many.StdErr)
	}
}

func TestLikelihoodErrors(t *testing.T) {
	good := sampler.LikelihoodOptions{SigmaMin: 0.002, SigmaMax: 80, Tolerance: 1e-4}
	for _, c := range []struct {
		change func(*sampler.LikelihoodOptions)
		want   string
	}{
		{func(o *sampler.LikelihoodOptions) { o.SigmaMin = 0 }, "0 < min < max"},
		{func(o *sampler.LikelihoodOptions) { o.SigmaMax = math.NaN() }, "0 < min < max"},
		{func(o *sampler.LikelihoodOptions) { o.Tolerance = 0 }, "tolerance"},
		{func(o *sampler.LikelihoodOptions) { o.Probes = [][]float64{{1}} }, "probe 0 has 1 numbers"},
	} {
		o := good
		c.change(&o)
		if _, err := sampler.LogLikelihood(gmm2().DenoiseGradient, []float64{1, 2}, o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one that says %q", o, err, c.want)
		}
	}
	nan := func(dst, grad, _, _ []float64, _ float64) { dst[0] = math.NaN() }
	if _, err := sampler.LogLikelihood(nan, []float64{1}, good); err == nil || !strings.Contains(err.Error(), "not finite at noise level 0.002") {
		t.Errorf("a denoiser of NaN: %v", err)
	}
}
