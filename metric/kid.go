package metric

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"

	"diffuse/internal/kernel"
	"diffuse/sampler"
)

// KID returns the kernel distance of two whole sets of m and n ≥ 2 rows of d values: the unbiased estimate of the squared maximum mean discrepancy
// (Bińkowski et al. 2018, arXiv 1801.01401) with the kernel k(x,y) = (x·y/d + 1)³,
//
//	Σ_{i≠j} k(x_i,x_j)/(m(m−1)) + Σ_{i≠j} k(y_i,y_j)/(n(n−1)) − 2/(mn) Σ k(x_i,y_j).
//
// It may be negative, and is not 0 for identical sets: there it is near −Var k/m. Time grows with (m+n)²·d, memory with (m+n)·d.
// Products x·y are good to about 1e-10 of |x||y|. Errors: those of [Features.Check], different widths, fewer than 2 rows, overflow.
func KID(a, b Features) (float64, error) {
	if err := checkPair("KID", a, b, 2); err != nil {
		return 0, err
	}
	return kid(a, b)
}

// KIDSubsets is the KID as the peers report it: its mean and standard deviation over pairs of subsets, rows in1[i] of a against rows in2[i] of b (see
// [KIDDraws] and [KIDDrawsNumPy]). After each pair it calls done, unless that is nil, with the number of pairs so far. Errors are KID's, an index
// outside the sets, numbers of subsets that differ or are 0, and ctx's.
func KIDSubsets(ctx context.Context, a, b Features, in1, in2 [][]int, done func(pairs int)) (Score, error) {
	if err := checkPair("KID", a, b, 2); err != nil {
		return Score{}, err
	}
	if len(in1) != len(in2) || len(in1) == 0 {
		return Score{}, fmt.Errorf("KID of %d subsets of one set and %d of the other", len(in1), len(in2))
	}
	each := make([]float64, len(in1))
	for i := range each {
		if ctx.Err() != nil {
			return Score{}, ctx.Err()
		}
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
		if done != nil {
			done(i + 1)
		}
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
	x, y := newKernelRows(a, b)
	m, n := float64(a.N), float64(b.N)
	v := x.sum(x, true)/(m*(m-1)) + y.sum(y, true)/(n*(n-1)) - 2*x.sum(y, false)/(m*n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, errors.New("KID: the features are too large; their products to the third power overflow")
	}
	return v, nil
}

// kernelRows are the rows of one set, ready for products x·y as good as float64's by way of float32 matrix products. A row, scaled to a norm of at
// most 1, is its multiples of 2⁻¹² and a rest below that, x = X + r. Products X·Y are exact: by Cauchy-Schwarz they and all that they are summed
// from fit float32's 24 bits. What remains, r_x·y + X·r_y, is so small that its rounding, 2⁻²⁴ of √d·2⁻¹², does not matter.
type kernelRows struct {
	n, d        int
	coarse      []float32 // n×d: X
	left, right []float32 // n×2d: r beside X, and x beside r; left·right is what remains
	unit        float64   // what a product of scaled rows stands for, over d
}

// newKernelRows prepares two sets with the same scale.
func newKernelRows(a, b Features) (x, y kernelRows) {
	far := 0.0
	for _, f := range []Features{a, b} {
		for i := range f.N {
			far = max(far, floats.Norm(f.Row(i), 2))
		}
	}
	_, exponent := math.Frexp(far)
	return scaledRows(a, exponent), scaledRows(b, exponent)
}

// scaledRows prepares rows whose norms are at most 2^exponent.
func scaledRows(f Features, exponent int) kernelRows {
	d, scale := f.D, math.Ldexp(1, -exponent)
	r := kernelRows{n: f.N, d: d, coarse: make([]float32, len(f.X)), left: make([]float32, 2*len(f.X)), right: make([]float32, 2*len(f.X))}
	r.unit = math.Ldexp(1/float64(d), 2*exponent)
	for i := range f.N {
		coarse, left, right := r.coarse[i*d:(i+1)*d], r.left[2*i*d:2*(i+1)*d], r.right[2*i*d:2*(i+1)*d]
		for j, v := range f.Row(i) {
			v *= scale
			whole := math.Trunc(v*0x1p12) * 0x1p-12 // towards 0, so that the norm does not grow
			coarse[j] = float32(whole)
			left[j], left[d+j] = float32(v-whole), float32(whole)
			right[j], right[d+j] = float32(v), float32(v-whole)
		}
	}
	return r
}

// sum returns Σ k(a_i, b_j), without i = j if the sets are the same one: then each pair is computed once and counts twice. Rows are summed
// apart and then together, in order, so that threads do not show.
func (a kernelRows) sum(b kernelRows, same bool) float64 {
	sums := make([]float64, a.n)
	kernel.For(a.n, tileRows, func(i0, i1 int) {
		exact, rest := make([]float32, (i1-i0)*tileColumns), make([]float32, (i1-i0)*tileColumns)
		j0, d := 0, a.d
		if same {
			j0 = i0
		}
		for ; j0 < b.n; j0 += tileColumns {
			w := min(tileColumns, b.n-j0)
			kernel.Gemm(exact, a.coarse[i0*d:], b.coarse[j0*d:], i1-i0, w, d, d, d, w, false, true, false)
			kernel.Gemm(rest, a.left[2*i0*d:], b.right[2*j0*d:], i1-i0, w, 2*d, 2*d, 2*d, w, false, true, false)
			for i := i0; i < i1; i++ {
				first := 0
				if same {
					first = max(0, i+1-j0)
				}
				for j := (i-i0)*w + first; j < (i-i0+1)*w; j++ {
					k := (float64(exact[j])+float64(rest[j]))*a.unit + 1
					sums[i] += k * k * k
				}
			}
		}
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	if same {
		total *= 2
	}
	return total
}
