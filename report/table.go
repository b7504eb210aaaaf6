package report

import (
	"maps"
	"slices"
)

// A table is lines of numbers in the order of the images shown.
type table struct{ rows []row }

type row struct {
	images  float64
	numbers map[string]float64
}

// add appends a line. Lines from after it are dropped: a resumed run has done those steps again.
func (t *table) add(numbers map[string]float64) error {
	images, err := imagesOf(numbers)
	if err != nil {
		return err
	}
	for n := len(t.rows); n > 0 && t.rows[n-1].images >= images; n-- {
		t.rows = t.rows[:n-1]
	}
	t.rows = append(t.rows, row{images, numbers})
	return nil
}

// names lists what the lines have numbers for, sorted.
func (t *table) names() []string {
	all := map[string]bool{}
	for _, r := range t.rows {
		for name := range r.numbers {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// column returns the numbers called name, times scale, and the images they belong to.
func (t *table) column(name string, scale float64) (x, y Numbers) {
	for _, r := range t.rows {
		if v, ok := r.numbers[name]; ok {
			x, y = append(x, r.images), append(y, v*scale)
		}
	}
	return x, y
}
