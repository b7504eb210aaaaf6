package sampler

import (
	"fmt"
	"math"
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

// Slerp writes the spherical interpolation between a and b at t, from 0 (a) to 1 (b), into dst; all have the same length. Between two draws of unit
// normals it is one again, in length, where the straight line would be shorter: DDIM (Song et al., arXiv 2010.02502) interpolates so,
// appendix D.5, after Shoemake (1985). Vectors of nearly the same or opposite direction are interpolated straight.
func Slerp(dst, a, b []float64, t float64) {
	if len(dst) != len(a) || len(dst) != len(b) {
		panic(fmt.Sprintf("sampler: Slerp of %d and %d numbers into %d", len(a), len(b), len(dst)))
	}
	var dot, aa, bb float64
	for i := range a {
		dot += a[i] * b[i]
		aa += a[i] * a[i]
		bb += b[i] * b[i]
	}
	u, v := 1-t, t
	angle := math.Acos(min(max(dot/math.Sqrt(aa*bb), -1), 1))
	if s := math.Sin(angle); s > 1e-6 { // false if one is 0
		u, v = math.Sin(u*angle)/s, math.Sin(v*angle)/s
	}
	for i := range dst {
		dst[i] = u*a[i] + v*b[i]
	}
}
