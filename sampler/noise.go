package sampler

import (
	"fmt"
	"math/rand/v2"
)

// Stream returns the random stream of one (seed, purpose): the same pair gives the same numbers on every
// machine, different pairs unrelated ones. purpose is a short text such as "latent" or "churn". The generator is
// PCG-DXSM; its two words are the seed and the FNV-1a hash of purpose, mixed by SplitMix64's finaliser so that
// neighbouring seeds share no bits of state.
func Stream(seed uint64, purpose string) *rand.Rand {
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

// BatchNoise returns a source of unit normals for a batch of len(seeds) pictures of perImage numbers each;
// [White] makes it fit [Options.Noise]. Picture i draws from its own [Stream] (seeds[i], purpose), so its numbers do not depend
// on the batch it is in. The returned function panics if dst is not the whole batch; it is not safe for
// concurrent use.
func BatchNoise(seeds []uint64, perImage int, purpose string) func(dst []float64) {
	streams := make([]*rand.Rand, len(seeds))
	for i, s := range seeds {
		streams[i] = Stream(s, purpose)
	}
	return func(dst []float64) {
		if len(dst) != len(streams)*perImage {
			panic(fmt.Sprintf("sampler: BatchNoise for %d pictures of %d numbers got a buffer of %d", len(streams), perImage, len(dst)))
		}
		for i, r := range streams {
			for j := range dst[i*perImage : (i+1)*perImage] {
				dst[i*perImage+j] = r.NormFloat64()
			}
		}
	}
}
