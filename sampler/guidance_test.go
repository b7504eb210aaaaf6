package sampler_test

import (
	"fmt"
	"math"
	"testing"

	"diffuse/sampler"
)

// constantly is a denoiser that always gives the same estimate.
func constantly(values ...float64) sampler.Denoiser {
	return func(dst, _ []float64, _ float64) { copy(dst, values) }
}

// scaled is a denoiser with a state of its own to tell pictures and levels apart.
func scaled(f, shift float64) sampler.Denoiser {
	return func(dst, x []float64, sigma float64) {
		for i, v := range x {
			dst[i] = f*v/(1+sigma) + shift*math.Sin(float64(i%4))
		}
	}
}

func std(v []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		sum += (x - mean) * (x - mean)
	}
	return math.Sqrt(sum / float64(len(v)))
}

// Lin et al. (arXiv 2305.08891) eq. 15-16 by the letter, in each space: convert both estimates to predictions, guide, rescale,
// mix, convert back.
func TestGuidanceRescale(t *testing.T) {
	const per, sigma, w, phi = 4, 1.7, 2.5, 0.7
	r := math.Sqrt(1 + sigma*sigma)
	alpha, svp := 1/r, sigma/r
	x := []float64{0.3, -1.2, 2, 0.7, -0.4, 0.9, 1.1, -2}
	cond, uncond := scaled(0.9, 0.3), scaled(0.4, -0.2)
	c, u := make([]float64, len(x)), make([]float64, len(x))
	cond(c, x, sigma)
	uncond(u, x, sigma)
	for _, s := range []struct {
		name     string
		space    sampler.Space
		to, from func(x, d float64) float64 // prediction of a denoised value, and back
	}{
		{"denoised", sampler.DenoisedSpace, func(_, d float64) float64 { return d }, func(_, p float64) float64 { return p }},
		{"epsilon", sampler.EpsilonSpace, func(x, d float64) float64 { return (x - d) / sigma }, func(x, p float64) float64 { return x - sigma*p }},
		{"v", sampler.VSpace, func(x, d float64) float64 { return alpha*(x-d)/sigma - svp*d }, func(x, p float64) float64 { return alpha*(x/r) - svp*p }},
	} {
		g := sampler.NewGuider(sampler.Guidance{Weight: w, To: 10, Rescale: phi, Space: s.space, PerImage: per}, cond, uncond)
		got, want := make([]float64, len(x)), make([]float64, len(x))
		g.Denoise(got, x, sigma)
		for lo := 0; lo < len(x); lo += per {
			var pos, cfg [per]float64
			for i := range per {
				neg := s.to(x[lo+i], u[lo+i])
				pos[i] = s.to(x[lo+i], c[lo+i])
				cfg[i] = neg + w*(pos[i]-neg)
			}
			f := phi*std(pos[:])/std(cfg[:]) + 1 - phi
			for i := range per {
				want[lo+i] = s.from(x[lo+i], f*cfg[i])
			}
		}
		near(t, s.name, got, want, 1e-12)

		alone := make([]float64, per) // a picture does not depend on its neighbour
		g.Denoise(alone, x[per:], sigma)
		for i, v := range alone {
			// scaled counts i modulo a picture, so the second picture alone is the second of two
			if v != got[per+i] {
				t.Errorf("%s: value %d is %v alone, %v in a batch", s.name, i, v, got[per+i])
			}
		}
	}
	plain, none := make([]float64, len(x)), make([]float64, len(x))
	sampler.Guided(cond, uncond, w, 0, 10)(plain, x, sigma)
	sampler.NewGuider(sampler.Guidance{Weight: w, To: 10, PerImage: per}, cond, uncond).Denoise(none, x, sigma)
	same(t, "phi 0", none, plain)
	flat := make([]float64, per)
	sampler.NewGuider(sampler.Guidance{Weight: 2, To: 10, Rescale: 1, Space: sampler.DenoisedSpace, PerImage: per},
		constantly(1, 1, 1, 1), constantly(0, 0, 0, 0)).Denoise(flat, x[:per], sigma)
	same(t, "a flat estimate stays as guided", flat, []float64{2, 2, 2, 2})
	panics(t, "no picture size", "PerImage", func() { sampler.NewGuider(sampler.Guidance{Rescale: 1}, cond, uncond) })
	panics(t, "half a picture", "no whole number", func() {
		g := sampler.Guidance{Weight: 2, To: 10, Rescale: 1, PerImage: 3}
		sampler.NewGuider(g, cond, uncond).Denoise(none, x, 1)
	})
}

