package metric

import (
	"context"
	"fmt"
	"sync/atomic"
)

// PRDCOptions say what counts as near.
type PRDCOptions struct {
	K      int  // a ball reaches to the K-th nearest other point of its set, K ≥ 1
	Strict bool // points on a ball's surface are outside (<, the prdc package of Naeem et al.) rather than inside (≤, torch-fidelity)
}

// DefaultPRDCOptions returns torch-fidelity's choice: K = 3, ≤.
func DefaultPRDCOptions() PRDCOptions { return PRDCOptions{K: 3} }

// PRDC holds precision, recall, density and coverage, and the counts they are shares of.
type PRDC struct {
	Precision, Recall, Density, Coverage                     float64
	PrecisionCount, RecallCount, DensityCount, CoverageCount int
}

// PrecisionRecall compares a generated with a real set of rows (improved precision and recall: Kynkäänniemi et al. 2019, arXiv 1904.06991; density and
// coverage: Naeem et al. 2020, arXiv 2002.09797). Around every point is a ball to its K-th nearest other point of the same set, in Euclidean
// distance; duplicates count, so a radius may be 0. Precision is the share of generated points inside some real ball, recall the share of real points
// inside some generated ball, density the number of (generated point, real ball around it) pairs over K·N(generated), and coverage the share of
// real balls with a generated point inside.
//
// Counts are those of float64 differences, exact also for ties, whatever the number of threads. Memory does not grow with the product of the sets'
// sizes. Errors: those of [Features.Check], different widths, K < 1, fewer than K+1 rows in a set, ctx's.
func PrecisionRecall(ctx context.Context, generated, real Features, o PRDCOptions) (PRDC, error) {
	if o.K < 1 {
		return PRDC{}, fmt.Errorf("precision and recall with the %d-th nearest neighbour: it takes at least the first", o.K)
	}
	if err := checkPair(fmt.Sprintf("precision and recall with %d neighbours", o.K), generated, real, o.K+1); err != nil {
		return PRDC{}, err
	}
	x, y, err := newClouds(generated, real)
	if err != nil {
		return PRDC{}, fmt.Errorf("precision and recall: %w", err)
	}
	rx, err := x.radii(ctx, o.K)
	if err != nil {
		return PRDC{}, err
	}
	ry, err := y.radii(ctx, o.K)
	if err != nil {
		return PRDC{}, err
	}
	recalled, covered := make([]atomic.Bool, y.N), make([]atomic.Bool, y.N)
	balls := make([]int, x.N) // real balls around each generated point
	err = x.scan(ctx, y, func(i, j0 int, low, high []float64) {
		for n := range low {
			j := j0 + n
			if within(low[n], high[n], ry[j], o.Strict, x.Features, y.Features, i, j) {
				balls[i]++
				mark(&covered[j])
			}
			if within(low[n], high[n], rx[i], o.Strict, x.Features, y.Features, i, j) {
				mark(&recalled[j])
			}
		}
	})
	if err != nil {
		return PRDC{}, err
	}
	p := PRDC{RecallCount: count(recalled), CoverageCount: count(covered)}
	for _, n := range balls {
		p.DensityCount += n
		p.PrecisionCount += min(n, 1)
	}
	p.Precision = float64(p.PrecisionCount) / float64(x.N)
	p.Recall = float64(p.RecallCount) / float64(y.N)
	p.Density = float64(p.DensityCount) / float64(o.K*x.N)
	p.Coverage = float64(p.CoverageCount) / float64(y.N)
	return p, nil
}

// within reports whether rows i and j are no farther apart than the squared radius r; low and high bound their squared distance.
func within(low, high, r float64, strict bool, x, y Features, i, j int) bool {
	if low > r {
		return false
	}
	if high < r {
		return true
	}
	d := distance(x.Row(i), y.Row(j))
	return d < r || !strict && d == r
}

// mark sets a flag that several goroutines may set, with few writes.
func mark(b *atomic.Bool) {
	if !b.Load() {
		b.Store(true)
	}
}

func count(flags []atomic.Bool) (n int) {
	for i := range flags {
		if flags[i].Load() {
			n++
		}
	}
	return n
}
