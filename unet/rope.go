package unet

import "math"

// RopeBase returns the smallest base of rotary positions, to three digits, that keeps
//
//	Σ_i cos(m·θ_i) ≥ 0 for every distance m = 0 … places−1, θ_i = base^(−i/pairs), i = 0 … pairs−1
//
// on a side of places pixels, where pairs of channels turn by the place along it: a quarter of a head's channels (see
// [tensor.Rotate2D]; with d = 2·pairs channels for one axis, θ_i is the usual base^(−2i/d)). The sum is, up to a factor, by how
// much the score of a key that is like the query exceeds that of a random one at distance m; where it is negative, attention
// prefers keys that are not like the query (Men et al. 2024, arXiv 2405.14591; Su Jianlin 2024, kexue.fm/archives/10122).
//
// Bases that pass are no interval, so that the search goes upwards from 1. ok is false if none below 1e9 passes: as with a single
// pair, whose angle is the place whatever the base, on more than two places.
func RopeBase(places, pairs int) (base float64, ok bool) {
	if pairs < 1 || pairs == 1 && places > 2 {
		return 0, false
	}
	worst := 0 // the distance at which the last base failed, where the next one is likely to
	for decade := 1.0; decade < maxRopeBase; decade *= 10 {
		for digits := 100; digits < 1000; digits++ {
			base = float64(digits) * decade / 100
			if meanCosine(worst, pairs, base) < 0 {
				continue
			}
			if worst = negativeCosine(places, pairs, base); worst < 0 {
				return base, true
			}
		}
	}
	return 0, false
}

// maxRopeBase bounds the base of rotary angles.
const maxRopeBase = 1e9

// meanCosine returns Σ_i cos(m·base^(−i/pairs)) / pairs.
func meanCosine(m, pairs int, base float64) (sum float64) {
	for i := range pairs {
		sum += math.Cos(float64(m) * math.Pow(base, -float64(i)/float64(pairs)))
	}
	return sum / float64(pairs)
}

// negativeCosine returns the first distance below places at which meanCosine is negative, −1 if there is none.
func negativeCosine(places, pairs int, base float64) int {
	for m := range places {
		if meanCosine(m, pairs, base) < 0 {
			return m
		}
	}
	return -1
}
