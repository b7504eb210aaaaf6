package sampler

import (
	"fmt"
	"math"
	"slices"
)

// StaticThreshold returns d with its estimate limited to the range of pictures, lo to hi: static thresholding (Saharia et
// al., Imagen, arXiv 2205.11487, section 2.3). With -1 and 1 it is the clip_sample of diffusers' schedulers.
func StaticThreshold(d Denoiser, lo, hi float64) Denoiser {
	return func(dst, x []float64, sigma float64) {
		d(dst, x, sigma)
		clip(dst, lo, hi)
	}
}

func clip(dst []float64, lo, hi float64) {
	for i, v := range dst {
		dst[i] = min(max(v, lo), hi)
	}
}

// DynamicThreshold returns d with dynamic thresholding (Imagen, section 2.3): for each picture of perImage values, s is the
// q-quantile of the distance from the middle of the range lo to hi, in half ranges, at least 1 and at most most (+Inf for no bound); the
// estimate is cut at s half ranges and divided by s. In the range -1 to 1 that is D = clip(D, -s, s)/s with
// s = min(most, max(1, quantile(|D|, q))). The paper's q is near 1; diffusers has 0.995 and, as most, sample_max_value. The result keeps a
// buffer and is not safe for concurrent use; it panics if it is called with a part of a picture.
func DynamicThreshold(d Denoiser, perImage int, q, most, lo, hi float64) Denoiser {
	if perImage < 1 || !(q >= 0 && q <= 1) || !(most >= 1) || !(lo < hi) {
		panic(fmt.Sprintf("sampler: DynamicThreshold: %d values a picture, quantile %v, at most %v, range %v to %v", perImage, q, most, lo, hi))
	}
	mid, half := (lo+hi)/2, (hi-lo)/2
	size := make([]float64, perImage)
	return func(dst, x []float64, sigma float64) {
		d(dst, x, sigma)
		if len(dst)%perImage != 0 {
			panic(fmt.Sprintf("sampler: %d values are no whole number of pictures of %d", len(dst), perImage))
		}
		for start := 0; start < len(dst); start += perImage {
			picture := dst[start : start+perImage]
			for i, v := range picture {
				size[i] = math.Abs(v-mid) / half
			}
			slices.Sort(size)
			s := min(most, max(1, quantile(size, q)))
			for i, v := range picture {
				picture[i] = mid + half*(min(max((v-mid)/half, -s), s)/s)
			}
		}
	}
}

// quantile interpolates linearly between the values of a sorted list, as torch.quantile does by default.
func quantile(sorted []float64, q float64) float64 {
	rank := q * float64(len(sorted)-1)
	below := math.Floor(rank)
	a, b, w := sorted[int(below)], sorted[int(math.Ceil(rank))], rank-below
	if w < 0.5 { // torch.lerp: exact at both ends
		return a + w*(b-a)
	}
	return b - (b-a)*(1-w)
}
