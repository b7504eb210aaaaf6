package sampler_test

import (
	"math"
	"testing"

	"diffuse/sampler"
	"diffuse/schedule"
)

// path returns W(to) - W(from) of many independent coordinates.
func path(n sampler.Noise, size int, from, to float64) []float64 {
	w := make([]float64, size)
	n(w, from, to)
	for i := range w {
		w[i] *= math.Sqrt(math.Abs(to - from))
	}
	return w
}

func covariance(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i] / float64(len(a))
	}
	return sum
}

// Increments have unit variance once normalised, and those of disjoint intervals are uncorrelated, however the intervals lie to the octaves and
// parts of the tree: over the octave's border, far inside one part of another, far apart. With 40000 coordinates the variance
// has the standard error sqrt(2/40000) = 0.007, the covariance 0.005; 4 of them.
func TestBrownianLaw(t *testing.T) {
	const size = 40000
	n := sampler.BrownianNoise([]uint64{3}, size, "step")
	levels := []float64{80, 57.6, 40.8, 2.1, 2, 1.999, 1.00001, 1, 0.7, 0.6, 0.5999, 0.1, 0.003, 0.002}
	var draws [][]float64
	for i := range levels[1:] {
		d := make([]float64, size)
		n(d, levels[i], levels[i+1])
		draws = append(draws, d)
	}
	for i, a := range draws {
		for j, b := range draws[:i+1] {
			want, tol := 0.0, 0.02
			if i == j {
				want, tol = 1, 0.028
			}
			if c := covariance(a, b); !(math.Abs(c-want) <= tol) {
				t.Errorf("increments %d and %d: covariance %v, want %v", i, j, c, want)
			}
		}
		mean := 0.0
		for _, v := range a {
			mean += v / size
		}
		if !(math.Abs(mean) <= 0.02) {
			t.Errorf("increment %d: mean %v", i, mean)
		}
	}
	// An overlap shows: cov(W(2)-W(1), W(3)-W(1.5)) = 0.5.
	if c := covariance(path(n, size, 2, 1), path(n, size, 3, 1.5)); !(math.Abs(c-0.5) <= 0.04) {
		t.Errorf("covariance of overlapping increments %v, want 0.5", c)
	}
}

// W(c) - W(a) is the sum of its parts, a passage back is the passage reversed, and neither what was asked before nor the batch
// matter. 1e-14 of rounding for sums of numbers up to 30.
func TestBrownianPath(t *testing.T) {
	const size = 5
	fresh := func(seeds ...uint64) sampler.Noise { return sampler.BrownianNoise(seeds, size, "step") }
	n := fresh(9)
	abc := []float64{37.5, 3.7, 0.0123}
	whole := path(n, size, abc[0], abc[2])
	first, second := path(n, size, abc[0], abc[1]), path(n, size, abc[1], abc[2])
	for i := range whole {
		near(t, "sum of parts", []float64{first[i] + second[i]}, []float64{whole[i]}, 1e-14)
	}
	back := path(n, size, abc[2], abc[0])
	for i := range back {
		near(t, "reversed", []float64{-back[i]}, []float64{whole[i]}, 1e-15)
	}
	same(t, "asked first", path(fresh(9), size, abc[1], abc[2]), second)
	n = fresh(9)
	for _, s := range []float64{5, 0.3, 70, 1, 3.7} {
		path(n, size, 60, s)
	}
	same(t, "asked after others", path(n, size, abc[0], abc[1]), first)
	batch := make([]float64, 3*size)
	fresh(8, 9, 10)(batch, abc[0], abc[2])
	alone := make([]float64, size)
	fresh(9)(alone, abc[0], abc[2])
	same(t, "in a batch", batch[size:2*size], alone)
	if same := batch[0] == batch[size]; same {
		t.Error("two seeds, one path")
	}
	// A draw for no passage comes from the stream.
	white := make([]float64, size)
	sampler.BatchNoise([]uint64{9}, size, "step")(white)
	n(alone, 2, 2)
	same(t, "no passage", alone, white)

	panics(t, "level 0", "no level 0", func() { n(alone, 1, 0) })
	panics(t, "a buffer of another batch", "1 pictures of 5", func() { n(make([]float64, 6), 1, 0.5) })
}

// The path is part of what a seed means.
func TestBrownianPinned(t *testing.T) {
	got := make([]float64, 2)
	sampler.BrownianNoise([]uint64{1}, 2, "step")(got, 80, 0.3)
	same(t, "seed 1", got, []float64{0.15876119691729948, -0.34720946600414404})
}

// With a Brownian path the picture converges as steps grow: the root mean square difference between n and 2n steps of 100 pictures from a
// mixture falls, from 25 to 400 steps to a third. With white noise every grid gives another picture, and the difference stays.
func TestStochasticConvergence(t *testing.T) {
	const pictures = 100
	g := gmm2()
	seeds := make([]uint64, pictures)
	for i := range seeds {
		seeds[i] = uint64(i)
	}
	start := make([]float64, 2*pictures)
	sampler.BatchNoise(seeds, 2, "latent")(start)
	for i := range start {
		start[i] *= 80
	}
	for _, info := range sampler.All() {
		if !info.Stochastic {
			continue
		}
		// fall is the difference between 200 and 400 steps as a share of that between 25 and 50.
		fall := func(noise func() sampler.Noise) float64 {
			run := func(steps int) []float64 {
				o := info.Options()
				o.Noise = noise()
				return last(info.Sampler(g.Denoise, start, schedule.Karras(steps, .002, 80, 7), o))
			}
			difference := func(steps int) float64 {
				a, b, sum := run(steps), run(2*steps), 0.0
				for i, v := range a {
					sum += (v - b[i]) * (v - b[i])
				}
				return math.Sqrt(sum / float64(len(a)))
			}
			return difference(200) / difference(25)
		}
		tree := fall(func() sampler.Noise { return sampler.BrownianNoise(seeds, 2, "step") })
		white := fall(func() sampler.Noise { return sampler.White(sampler.BatchNoise(seeds, 2, "step")) })
		t.Logf("%-20s Brownian %.2f, white %.2f", info.Name, tree, white)
		if info.Brownian && !(tree < 0.5 && white > 0.7) {
			t.Errorf("%s: the difference falls to the share %.3f with a Brownian path, %.3f with white noise", info.Name, tree, white)
		}
	}
}

func BenchmarkBrownianNoise(b *testing.B) {
	const pictures, size = 16, 784
	n := sampler.BrownianNoise(make([]uint64, pictures), size, "step")
	dst := make([]float64, pictures*size)
	sigmas := schedule.Karras(18, .002, 80, 7)
	for i := 0; b.Loop(); i++ {
		k := i % 17
		n(dst, sigmas[k], sigmas[k+1])
	}
}
