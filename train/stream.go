package train

import "math/rand/v2"

// A purpose is what random numbers are drawn for; each has streams of its own, so that switching one kind of
// randomness on leaves the others as they were.
type purpose string

const (
	forSigma   purpose = "sigma"
	forNoise   purpose = "noise"
	forFlip    purpose = "flip"
	forClass   purpose = "class dropout"
	forDropout purpose = "dropout"

	forValidationSigma purpose = "validation sigma"
	forValidationNoise purpose = "validation noise"
)

// A key selects the streams of one (seed, purpose).
type key uint64

// newKey hashes the purpose (FNV-1a) and mixes in the seed.
func newKey(seed uint64, p purpose) key {
	h := uint64(14695981039346656037)
	for _, c := range []byte(p) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return key(mix(mix(seed) + h))
}

// seek puts g at the start of the stream of image number k.
func (s key) seek(g *rand.PCG, k int64) { g.Seed(uint64(s), mix(uint64(s)+uint64(k))) }

// mix is splitmix64's step and finaliser: it spreads neighbouring numbers over all 64 bits.
func mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
