package metric_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"diffuse/internal/golden"
	"diffuse/metric"
)

func TestGoldenSlicedWasserstein(t *testing.T) {
	type numbers struct {
		W1  []float64 `json:"w1_each"`
		SW1 float64   `json:"sw1"`
		W2  []float64 `json:"w2sq_each"`
		SW2 float64   `json:"sw2"`
	}
	r := open(t)
	for key, w := range results[map[string]numbers](t, "sliced_wasserstein") {
		w1, w2, err := metric.SlicedWasserstein(r.set(t, key[:1]), r.set(t, key[2:]), r.set(t, "directions"))
		if err != nil {
			t.Fatal(err)
		}
		golden.Close(t, key+" W1", w1.Each, w.W1, 1e-10)
		near(t, key+" SW1", w1.Mean, w.SW1, 1e-9, 0)
		if w.W2 != nil {
			golden.Close(t, key+" W2²", w2.Each, w.W2, 1e-10)
			near(t, key+" SW2", math.Sqrt(w2.Mean), w.SW2, 1e-9, 0)
		}
	}
}

func TestSlicedWassersteinProperties(t *testing.T) {
	a, b, dirs := random(1, 60, 5), random(2, 35, 5), metric.Directions(20, 5, 3)
	w1, w2, err := metric.SlicedWasserstein(a, b, dirs)
	if err != nil {
		t.Fatal(err)
	}
	p1, p2, _ := metric.SlicedWasserstein(permuted(t, b), permuted(t, a), dirs)
	golden.Close(t, "order of rows and sets, W1", p1.Each, w1.Each, 1e-13)
	golden.Close(t, "order of rows and sets, W2²", p2.Each, w2.Each, 1e-13)
	s1, s2, _ := metric.SlicedWasserstein(a, a, dirs)
	if s1.Mean != 0 || s2.Mean != 0 {
		t.Errorf("identical sets: %g, %g", s1.Mean, s2.Mean)
	}
	// Every row twice is the same distribution as once.
	twice := metric.Features{N: 120, D: 5, X: append(append([]float64(nil), a.X...), a.X...)}
	d1, d2, _ := metric.SlicedWasserstein(twice, a, dirs)
	near(t, "doubled set, W1", d1.Mean, 0, 1e-14, 1)
	near(t, "doubled set, W2²", d2.Mean, 0, 1e-14, 1)
	// A shift by c moves each line by c·direction.
	m1, m2, _ := metric.SlicedWasserstein(a, changed(a, func(_, j int, v float64) float64 { return v + float64(j) }), dirs)
	for l := range dirs.N {
		shift := 0.0
		for j, v := range dirs.Row(l) {
			shift += float64(j) * v
		}
		near(t, "shift, W1", m1.Each[l], math.Abs(shift), 1e-12, 1)
		near(t, "shift, W2²", m2.Each[l], shift*shift, 1e-12, 1)
	}
}

func TestDirections(t *testing.T) {
	a, again, other := metric.Directions(40, 7, 5), metric.Directions(40, 7, 5), metric.Directions(40, 7, 6)
	golden.Close(t, "the same seed", a.X, again.X, 0)
	if a.X[0] == other.X[0] {
		t.Error("another seed draws the same direction")
	}
	for i := range a.N {
		s := 0.0
		for _, v := range a.Row(i) {
			s += v * v
		}
		near(t, "length", s, 1, 1e-14, 0)
	}
	for _, c := range [][2]int{{3, 0}, {3, -1}, {-1, 3}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d directions of %d dimensions were drawn", c[0], c[1])
				}
			}()
			metric.Directions(c[0], c[1], 1)
		}()
	}
}

func TestSlicedWassersteinRefuses(t *testing.T) {
	dirs := metric.Directions(3, 4, 1)
	refuses(t, random(3, 12, 4), func(a, b metric.Features) error { _, _, err := metric.SlicedWasserstein(a, b, dirs); return err })
	for name, bad := range poison(dirs) {
		if _, _, err := metric.SlicedWasserstein(random(1, 5, 4), random(2, 5, 4), bad); err == nil {
			t.Errorf("directions: %s is not refused", name)
		}
	}
	huge := changed(random(1, 5, 4), func(_, _ int, v float64) float64 { return v * 1e200 })
	if _, _, err := metric.SlicedWasserstein(huge, random(1, 5, 4), dirs); err == nil {
		t.Error("overflow: not refused")
	}
}

// TestSlicedWassersteinPixels: bytes give the bits that their float64 values give, with counts that fill no block.
func TestSlicedWassersteinPixels(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pixels := func(n int) (metric.Pixels, metric.Features) {
		p, f := metric.Pixels{N: n, D: 12, X: make([]uint8, n*12)}, metric.Features{N: n, D: 12, X: make([]float64, n*12)}
		for i := range p.X {
			p.X[i] = uint8(r.Uint32())
			f.X[i] = float64(p.X[i]) / 255
		}
		return p, f
	}
	a, wideA := pixels(70)
	b, wideB := pixels(45)
	dirs := metric.Directions(9, 12, 3)
	got1, got2, err := metric.SlicedWassersteinPixels(a, b, dirs)
	if err != nil {
		t.Fatal(err)
	}
	want1, want2, err := metric.SlicedWasserstein(wideA, wideB, dirs)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got1.Each, want1.Each) || !slices.Equal(got2.Each, want2.Each) || !(got1.Mean > 0) {
		t.Errorf("%v, %v; want %v, %v", got1, got2, want1, want2)
	}
	for _, bad := range []metric.Pixels{{N: 0, D: 12}, {N: 2, D: 12, X: make([]uint8, 25)}, {N: 2, D: 6, X: make([]uint8, 12)}} {
		if _, _, err := metric.SlicedWassersteinPixels(bad, b, dirs); err == nil {
			t.Errorf("%d bytes of %d pictures of %d were measured", len(bad.X), bad.N, bad.D)
		}
	}
	if s, _, err := metric.SlicedWassersteinPixels(a, b, metric.Directions(0, 12, 3)); err == nil {
		t.Errorf("along no directions: %v", s)
	}
}
