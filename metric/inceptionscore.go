package metric

import (
	"errors"
	"fmt"
	"math"
)

// InceptionScore returns exp(mean over pictures of KL(p(y|x) ‖ p(y))) (Salimans et al. 2016, arXiv 1606.03498) of logits, one row of D ≥ 2 classes a
// picture, with p(y|x) their softmax and p(y) its mean over a split. Split i of s is rows i·N/s … (i+1)·N/s by integer division; the score is
// 1 (nothing told apart) to D. torch-fidelity takes logits without the bias and shuffles the rows before:
// logits.Take(NewRandomState(2020).Perm(N)). Errors: those of [Features.Check], fewer than 2 classes, fewer pictures than splits.
func InceptionScore(logits Features, splits int) (Score, error) {
	if err := logits.Check(); err != nil {
		return Score{}, fmt.Errorf("the Inception Score: %w", err)
	}
	if logits.D < 2 {
		return Score{}, errors.New("the Inception Score: logits of one class tell nothing")
	}
	if splits < 1 || logits.N < splits {
		return Score{}, fmt.Errorf("the Inception Score in %d splits needs at least 1 split and that many pictures; there are %d", splits, logits.N)
	}
	each := make([]float64, splits)
	for i := range each {
		lo, hi := i*logits.N/splits, (i+1)*logits.N/splits
		each[i] = splitScore(Features{N: hi - lo, D: logits.D, X: logits.X[lo*logits.D : hi*logits.D]})
	}
	return newScore(each), nil
}

// splitScore uses mean KL = mean Σ p·log p − Σ q·log q, with q the mean of p.
func splitScore(logits Features) float64 {
	logP := make([]float64, logits.D)
	q := make([]float64, logits.D)
	entropy := 0.0
	for i := range logits.N {
		logSoftmax(logP, logits.Row(i))
		for j, l := range logP {
			if p := math.Exp(l); p > 0 {
				q[j] += p / float64(logits.N)
				entropy += p * l / float64(logits.N)
			}
		}
	}
	for _, v := range q {
		if v > 0 {
			entropy -= v * math.Log(v)
		}
	}
	return math.Exp(max(entropy, 0)) // KL is never negative; pictures that are all alike round to either side of 0
}

// logSoftmax writes x − log Σ exp x, relative to the largest so that nothing overflows.
func logSoftmax(dst, x []float64) {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - top)
	}
	logSum := math.Log(sum)
	for j, v := range x {
		dst[j] = v - top - logSum
	}
}
