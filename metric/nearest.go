package metric

import (
	"context"
	"fmt"
	"math"
)

// Neighbours are the K nearest rows of another set for each of N rows: those of row i are Index[i*K : (i+1)*K], nearest first and of equally near ones
// the first, at the Euclidean distances Distance[i*K : (i+1)*K].
type Neighbours struct {
	N, K     int
	Index    []int
	Distance []float64
}

// Nearest finds the k nearest rows of b for every row of a. Distances are those of float64 differences, so that the same row in both sets is at 0,
// whatever the number of threads; memory does not grow with the product of the sets' sizes. Errors: those of [Features.Check], different widths, an empty
// set, k < 1 or above b.N, ctx's.
func Nearest(ctx context.Context, a, b Features, k int) (Neighbours, error) {
	if err := checkPair("nearest neighbours", a, b, 1); err != nil {
		return Neighbours{}, err
	}
	if k < 1 || k > b.N {
		return Neighbours{}, fmt.Errorf("the %d nearest of %d pictures: it takes 1 or more, and as many pictures", k, b.N)
	}
	x, y, err := newClouds(a, b)
	if err != nil {
		return Neighbours{}, fmt.Errorf("nearest neighbours: %w", err)
	}
	n, err := x.nearest(ctx, y, k)
	for i, d := range n.Distance {
		n.Distance[i] = math.Sqrt(d)
	}
	return n, err
}

// Radii returns for every row of f the distance to its k-th nearest other row. Errors: those of [Features.Check], k < 1, fewer than k+1 rows, ctx's.
func Radii(ctx context.Context, f Features, k int) ([]float64, error) {
	if k < 1 {
		return nil, fmt.Errorf("distance to the %d-th nearest neighbour: it takes at least the first", k)
	}
	if err := checkPair(fmt.Sprintf("distance to neighbour %d", k), f, f, k+1); err != nil {
		return nil, err
	}
	c, _, err := newClouds(f, f)
	if err != nil {
		return nil, err
	}
	r, err := c.radii(ctx, k)
	for i := range r {
		r[i] = math.Sqrt(r[i])
	}
	return r, err
}

// radii returns the squared distance of every row to its k-th nearest other row.
func (c *cloud) radii(ctx context.Context, k int) ([]float64, error) {
	n, err := c.nearest(ctx, c, k)
	r := make([]float64, c.N)
	for i := range r {
		r[i] = n.Distance[i*k+k-1]
	}
	return r, err
}

// nearest returns the k nearest rows of b for every row of a, with squared distances. In its own set a row is not its own neighbour.
func (a *cloud) nearest(ctx context.Context, b *cloud, k int) (Neighbours, error) {
	all := Neighbours{N: a.N, K: k, Index: make([]int, a.N*k), Distance: make([]float64, a.N*k)}
	for i := range all.Distance {
		all.Distance[i] = math.Inf(1)
	}
	err := a.scan(ctx, b, func(i, j0 int, low, _ []float64) {
		best, index := all.Distance[i*k:(i+1)*k], all.Index[i*k:(i+1)*k]
		for n, l := range low {
			if l >= best[k-1] || a == b && j0+n == i {
				continue
			}
			d := distance(a.Row(i), b.Row(j0+n))
			if !(d < best[k-1]) {
				continue
			}
			at := k - 1
			for ; at > 0 && best[at-1] > d; at-- {
				best[at], index[at] = best[at-1], index[at-1]
			}
			best[at], index[at] = d, j0+n
		}
	})
	return all, err
}
