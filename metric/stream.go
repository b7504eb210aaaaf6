package metric

import "math/rand/v2"

// stream returns the random numbers of one (seed, purpose). The construction is that of package sampler, which this package is not allowed to
// import: PCG-DXSM on the mixed seed and the FNV-1a hash of purpose.
func stream(seed uint64, purpose string) *rand.Rand {
	h := uint64(14695981039346656037)
	for i := range len(purpose) {
		h = (h ^ uint64(purpose[i])) * 1099511628211
	}
	hi := mix(seed + 0x9e3779b97f4a7c15)
	return rand.New(rand.NewPCG(hi, mix(hi^h)))
}

// mix is the finaliser of SplitMix64, a bijection of 64-bit words.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
