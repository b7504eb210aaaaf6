package sampler_test

import (
	"math"
	"slices"
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

// TestSlerp: the ends are exact, the length goes evenly from one to the other's, equal steps turn by equal angles, and vectors without an angle between
// them are no exception.
func TestSlerp(t *testing.T) {
	a, b, mid := make([]float64, 1000), make([]float64, 1000), make([]float64, 1000)
	sampler.BatchNoise([]uint64{1}, 1000, "latent")(a)
	sampler.BatchNoise([]uint64{2}, 1000, "latent")(b)
	dot := func(x, y []float64) (s float64) {
		for i := range x {
			s += x[i] * y[i]
		}
		return s
	}
	sampler.Slerp(mid, a, b, 0)
	if !slices.Equal(mid, a) {
		t.Error("at 0 it is not the first")
	}
	sampler.Slerp(mid, a, b, 1)
	if !slices.Equal(mid, b) {
		t.Error("at 1 it is not the second")
	}
	scale := math.Sqrt(dot(a, a) / dot(b, b))
	for i := range b { // of equal length
		b[i] *= scale
	}
	angle := func(x, y []float64) float64 { return math.Acos(dot(x, y) / math.Sqrt(dot(x, x)*dot(y, y))) }
	sampler.Slerp(mid, a, b, 0.3)
	if l := dot(mid, mid) / dot(a, a); !(math.Abs(l-1) <= 1e-12) {
		t.Errorf("the squared length changes by the factor %v", l)
	}
	if got, want := angle(a, mid), 0.3*angle(a, b); !(math.Abs(got-want) <= 1e-9) {
		t.Errorf("at 0.3 the angle is %v, want %v", got, want)
	}
	sampler.Slerp(mid, a, a, 0.3)
	if d := dot(mid, mid) / dot(a, a); !(math.Abs(d-1) <= 1e-12) {
		t.Errorf("between a vector and itself the squared length changes by the factor %v", d)
	}
	sampler.Slerp(mid, a, make([]float64, 1000), 0.5)
	if got := dot(mid, mid) / dot(a, a); !(math.Abs(got-0.25) <= 1e-12) {
		t.Errorf("half way to 0 the squared length is %v, want 1/4", got)
	}
}
