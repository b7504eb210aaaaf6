package metric

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Frechet returns the squared Fréchet distance of two Gaussians of d dimensions (Heusel et al. 2017, arXiv 1706.08500, eq. 6),
//
//	|μ₁−μ₂|² + tr S₁ + tr S₂ − 2 tr (S₁^½ S₂ S₁^½)^½,
//
// 0 for equal ones, never negative, never NaN. The last trace is the sum of the singular values of F₁·F₂ᵀ, where Fᵀ·F = S, by pivoted
// Cholesky or, where rounding has made a singular covariance indefinite, by a symmetric eigen-decomposition (ten times as slow) without the
// directions that are zero to rounding. Unlike the square roots of eigenvalues of S₁·S₂, which the peers sum, singular values do not turn rounding noise of 1e-16 into
// 1e-8. Errors: [Gaussian.Check]'s, different dimensions, a covariance that is not symmetric or has an eigenvalue that is negative
// by more than the rounding of a float32 file.
func Frechet(a, b Gaussian) (float64, error) {
	for i, g := range []Gaussian{a, b} {
		if err := g.Check(); err != nil {
			return 0, fmt.Errorf("the Fréchet distance: statistics %d: %w", i+1, err)
		}
	}
	if len(a.Mean) != len(b.Mean) {
		return 0, fmt.Errorf("the Fréchet distance: statistics of %d and of %d features; they come from different extractors", len(a.Mean), len(b.Mean))
	}
	if slices.Equal(a.Cov, b.Cov) { // S₁^½·S₁·S₁^½ = S₁²: the traces cancel
		return finish(distance(a.Mean, b.Mean), 0, 0, nil, nil)
	}
	fa, err := factor(a)
	if err != nil {
		return 0, fmt.Errorf("the Fréchet distance: statistics 1: %w", err)
	}
	fb, err := factor(b)
	if err != nil {
		return 0, fmt.Errorf("the Fréchet distance: statistics 2: %w", err)
	}
	return finish(distance(a.Mean, b.Mean), trace(a), trace(b), fa, fb)
}

// FrechetFeatures is Frechet for the sets themselves, each of at least 2 rows. It never forms a covariance: F is the centred rows over √(n−1), or for
// more rows than columns their triangular QR factor, which is exact for singular covariances too. Time and memory grow with
// n·d²; for tens of thousands of wide rows use an [Accumulator] and Frechet.
func FrechetFeatures(a, b Features) (float64, error) {
	if err := checkPair("the Fréchet distance", a, b, 2); err != nil {
		return 0, err
	}
	if slices.Equal(a.X, b.X) {
		return 0, nil
	}
	muA, fa, trA := centre(a)
	muB, fb, trB := centre(b)
	return finish(distance(muA, muB), trA, trB, fa, fb)
}

// finish adds up the distance from its parts.
func finish(mean, trA, trB float64, fa, fb *mat.Dense) (float64, error) {
	if total := mean + trA + trB; math.IsNaN(total) || math.IsInf(total, 0) {
		return 0, fmt.Errorf("the Fréchet distance: overflow (mean term %g, traces %g and %g)", mean, trA, trB)
	}
	cross := 0.0
	if fa != nil && fb != nil {
		var m mat.Dense
		m.Mul(fa, fb.T())
		var svd mat.SVD
		if !svd.Factorize(&m, mat.SVDNone) {
			return 0, errors.New("the Fréchet distance: the singular values did not converge")
		}
		for _, s := range svd.Values(nil) {
			cross += s
		}
	}
	// The exact value is |Δμ|² + min over rotations R of ‖F₁−R·F₂‖² ≥ 0. Nearly equal sets cancel to rounding noise of either sign; a
	// distance has none.
	return max(mean+trA+trB-2*cross, 0), nil
}

func trace(g Gaussian) (s float64) {
	d := len(g.Mean)
	for i := range d {
		s += g.Cov[i*d+i]
	}
	return s
}

