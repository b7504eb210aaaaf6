package sampler

import (
	"math"
	"slices"
	"testing"
)

// TestNormals: moments and distribution of a million draws, tails apart. Tolerances are five standard errors.
func TestNormals(t *testing.T) {
	const n = 1_000_000
	g, x := normals(7), make([]float64, n)
	var m [5]float64
	g.fill(x)
	for _, v := range x {
		p := 1.0 / n
		for k := range m {
			m[k] += p
			p *= v
		}
	}
	for k, want := range []float64{1, 0, 1, 0, 3} {
		deviation := []float64{1e-6, 1, math.Sqrt2, math.Sqrt(15), math.Sqrt(96)}[k]
		if !(math.Abs(m[k]-want) <= 5*deviation/math.Sqrt(n)) {
			t.Errorf("moment %d is %v, want %v", k, m[k], want)
		}
	}
	slices.Sort(x)
	var far float64
	for i, v := range x {
		far = max(far, math.Abs((float64(i)+0.5)/n-math.Erfc(-v/math.Sqrt2)/2))
	}
	if !(far < 1.95/math.Sqrt(n)) { // Kolmogorov-Smirnov at 0.1 %
		t.Errorf("the distribution is off by %g", far)
	}
	for _, at := range []float64{3, tailStart, 4} {
		i, _ := slices.BinarySearch(x, at)
		want := n * math.Erfc(at/math.Sqrt2) / 2
		if got := float64(n - i); !(math.Abs(got-want) <= 5*math.Sqrt(want)) {
			t.Errorf("%v of %d are above %g, want about %.0f", got, n, at, want)
		}
	}
}

// TestZiggurat: the layers close at the top, where the last edge is 0 and the density 1.
func TestZiggurat(t *testing.T) {
	top := layerEdge[layers-1]
	if area := top * (1 - math.Exp(-top*top/2)); !(math.Abs(area-layerArea) < 1e-9) || layerEdge[layers] != 0 {
		t.Errorf("the top layer has the area %g, want %g", area, layerArea)
	}
}

func BenchmarkNormals(b *testing.B) {
	g, x := normals(7), make([]float64, 784)
	for b.Loop() {
		g.fill(x)
	}
}
