package sampler_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"diffuse/sampler"
	"diffuse/schedule"
)

// gauss is one Gaussian N(0.3, 0.5²) in one dimension, whose probability flow has the closed path
// x(b) = mu + (x(a)-mu) sqrt((s²+b²)/(s²+a²)).
func gauss() (g *sampler.GMM, exact func(x, a, b float64) float64) {
	const mu, s = 0.3, 0.5
	g = &sampler.GMM{Shape: []int{1, 1, 1}, Weights: []float64{1}, Means: [][]float64{{mu}}, Std: []float64{s}}
	return g, func(x, a, b float64) float64 { return mu + (x-mu)*math.Sqrt((s*s+b*b)/(s*s+a*a)) }
}

func last(seq func(func(sampler.State) bool)) []float64 {
	var x []float64
	for s := range seq {
		x = append(x[:0], s.X...)
	}
	return x
}

// A form is a solver with one of the choices that its order depends on.
type form struct {
	sampler.Info
	options sampler.Options
}

// forms lists a solver's variants and orders.
func forms(i sampler.Info) (all []form) {
	variants, low := i.Variants, i.MinOrder
	if variants == nil {
		variants = []string{""}
	}
	if i.MaxOrder > 0 {
		low = max(1, low)
	}
	for _, v := range variants {
		for p := i.MaxOrder; p >= low; p-- {
			o := i.Options()
			o.Variant, o.Order = v, p
			all = append(all, form{i, o})
		}
	}
	return all
}

// name is the solver's, with what was chosen.
func (f form) name() string {
	s := f.Name
	if f.options.Variant != "" {
		s += " " + f.options.Variant
	}
	if f.options.Order > 0 {
		s += fmt.Sprint(" order ", f.options.Order)
	}
	return s
}

// measure returns the errors at sigma 0.1 of runs of growing length on the exact Gaussian, without added noise, and the slope of log
// error against log evaluations at the end. A run starts at sigma 1000, where the flow is so nearly straight that the first steps of multistep methods, which
// have little history and low order, cost nothing: their part of the error is of second order whatever the method. The numbers of
// steps are multiples of 3 because of dpm-fast. An adaptive solver is given tolerances instead, and the slope is
// taken over more of them, because rejected steps make its errors irregular.
func (f form) measure(t *testing.T, grid string) (errs []float64, slope float64) {
	const from, to, x0 = 1000.0, 0.1, 700.0
	g, exact := gauss()
	build, err := schedule.Parse(grid)
	if err != nil {
		t.Fatal(err)
	}
	var evaluations []float64
	for steps := 96; steps <= 1536; steps *= 2 {
		n, o := steps, f.options
		o.Eta = 0
		if slices.Contains(f.Extra, "final") {
			o.Final = sampler.FinalFull // a last step of order 1 makes an error of second order whatever the method
		}
		if f.Adaptive {
			n = 1
			o.Adaptive.Relative, o.Adaptive.Absolute = 0, math.Pow(float64(steps)/3, -float64(o.Order))
		}
		sigmas, err := build(n+1, to, from, 7)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		x := last(f.Sampler(sampler.Counted(g.Denoise, &calls), []float64{x0}, sigmas[:n+1], o))
		errs = append(errs, math.Abs(x[0]-exact(x0, from, to)))
		evaluations = append(evaluations, float64(calls))
	}
	k := len(errs) - 1
	base := k - 1
	if f.Adaptive {
		base = 1
	}
	if f.Name == "sa-solver" && f.options.Order == 3 {
		base = 0 // the error changes its sign on the way
	}
	return errs, math.Log(errs[base]/errs[k]) / math.Log(evaluations[k]/evaluations[base])
}

