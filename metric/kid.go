package metric

import (
	"errors"
	"fmt"
	"math"

	"diffuse/internal/kernel"
	"diffuse/sampler"
)

// KID returns the kernel distance of two whole sets of m and n ≥ 2 rows of d values: the unbiased estimate of the squared maximum mean discrepancy
// (Bińkowski et al. 2018, arXiv 1801.01401) with the kernel k(x,y) = (x·y/d + 1)³,
//
//	Σ_{i≠j} k(x_i,x_j)/(m(m−1)) + Σ_{i≠j} k(y_i,y_j)/(n(n−1)) − 2/(mn) Σ k(x_i,y_j).
//
// It may be negative, and is not 0 for identical sets: there it is near −Var k/m. Time grows with (m+n)²·d, memory does not. Errors: those of
// [Features.Check], different widths, fewer than 2 rows, overflow.
func KID(a, b Features) (float64, error) {
	if err := checkPair("KID", a, b, 2); err != nil {
		return 0, err
	}
	return kid(a, b)
}

// KIDSubsets is the KID as the peers report it: its mean and standard deviation over pairs of subsets, rows in1[i] of a against rows in2[i] of b (see
// [KIDDraws] and [KIDDrawsNumPy]). Errors are KID's, an index outside the sets, and numbers of subsets that differ or are 0.
func KIDSubsets(a, b Features, in1, in2 [][]int) (Score, error) {
	if err := checkPair("KID", a, b, 2); err != nil {
		return Score{}, err
	}
	if len(in1) != len(in2) || len(in1) == 0 {
		return Score{}, fmt.Errorf("KID of %d subsets of one set and %d of the other", len(in1), len(in2))
	}
	each := make([]float64, len(in1))
	for i := range each {
		x, err1 := a.Take(in1[i])
		y, err2 := b.Take(in2[i])
		if err := errors.Join(err1, err2); err != nil {
			return Score{}, fmt.Errorf("KID: subset %d: %w", i, err)
		}
		if x.N < 2 || y.N < 2 {
			return Score{}, fmt.Errorf("KID needs at least 2 pictures in each subset; those of number %d have %d and %d", i, x.N, y.N)
		}
		v, err := kid(x, y)
		if err != nil {
			return Score{}, err
		}
		each[i] = v
	}
	return newScore(each), nil
}

// KIDDraws draws count pairs of subsets of m different rows from sets of n1 and n2 rows, by our own random stream of the seed. Each
// subset has m rows; fewer than m in a set is an error, which says how many it takes.
func KIDDraws(n1, n2, m, count int, seed uint64) (in1, in2 [][]int, err error) {
	r := sampler.Stream(seed, "kid subsets")
	return draws(n1, n2, m, count, func(n int) []int { return r.Perm(n)[:m:m] })
}

// KIDDrawsNumPy draws the subsets that torch-fidelity draws: RandomState(seed).choice(n, m, replace=False) for the first set, then the second, in turn. Its
// defaults are seed 2020, 100 subsets of 1000.
func KIDDrawsNumPy(n1, n2, m, count int, seed uint32) (in1, in2 [][]int, err error) {
	r := NewRandomState(seed)
	return draws(n1, n2, m, count, func(n int) []int { return r.Choice(n, m) })
}

func draws(n1, n2, m, count int, draw func(n int) []int) (in1, in2 [][]int, err error) {
	if m < 2 || count < 1 {
		return nil, nil, fmt.Errorf("KID over %d subsets of %d pictures: it takes at least 1 subset of at least 2", count, m)
	}
	if n1 < m || n2 < m {
		return nil, nil, fmt.Errorf("KID with subsets of %d needs as many pictures in each set; there are %d and %d", m, n1, n2)
	}
	for range count {
		in1, in2 = append(in1, draw(n1)), append(in2, draw(n2))
	}
	return in1, in2, nil
}

// kid is KID of sets that were checked.
func kid(a, b Features) (float64, error) {
	m, n := float64(a.N), float64(b.N)
	v := kernelSum(a, a, true)/(m*(m-1)) + kernelSum(b, b, true)/(n*(n-1)) - 2*kernelSum(a, b, false)/(m*n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, errors.New("KID: the features are too large; their products to the third power overflow")
	}
	return v, nil
}

// kernelSum returns Σ k(a_i, b_j), without i = j if the sets are the same one. Rows are summed apart and then together, in
// order, so that threads do not show.
func kernelSum(a, b Features, same bool) float64 {
	const tile = 64
	sums := make([]float64, a.N)
	kernel.For(a.N, 16, func(i0, i1 int) {
		dots := make([]float64, (i1-i0)*tile)
		for j0 := 0; j0 < b.N; j0 += tile {
			j1 := min(j0+tile, b.N)
			dotTile(dots, a, i0, i1, b, j0, j1)
			for i := i0; i < i1; i++ {
				for j := j0; j < j1; j++ {
					if same && i == j {
						continue
					}
					k := dots[(i-i0)*(j1-j0)+j-j0]/float64(a.D) + 1
					sums[i] += k * k * k
				}
			}
		}
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total
}
