package metric

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"diffuse/internal/kernel"
	"diffuse/sampler"
)

// SlicedWasserstein returns the sliced Wasserstein distances of order 1 and 2 (Bonneel et al. 2015; Rabin et al. 2011): both sets are projected onto every row
// of directions (L×D, used as they are, so of unit length), and on a line optimal transport is the difference of the quantile functions,
//
//	W₁ = ∫₀¹ |Qa(u) − Qb(u)| du,  W₂² = ∫₀¹ (Qa(u) − Qb(u))² du,
//
// which for sets of one size is that of the sorted projections. order1 has the mean of W₁ over the directions; of order2 Each and Mean are W₂², so that
// the distance is √order2.Mean. Errors: those of [Features.Check], different widths, an empty set.
func SlicedWasserstein(a, b, directions Features) (order1, order2 Score, err error) {
	if err := checkPair("sliced Wasserstein", a, b, 1); err != nil {
		return Score{}, Score{}, err
	}
	if err := checkPair("sliced Wasserstein, directions", directions, a, 1); err != nil {
		return Score{}, Score{}, err
	}
	return sliced(directions, func(direction []float64) (x, y []float64) { return project(a, direction), project(b, direction) })
}

// Pixels is a set of pictures as bytes: row i, the D values X[i*D : (i+1)*D], are the pixels of picture i of N.
type Pixels struct {
	N, D int
	X    []uint8
}

// SlicedWassersteinPixels is [SlicedWasserstein] of pixels on a scale of 0 to 1, byte/255, to the same bits, in an eighth of the memory.
// Errors: sizes that do not fit X, different widths, an empty set.
func SlicedWassersteinPixels(a, b Pixels, directions Features) (order1, order2 Score, err error) {
	for i, p := range []Pixels{a, b} {
		if p.N < 1 || p.D < 1 || len(p.X) != p.N*p.D || p.D != directions.D {
			return Score{}, Score{}, fmt.Errorf("sliced Wasserstein: set %d has %d bytes for %d pictures of %d, directions have %d", i+1, len(p.X), p.N, p.D, directions.D)
		}
	}
	if err := directions.Check(); err != nil {
		return Score{}, Score{}, fmt.Errorf("sliced Wasserstein, directions: %w", err)
	}
	if directions.N < 1 {
		return Score{}, Score{}, errors.New("sliced Wasserstein: no directions")
	}
	return sliced(directions, func(direction []float64) (x, y []float64) { return a.project(direction), b.project(direction) })
}

// sliced takes the distance along every direction; project returns the sorted projections of both sets.
func sliced(directions Features, project func(direction []float64) (x, y []float64)) (order1, order2 Score, err error) {
	w1, w2 := make([]float64, directions.N), make([]float64, directions.N)
	kernel.For(directions.N, 1, func(l0, l1 int) {
		for l := l0; l < l1; l++ {
			w1[l], w2[l] = transport(project(directions.Row(l)))
		}
	})
	for l := range w1 {
		if math.IsNaN(w2[l]) || math.IsInf(w2[l], 0) {
			return Score{}, Score{}, fmt.Errorf("sliced Wasserstein: overflow along direction %d", l)
		}
	}
	return newScore(w1), newScore(w2), nil
}

// Directions draws count directions, uniform on the unit sphere of d dimensions, from the seed. It panics unless d ≥ 1 and count ≥ 0.
func Directions(count, d int, seed uint64) Features {
	if d < 1 || count < 0 {
		panic(fmt.Sprintf("metric: Directions: %d directions of %d dimensions", count, d))
	}
	r := sampler.Stream(seed, "directions")
	f := Features{N: count, D: d, X: make([]float64, count*d)}
	for i := range count {
		row, norm := f.Row(i), 0.0
		for norm == 0 {
			for j := range row {
				row[j] = r.NormFloat64()
			}
			norm = math.Sqrt(distance(row, make([]float64, d)))
		}
		for j := range row {
			row[j] /= norm
		}
	}
	return f
}

// project returns the sorted products of the rows with a direction.
func project(f Features, direction []float64) []float64 {
	dots := make([]float64, f.N)
	dotTile(dots, Features{N: 1, D: f.D, X: direction}, 0, 1, f, 0, f.N)
	slices.Sort(dots)
	return dots
}

// project is project of the pixels; they are widened a few rows at a time.
func (p Pixels) project(direction []float64) []float64 {
	const rows = 32
	dots, wide := make([]float64, p.N), Features{D: p.D, X: make([]float64, rows*p.D)}
	for i := 0; i < p.N; i += rows {
		wide.N = min(rows, p.N-i)
		for j, v := range p.X[i*p.D : (i+wide.N)*p.D] {
			wide.X[j] = float64(v) / 255
		}
		dotTile(dots[i:], Features{N: 1, D: p.D, X: direction}, 0, 1, wide, 0, wide.N)
	}
	slices.Sort(dots)
	return dots
}

// transport integrates over the pieces on which both quantile functions are constant; the ends are i/len(x) and j/len(y), compared as the
// integers i·len(y) and j·len(x).
func transport(x, y []float64) (w1, w2 float64) {
	n, m := len(x), len(y)
	at := 0
	for i, j := 0, 0; i < n && j < m; {
		end := min((i+1)*m, (j+1)*n)
		diff, width := x[i]-y[j], float64(end-at)
		w1 += math.Abs(diff) * width
		w2 += diff * diff * width
		at = end
		if end == (i+1)*m {
			i++
		}
		if end == (j+1)*n {
			j++
		}
	}
	whole := float64(n) * float64(m)
	return w1 / whole, w2 / whole
}
