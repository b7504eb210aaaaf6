package sampler_test

import (
	"math"
	"testing"

	"diffuse/sampler"
)

// The stream is part of what a seed means: pictures made today must come out the same next year.
func TestStreamPinned(t *testing.T) {
	for _, c := range []struct {
		seed    uint64
		purpose string
		word    uint64
		normals []float64
	}{
		{0, "latent", 0x964eb20d73e6a956, []float64{-0.46680837945364151, 0.43711759949933726, 0.93648527270132997}},
		{0, "step", 0x8b9a198c73246543, []float64{0.75243906838300312, 0.51552241906951957, -0.26330877944347286}},
		{1, "latent", 0xcb0715030fb8d1ac, []float64{-0.93067794084944266, 1.2786538347407901, -0.28343081023133854}},
		{math.MaxUint64, "step", 0xa2d89e67bf470ad7, []float64{0.33939640239749114, 0.79018366648891536, 2.3996993316410649}},
	} {
		r := sampler.Stream(c.seed, c.purpose)
		if w := r.Uint64(); w != c.word {
			t.Errorf("seed %d, %q: first word %#x, want %#x", c.seed, c.purpose, w, c.word)
		}
		for i, want := range c.normals {
			if got := r.NormFloat64(); got != want {
				t.Errorf("seed %d, %q: normal %d is %.17g, want %.17g", c.seed, c.purpose, i, got, want)
			}
		}
	}
}

// Different seeds and purposes are unrelated, the same pair repeats.
func TestStreamsDiffer(t *testing.T) {
	const n = 4000
	draw := func(seed uint64, purpose string) []float64 {
		x := make([]float64, n)
		sampler.BatchNoise([]uint64{seed}, n, purpose)(x)
		return x
	}
	same(t, "same pair", draw(3, "latent"), draw(3, "latent"))
	base := draw(0, "latent")
	var mean, sq float64
	for _, v := range base {
		mean += v / n
		sq += v * v / n
	}
	// Standard errors: 1/sqrt(n) = 0.016 of the mean and the correlations, sqrt(2/n) = 0.022 of the square; 4 of them.
	if !(math.Abs(mean) < 0.064) || !(math.Abs(sq-1) < 0.09) {
		t.Errorf("mean %v, mean square %v of unit normals", mean, sq)
	}
	for _, other := range [][]float64{draw(1, "latent"), draw(1<<32, "latent"), draw(0, "step"), draw(0, "")} {
		dot := 0.0
		for i, v := range other {
			dot += v * base[i] / n
		}
		if !(math.Abs(dot) < 0.064) {
			t.Errorf("correlation %v between different streams", dot)
		}
	}
}

func TestBatchNoise(t *testing.T) {
	both := sampler.BatchNoise([]uint64{5, 6}, 3, "latent")
	a, b := sampler.BatchNoise([]uint64{5}, 3, "latent"), sampler.BatchNoise([]uint64{6}, 3, "latent")
	for range 3 { // later draws go on where the stream stopped
		x, ya, yb := make([]float64, 6), make([]float64, 3), make([]float64, 3)
		both(x)
		a(ya)
		b(yb)
		same(t, "two pictures", x, append(ya, yb...))
	}
	panics(t, "a buffer of another batch", "2 pictures of 3", func() { both(make([]float64, 3)) })
}
