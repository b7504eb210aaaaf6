package sampler_test

import (
	"math"
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

// Error against the exact path for 80, 160, 320 and 640 steps from sigma 10 to 0.1: the slope of log error against
// log steps is the order. 0.1 covers the higher-order terms that remain at these step sizes.
func TestConvergenceOrder(t *testing.T) {
	const from, to, x0 = 10.0, 0.1, 7.0
	g, exact := gauss()
	for _, info := range sampler.All() {
		for _, grid := range []string{"karras", "exponential"} {
			build, err := schedule.Parse(grid)
			if err != nil {
				t.Fatal(err)
			}
			o := info.Options()
			o.Eta = 0 // the order is that of the probability flow
			var errs, slopes []float64
			for steps := 80; steps <= 640; steps *= 2 {
				sigmas, err := build(steps+1, to, from, 7)
				if err != nil {
					t.Fatal(err)
				}
				x := last(info.Sampler(g.Denoise, []float64{x0}, sigmas[:steps+1], o))
				errs = append(errs, math.Abs(x[0]-exact(x0, from, to)))
			}
			for i := 1; i < len(errs); i++ {
				slopes = append(slopes, math.Log2(errs[i-1]/errs[i]))
			}
			t.Logf("%-16s %-12s errors %.2e slopes %.3f", info.Name, grid, errs, slopes)
			if d := math.Abs(slopes[len(slopes)-1] - float64(info.Order)); !(d <= 0.1) {
				t.Errorf("%s on %s: order %v, want %d", info.Name, grid, slopes, info.Order)
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
