package train

import "math/rand/v2"

// What random numbers are drawn for; each purpose has streams of its own, so that switching one kind of
// randomness on leaves the others as they were.
const (
	forSigma   = "sigma"
	forNoise   = "noise"
	forFlip    = "flip"
	forClass   = "class dropout"
	forDropout = "dropout"
	forAugment = "augmentation"

	forValidationSigma = "validation sigma"
	forValidationNoise = "validation noise"
)

// A Stream selects the random numbers of one (seed, purpose): a sequence of its own for every number of an image.
type Stream uint64

// NewStream hashes the purpose (FNV-1a) and mixes in the seed.
func NewStream(seed uint64, purpose string) Stream {
	h := uint64(14695981039346656037)
	for _, c := range []byte(purpose) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return Stream(mix(mix(seed) + h))
}

// Seek puts g at the start of the sequence of image number k.
func (s Stream) Seek(g *rand.PCG, k int64) { g.Seed(uint64(s), mix(uint64(s)+uint64(k))) }

// mix is splitmix64's step and finaliser: it spreads neighbouring numbers over all 64 bits.
func mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