// CFG++ by hand: constant estimates 1 and 0 with weight 0.6 give D = 0.6, and the noise direction is x/sigma.
//
//	x = 10 at 10: x' = 0.6 + (4/10)·10 = 4.6 at 4; x” = 0.6 + (1/4)·4.6 = 1.75 at 1; to 0: 0.6.
func TestCFGPPByHand(t *testing.T) {
	g := sampler.NewGuider(sampler.Guidance{Weight: 0.6, To: 100, PlusPlus: true}, constantly(1), constantly(0))
	want := []float64{4.6, 1.75, 0.6}
	for s := range g.CFGPP(g.Denoise, []float64{10}, []float64{10, 4, 1, 0}, sampler.DefaultOptions()) {
		near(t, fmt.Sprint("step ", s.Step), s.X, want[s.Step-1:s.Step], 1e-15)
		near(t, "estimate", s.Denoised, []float64{0.6}, 1e-15)
	}
	// Outside the interval cond alone is followed: the step to 1 starts at 4 and is plain Euler, 1 + (1/4)(4.6 - 1).
	g = sampler.NewGuider(sampler.Guidance{Weight: 0.6, From: 5, To: 100, PlusPlus: true}, constantly(1), constantly(0))
	want = []float64{4.6, 1.9}
	for s := range g.CFGPP(g.Denoise, []float64{10}, []float64{10, 4, 1}, sampler.DefaultOptions()) {
		near(t, fmt.Sprint("interval, step ", s.Step), s.X, want[s.Step-1:s.Step], 1e-15)
	}
	panics(t, "other guidance", "PlusPlus", func() {
		g := sampler.NewGuider(sampler.Guidance{Weight: 2}, constantly(1), constantly(0))
		g.CFGPP(g.Denoise, []float64{1}, []float64{1, 0}, sampler.DefaultOptions())
	})
}

// Where both estimates agree, CFG++ is DDIM, with noise the ancestral sampler; at weight 1 uncond still gives the direction.
func TestCFGPPProperties(t *testing.T) {
	d, sigmas := scaled(0.8, 0.2), []float64{20, 6, 2, 0.4, 0}
	start := []float64{9, -14, 3, 22, 1, 0, -7, 12}
	for _, eta := range []float64{0, 1} {
		o := sampler.DefaultOptions()
		o.Eta = eta
		run := func(s sampler.Sampler, d sampler.Denoiser) (x []float64) {
			o.Noise = sampler.White(sampler.BatchNoise([]uint64{3, 4}, 4, "step"))
			for st := range s(d, start, sigmas, o) {
				x = append(x[:0], st.X...)
			}
			return x
		}
		g := sampler.NewGuider(sampler.Guidance{Weight: 0.6, To: 100, PlusPlus: true}, d, d)
		near(t, fmt.Sprint("eta ", eta), run(g.CFGPP, g.Denoise), run(sampler.EulerAncestral, d), 1e-12)
	}
	calls := 0
	g := sampler.NewGuider(sampler.Guidance{Weight: 1, To: 100, PlusPlus: true}, d, sampler.Counted(d, &calls))
	for range g.CFGPP(g.Denoise, start, sigmas, sampler.DefaultOptions()) {
	}
	if calls != 4 {
		t.Errorf("uncond was evaluated %d times in 4 steps at weight 1", calls)
	}
}

func TestStaticThreshold(t *testing.T) {
	got := make([]float64, 4)
	sampler.StaticThreshold(constantly(-3, -0.5, 1, 1.0001), -1, 1)(got, got, 1)
	same(t, "static", got, []float64{-1, -0.5, 1, 1})
}

// torch.quantile(|x|, q) of these seven numbers in float64 is 3.2275 for q = 0.995, 2.8 for 0.9 and 1.1 for 0.5; s is at least 1 and has an upper bound.
func TestDynamicThreshold(t *testing.T) {
	x, inf := []float64{0.1, -2.5, 1.75, -0.3, 0.9, 3.25, -1.1}, math.Inf(1)
	for _, c := range []struct{ q, most, s float64 }{{0.995, 4, 3.2275}, {0.9, inf, 2.8}, {0.5, inf, 1.1}, {0, inf, 1}, {1, inf, 3.25}, {1, 1.5, 1.5}} {
		want := make([]float64, len(x))
		for i, v := range x {
			want[i] = math.Max(-c.s, math.Min(v, c.s)) / c.s
		}
		got := make([]float64, len(x))
		sampler.DynamicThreshold(constantly(x...), len(x), c.q, c.most, -1, 1)(got, got, 1)
		near(t, fmt.Sprint("q ", c.q), got, want, 1e-15)
	}
	// Inside the range nothing changes, each picture has its own s, and another range is the same thing moved.
	both := append([]float64{0.1, -1, 1, 0.5, 0.3, 0.2, 0}, x...)
	got, alone := make([]float64, 14), make([]float64, 7)
	sampler.DynamicThreshold(constantly(both...), 7, 0.995, inf, -1, 1)(got, got, 1)
	sampler.DynamicThreshold(constantly(x...), 7, 0.995, inf, -1, 1)(alone, alone, 1)
	same(t, "two pictures", got, append(append([]float64(nil), both[:7]...), alone...))
	moved := make([]float64, 7)
	for i, v := range x {
		moved[i] = 0.5 + 0.5*v
	}
	got = make([]float64, 7)
	sampler.DynamicThreshold(constantly(moved...), 7, 0.995, inf, 0, 1)(got, got, 1)
	for i, v := range alone {
		alone[i] = 0.5 + 0.5*v
	}
	near(t, "range 0 to 1", got, alone, 1e-15)
	panics(t, "half a picture", "no whole number", func() { sampler.DynamicThreshold(constantly(), 2, 1, inf, -1, 1)(make([]float64, 3), nil, 1) })
	panics(t, "quantile 2", "quantile 2", func() { sampler.DynamicThreshold(constantly(), 2, 2, inf, -1, 1) })
}