// factor returns F (r×d) with Fᵀ·F = S, or nil for S = 0.
func factor(g Gaussian) (*mat.Dense, error) {
	d := len(g.Mean)
	s := mat.NewSymDense(d, nil)
	most := 0.0
	for i := range d {
		most = max(most, math.Abs(g.Cov[i*d+i]))
	}
	for i := range d {
		for j := i; j < d; j++ {
			u, v := g.Cov[i*d+j], g.Cov[j*d+i]
			if math.Abs(u-v) > slack*most {
				return nil, fmt.Errorf("the covariance is not symmetric: columns %d and %d have %g and %g", i, j, u, v)
			}
			s.SetSym(i, j, u+(v-u)/2)
		}
	}
	if f, ok := pivotFactor(s, most); ok {
		return f, nil
	}
	return eigenFactor(s)
}

// pivotFactor is factor by Cholesky with complete pivoting, which stops where only rounding is left of S, at a cost of d·r². It reports failure where
// what is left is more than that: in indefinite matrices, such as singular ones that went through a float32 file.
func pivotFactor(s *mat.SymDense, most float64) (*mat.Dense, bool) {
	d := s.SymmetricDim()
	tol := float64(d) * 0x1p-53 * most
	var chol mat.PivotedCholesky
	chol.Factorize(s, tol)
	rank := chol.Rank()
	back := mat.NewDense(d, d, nil)
	var f *mat.Dense
	if rank > 0 {
		u, pivots := chol.RawU(), chol.ColumnPivots(nil)
		f = mat.NewDense(rank, d, nil)
		for i := range rank {
			for k := i; k < d; k++ {
				f.Set(i, pivots[k], u.At(i, k))
			}
		}
		back.Mul(f.T(), f)
	}
	for i := range d {
		for j := i; j < d; j++ {
			if !(math.Abs(back.At(i, j)-s.At(i, j)) <= 4*tol) {
				return nil, false
			}
		}
	}
	return f, true
}

// slack is how far a covariance may be from a symmetric positive semidefinite matrix, relative to its largest value: float32 files
// are off by some 1e-7 times the square root of d.
const slack = 1e-4

// eigenFactor is factor for matrices with negative eigenvalues: with S = Q·Λ·Qᵀ the rows of F are √λ·qᵀ for the λ above rounding.
func eigenFactor(s *mat.SymDense) (*mat.Dense, error) {
	var eig mat.EigenSym
	if !eig.Factorize(s, true) {
		return nil, errors.New("the eigenvalues of the covariance did not converge")
	}
	values := eig.Values(nil) // ascending
	d := len(values)
	largest := max(math.Abs(values[0]), math.Abs(values[d-1]))
	if values[0] < -slack*largest {
		return nil, fmt.Errorf("not a covariance: its eigenvalues go from %g to %g", values[0], values[d-1])
	}
	noise := float64(d) * 0x1p-52 * largest
	first := 0
	for first < d && !(values[first] > noise) {
		first++
	}
	if first == d {
		return nil, nil
	}
	var q mat.Dense
	eig.VectorsTo(&q)
	f := mat.NewDense(d-first, d, nil)
	for i := first; i < d; i++ {
		root := math.Sqrt(values[i])
		for j := range d {
			f.Set(i-first, j, root*q.At(j, i))
		}
	}
	return f, nil
}

// centre returns the mean of f, F with Fᵀ·F = S (nil for S = 0) and the trace of S.
func centre(f Features) (mean []float64, factor *mat.Dense, trace float64) {
	mean = make([]float64, f.D)
	for i := range f.N {
		for j, v := range f.Row(i) {
			mean[j] += v - f.X[j] // relative to the first row: exact where all are equal
		}
	}
	for j := range mean {
		mean[j] = f.X[j] + mean[j]/float64(f.N)
	}
	x := mat.NewDense(f.N, f.D, nil)
	scale := 1 / math.Sqrt(float64(f.N-1))
	for i := range f.N {
		row := x.RawRowView(i)
		for j, v := range f.Row(i) {
			u := v - mean[j]
			row[j] = u * scale
			trace += u * u
		}
	}
	trace /= float64(f.N - 1)
	if trace == 0 {
		return mean, nil, 0
	}
	if f.N <= f.D {
		return mean, x, trace
	}
	var qr mat.QR
	qr.Factorize(x)
	var r mat.Dense
	qr.RTo(&r)
	return mean, mat.DenseCopyOf(r.Slice(0, f.D, 0, f.D)), trace
}