// Every solver without noise has the order it claims, in each of its forms. 0.25 covers the higher-order terms that remain.
func TestConvergenceOrder(t *testing.T) {
	for _, info := range sampler.All() {
		for _, f := range forms(info) {
			for _, grid := range []string{"karras", "exponential"} {
				want := f.ConvergenceOrder(f.options)
				errs, slope := f.measure(t, grid)
				t.Logf("%-30s %-12s order %d, measured %.2f, errors %.1e", f.name(), grid, want, slope, errs)
				lucky := f.Name == "sa-solver" || f.name() == "ipndm-v order 4" // errors cancel on one of the grids
				if d := slope - float64(want); !(math.Abs(d) <= 0.25 || lucky && d > 0) {
					t.Errorf("%s on %s: order %.3f, want %d", f.name(), grid, slope, want)
				}
			}
		}
	}
}

// Values computed by hand for D(x, s) = x/(1 + 4s²) and x(80) = 80, whose exact end is .4999902347: Heun and Euler
// to 0 and DPM++(2M) to .002 on EDM's grid, nine digits.
func TestKnownValues(t *testing.T) {
	d := func(dst, x []float64, s float64) { dst[0] = x[0] * .25 / (s*s + .25) }
	for _, c := range []struct {
		steps            int
		heun, euler, dpm float64
	}{
		{10, .609798001, .365213065, .579395928},
		{18, .527624637, .423031436, .531148573},
		{40, .504876865, .464850774, .505200508},
	} {
		sigmas := schedule.Karras(c.steps, .002, 80, 7)
		o := sampler.DefaultOptions()
		near(t, "heun", last(sampler.Heun(d, []float64{80}, sigmas, o)), []float64{c.heun}, 1e-8)
		near(t, "ddim", last(sampler.DDIM(d, []float64{80}, sigmas, o)), []float64{c.euler}, 1e-8)
		near(t, "dpmpp-2m", last(sampler.DPMPP2M(d, []float64{80}, sigmas[:c.steps], o)), []float64{c.dpm}, 1e-8)
	}
}

// The stochastic samplers must leave the law of the data intact: 20000 pictures of one number from a Gaussian of
// mean 0.3 and deviation 0.5. With n draws mean and deviation have standard errors 0.5/sqrt(n) = 0.0035 and
// 0.5/sqrt(2n) = 0.0025; 4 of them are allowed, and 0.01 more for the finite steps, of which first-order methods
// need many (their deviation is 5% too small at 120 steps).
func TestStochasticLaw(t *testing.T) {
	const n = 20000
	d := func(dst, x []float64, sigma float64) {
		a := sigma * sigma / (0.25 + sigma*sigma)
		for i, v := range x {
			dst[i] = v + a*(0.3-v)
		}
	}
	for _, c := range []struct {
		name       string
		steps      int
		eta, churn float64
	}{{"euler-ancestral", 600, 1, 0}, {"ddim", 600, 0.5, 0}, {"ddim", 600, 0, 30}, {"heun", 120, 0, 30}} {
		info, err := sampler.Lookup(c.name)
		if err != nil {
			t.Fatal(err)
		}
		sigmas := schedule.Karras(c.steps, .002, 80, 7)
		x := make([]float64, n)
		noise := sampler.White(sampler.BatchNoise([]uint64{7}, n, "law"))
		noise(x, 0, 0)
		for i := range x {
			x[i] *= sigmas[0]
		}
		o := info.Options()
		o.Eta, o.Churn, o.ChurnMin, o.ChurnMax, o.Noise = c.eta, c.churn, .05, 50, noise
		x = last(info.Sampler(d, x, sigmas, o))
		var sum, sq float64
		for _, v := range x {
			sum += v
			sq += v * v
		}
		mean := sum / n
		std := math.Sqrt(sq/n - mean*mean)
		t.Logf("%s, %d steps, eta %v, churn %v: mean %.4f, deviation %.4f", c.name, c.steps, c.eta, c.churn, mean, std)
		if !(math.Abs(mean-0.3) < 0.014+0.01) || !(math.Abs(std-0.5) < 0.010+0.01) {
			t.Errorf("%s, %d steps, eta %v, churn %v: mean %v, deviation %v, want 0.3 and 0.5", c.name, c.steps, c.eta, c.churn, mean, std)
		}
	}
}
