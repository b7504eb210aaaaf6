package metric

import (
	"fmt"
	"math"
)

// Features is a set of feature rows: row i, the D values X[i*D : (i+1)*D], belongs to picture i of N. The functions of this package
// read X, never write it and never keep it. They check what they are given with [Features.Check].
type Features struct {
	N, D int
	X    []float64
}

// Check returns an error unless X holds N rows of D ≥ 1 finite values; a NaN or an infinity is named by row and column. N may be 0:
// how many rows it takes is each metric's own matter.
func (f Features) Check() error {
	if f.N < 0 || f.D < 1 {
		return fmt.Errorf("features of %d pictures with %d values each are no features", f.N, f.D)
	}
	if len(f.X) != f.N*f.D {
		return fmt.Errorf("%d values do not make %d feature rows of %d", len(f.X), f.N, f.D)
	}
	for i, v := range f.X {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("feature row %d, column %d is %v", i/f.D, i%f.D, v)
		}
	}
	return nil
}

// Row returns row i; it shares memory with f.
func (f Features) Row(i int) []float64 { return f.X[i*f.D : (i+1)*f.D : (i+1)*f.D] }

// First returns the first n rows; they share memory with f. It panics if there are fewer.
func (f Features) First(n int) Features { return Features{N: n, D: f.D, X: f.X[: n*f.D : n*f.D]} }

// Take returns a copy of the given rows, in that order, repeats allowed. An index outside the set is an error.
func (f Features) Take(rows []int) (Features, error) {
	out := Features{N: len(rows), D: f.D, X: make([]float64, 0, len(rows)*f.D)}
	for _, i := range rows {
		if i < 0 || i >= f.N {
			return Features{}, fmt.Errorf("row %d of a set of %d feature rows", i, f.N)
		}
		out.X = append(out.X, f.Row(i)...)
	}
	return out, nil
}

// checkPair checks two sets that are to be compared, and that each has at least least rows; what names the metric in the error.
func checkPair(what string, a, b Features, least int) error {
	for i, f := range []Features{a, b} {
		if err := f.Check(); err != nil {
			return fmt.Errorf("%s: set %d: %w", what, i+1, err)
		}
		if f.N < least {
			return fmt.Errorf("%s needs at least %d pictures in each set; set %d has %d", what, least, i+1, f.N)
		}
	}
	if a.D != b.D {
		return fmt.Errorf("%s: the sets have feature rows of %d and of %d values; they come from different extractors", what, a.D, b.D)
	}
	return nil
}
