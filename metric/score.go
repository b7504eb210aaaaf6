package metric

import "math"

// A Score is a metric taken over several parts (subsets, splits, directions) of the pictures.
type Score struct {
	Mean, Std float64   // Std is the population standard deviation of Each (divided by their number, as the peers do)
	Each      []float64 // in the order of the parts
}

func newScore(each []float64) Score {
	s := Score{Each: each, Mean: mean(each)}
	for _, v := range each {
		s.Std += (v - s.Mean) * (v - s.Mean)
	}
	s.Std = math.Sqrt(s.Std / float64(len(each)))
	return s
}

func mean(x []float64) (s float64) {
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}
