package metric

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// A Gaussian is what the Fréchet distance knows of a set: the mean (d values) and the unbiased covariance (d×d, row-major, symmetric,
// divided by N−1) of its feature rows. N is the number of pictures behind it; 0 means that nobody knows, as with most files.
type Gaussian struct {
	N         int
	Mean, Cov []float64
}

// Check returns an error unless the sizes fit together, every value is finite and N is not 1, which has no covariance.
func (g Gaussian) Check() error {
	d := len(g.Mean)
	if d == 0 || len(g.Cov) != d*d {
		return fmt.Errorf("a mean of %d values and a covariance of %d do not belong together", d, len(g.Cov))
	}
	if g.N < 0 || g.N == 1 {
		return fmt.Errorf("a covariance needs at least 2 pictures; these statistics are of %d", g.N)
	}
	for i, v := range g.Mean {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("mean of column %d is %v", i, v)
		}
	}
	for i, v := range g.Cov {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("covariance of columns %d and %d is %v", i/d, i%d, v)
		}
	}
	return nil
}

// Fit returns mean and covariance of f. The errors are those of [Features.Check], and that it takes 2 rows.
func Fit(f Features) (Gaussian, error) {
	if err := f.Check(); err != nil {
		return Gaussian{}, err
	}
	a := NewAccumulator(f.D)
	if err := a.Add(f); err != nil {
		return Gaussian{}, err
	}
	return a.Gaussian()
}

// blockRows is how many rows an Accumulator gathers before it sums their products.
const blockRows = 256

// An Accumulator takes feature rows as they come and keeps d + d² sums and at most 256 rows, whatever their number. Rows are
// taken in blocks of 256, counted from the first: of each the mean and the centred products are made, and joined to the rest by the
// rule of Chan, Golub and LeVeque (1979), so that large means cost no digits. The result depends on the rows and their order only, not on how they
// were cut into batches, nor on the number of threads. The zero value is of no use; see [NewAccumulator].
type Accumulator struct {
	d       int
	all     moments
	pending []float64 // rows of the block under way
}

// NewAccumulator makes an empty Accumulator for rows of d ≥ 1 values; it panics on others.
func NewAccumulator(d int) *Accumulator {
	if d < 1 {
		panic(fmt.Sprintf("metric: an Accumulator for rows of %d values", d))
	}
	return &Accumulator{d: d, all: newMoments(d)}
}

// N returns the number of rows added so far.
func (a *Accumulator) N() int { return a.all.n + len(a.pending)/a.d }

// Add adds the rows of f, which is copied where needed. Rows of another length, NaN and infinities are errors, and add nothing;
// a row's number in the error counts from the first ever added.
func (a *Accumulator) Add(f Features) error {
	if f.D != a.d {
		return fmt.Errorf("feature rows of %d values after rows of %d", f.D, a.d)
	}
	if err := f.Check(); err != nil {
		return fmt.Errorf("after %d rows: %w", a.N(), err)
	}
	for x := f.X; len(x) > 0; {
		n := min(len(x), blockRows*a.d-len(a.pending))
		a.pending = append(a.pending, x[:n]...)
		x = x[n:]
		if len(a.pending) == blockRows*a.d {
			a.all.add(a.pending)
			a.pending = a.pending[:0]
		}
	}
	return nil
}

// Gaussian returns mean and covariance of the rows added so far, in memory of its own; more may be added afterwards. Fewer than 2
// rows are an error.
func (a *Accumulator) Gaussian() (Gaussian, error) {
	n := a.N()
	if n < 2 {
		return Gaussian{}, fmt.Errorf("a covariance needs at least 2 pictures; there are %d", n)
	}
	m := a.all.clone()
	if len(a.pending) > 0 {
		m.add(a.pending)
	}
	d := a.d
	cov := m.scatter
	for i := range d {
		for j := i; j < d; j++ {
			cov[i*d+j] /= float64(n - 1)
			cov[j*d+i] = cov[i*d+j]
		}
	}
	g := Gaussian{N: n, Mean: m.mean, Cov: cov}
	if err := g.Check(); err != nil {
		return Gaussian{}, fmt.Errorf("features too large to square: %w", err)
	}
	return g, nil
}

// moments are the mean and the centred products Σ(x−mean)(x−mean)ᵀ of n rows, the upper triangle only.
type moments struct {
	n             int
	mean, scatter []float64
}

func newMoments(d int) moments {
	return moments{mean: make([]float64, d), scatter: make([]float64, d*d)}
}

func (m moments) clone() moments {
	m.mean = append([]float64(nil), m.mean...)
	m.scatter = append([]float64(nil), m.scatter...)
	return m
}

// add joins the block of whole rows x to m.
func (m *moments) add(x []float64) {
	d := len(m.mean)
	rows := len(x) / d
	// The block's mean is taken relative to its first row: exact for columns that never change, and without loss for large values.
	mean := make([]float64, d)
	for r := 1; r < rows; r++ {
		for j, v := range x[r*d : (r+1)*d] {
			mean[j] += v - x[j]
		}
	}
	columns := make([]float64, d*rows) // d×rows, centred
	delta := make([]float64, d)
	n := float64(m.n + rows)
	for j := range d {
		mu := x[j] + mean[j]/float64(rows)
		for r := range rows {
			columns[j*rows+r] = x[r*d+j] - mu
		}
		if m.n == 0 {
			m.mean[j] = mu
			continue
		}
		delta[j] = mu - m.mean[j]
		m.mean[j] += delta[j] * float64(rows) / n
	}
	weight := float64(m.n) * float64(rows) / n
	c := Features{N: d, D: rows, X: columns}
	kernel.For((d+1)/2, 8, func(p0, p1 int) {
		dots := make([]float64, 2*d)
		for i := 2 * p0; i < min(2*p1, d); i += 2 {
			two := min(2, d-i)
			rest := d - i
			dotTile(dots, c, i, i+two, c, i, d)
			for k := range two {
				for j := i + k; j < d; j++ {
					m.scatter[(i+k)*d+j] += dots[k*rest+j-i] + weight*delta[i+k]*delta[j]
				}
			}
		}
	})
	m.n += rows
}
