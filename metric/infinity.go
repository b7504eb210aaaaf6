package metric

import (
	"context"
	"fmt"
	"math"
)

// An Extrapolation is a distance at infinitely many pictures: the line FD = Intercept + Slope/N through the distances FD[i] at N[i] pictures.
type Extrapolation struct {
	Intercept, Slope float64
	N                []int
	FD               []float64
}

// Extrapolate fits FD∞ (Chong and Forsyth 2020, arXiv 1911.07023): the bias of a Fréchet distance falls with 1/n, so the intercept of the least-squares line
// over 1/n is free of its leading term. n are picture counts, at least two different ones, fd the distances there, finite. Slope is the bias at n pictures
// times n; a curve that is not straight (too few pictures for the dimension) shows in the residuals, not here.
func Extrapolate(n []int, fd []float64) (Extrapolation, error) {
	if len(n) != len(fd) || len(n) < 2 {
		return Extrapolation{}, fmt.Errorf("FD∞ of %d picture counts and %d distances: it takes two or more, as many of each", len(n), len(fd))
	}
	u := make([]float64, len(n))
	for i := range n {
		if n[i] < 1 || math.IsNaN(fd[i]) || math.IsInf(fd[i], 0) {
			return Extrapolation{}, fmt.Errorf("FD∞: distance %g at %d pictures", fd[i], n[i])
		}
		u[i] = 1 / float64(n[i])
	}
	mu, mfd := mean(u), mean(fd)
	var suu, suf float64
	different := false
	for i := range u {
		suu += (u[i] - mu) * (u[i] - mu)
		suf += (u[i] - mu) * (fd[i] - mfd)
		different = different || n[i] != n[0]
	}
	if !different {
		return Extrapolation{}, fmt.Errorf("FD∞: every distance is at %d pictures; it takes two different counts", n[0])
	}
	slope := suf / suu
	return Extrapolation{Intercept: mfd - slope*mu, Slope: slope, N: n, FD: fd}, nil
}

// FDInfinity extrapolates the distances of the first n[i] rows of a, each against all of b, by [FrechetFeatures]. Rows in random order are
// the caller's part. Errors are those of both, a count below 2 or above a.N, and ctx's, which is looked at before every count.
func FDInfinity(ctx context.Context, a, b Features, n []int) (Extrapolation, error) {
	fd := make([]float64, len(n))
	for i, k := range n {
		if err := ctx.Err(); err != nil {
			return Extrapolation{}, err
		}
		if k < 2 || k > a.N {
			return Extrapolation{}, fmt.Errorf("FD∞ at %d pictures: it takes 2 or more; there are %d", k, a.N)
		}
		if err := a.Check(); err != nil {
			return Extrapolation{}, fmt.Errorf("FD∞: %w", err)
		}
		var err error
		if fd[i], err = FrechetFeatures(a.First(k), b); err != nil {
			return Extrapolation{}, fmt.Errorf("FD∞ at %d pictures: %w", k, err)
		}
	}
	return Extrapolate(n, fd)
}
