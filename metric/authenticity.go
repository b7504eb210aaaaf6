package metric

import (
	"context"
	"fmt"
)

// A Memorisation tells generated pictures from copies of the pictures that their model was trained on.
type Memorisation struct {
	Authenticity float64    // share of generated rows that are authentic
	Authentic    int        // their number
	Nearest      Neighbours // of each generated row among the real ones
	Between      []float64  // for each generated row, from its nearest real row to the real row nearest to that
}

// Authenticity finds the nearest real rows of every generated row, k of them (Alaa et al. 2022, arXiv 2102.08921, section 3.3): a generated
// row is authentic if its nearest real row is farther from it than from the nearest other real row. A model that memorises makes rows that are nearer to a
// training picture than training pictures are to each other; the share falls to 0 for copies and is a little over 1/2 for fresh draws of the same
// distribution. AuthPct (Stein et al. 2023, arXiv 2306.04675, and its program dgm-eval) is 100 times the share. The errors are [Nearest]'s, and that the real set has
// fewer than 2 rows.
func Authenticity(ctx context.Context, generated, real Features, k int) (Memorisation, error) {
	if real.N < 2 {
		return Memorisation{}, fmt.Errorf("authenticity needs at least 2 real pictures; there are %d", real.N)
	}
	near, err := Nearest(ctx, generated, real, k)
	if err != nil {
		return Memorisation{}, err
	}
	// Only real rows that are somebody's nearest are asked for theirs: the second nearest, the first being the row itself or its double.
	place := map[int]int{}
	var asked []int
	for i := range near.N {
		j := near.Index[i*k]
		if _, ok := place[j]; !ok {
			place[j] = len(asked)
			asked = append(asked, j)
		}
	}
	rows, err := real.Take(asked)
	if err != nil {
		return Memorisation{}, err
	}
	others, err := Nearest(ctx, rows, real, 2)
	if err != nil {
		return Memorisation{}, err
	}
	m := Memorisation{Nearest: near, Between: make([]float64, near.N)}
	for i := range near.N {
		m.Between[i] = others.Distance[2*place[near.Index[i*k]]+1]
		if near.Distance[i*k] > m.Between[i] {
			m.Authentic++
		}
	}
	m.Authenticity = float64(m.Authentic) / float64(near.N)
	return m, nil
}
