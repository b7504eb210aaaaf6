package train

import (
	"fmt"

	"diffuse/internal/kernel"
)

// EDMLoss computes, for the images behind denoised and clean (len(sigma) of them, equally long, any layout), the EDM loss
// and its gradient. loss[i] becomes Σ w·(denoised − clean)² over the elements of image i, with
// w = (sigma² + sd²)/(sigma·sd)² (EDM table 1); seed becomes scale·2w·(denoised − clean), the gradient of
// scale·Σ loss with respect to denoised. EDM's scale is 1/batch. Each image is summed in one fixed order. A mismatch of
// lengths panics. seed may be denoised itself.
func EDMLoss(seed []float32, loss []float64, denoised, clean []float32, sigma []float64, sigmaData, scale float64) {
	n := len(sigma)
	if n == 0 || len(clean)%n != 0 || len(denoised) != len(clean) || len(seed) != len(clean) || len(loss) != n {
		panic(fmt.Sprintf("train.EDMLoss: %d seeds, %d losses, %d denoised, %d clean for %d images", len(seed), len(loss), len(denoised), len(clean), n))
	}
	per := len(clean) / n
	kernel.For(n, max(1, 1<<14/max(per, 1)), func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			w := edmWeight(sigma[i], sigmaData)
			slope := float32(2 * w * scale)
			d, y, g := denoised[i*per:(i+1)*per], clean[i*per:(i+1)*per], seed[i*per:(i+1)*per]
			var sum float64
			for j, v := range d {
				e := v - y[j]
				sum += float64(e) * float64(e)
				g[j] = slope * e
			}
			loss[i] = w * sum
		}
	})
}

// edmWeight is lambda(sigma) of EDM table 1.
func edmWeight(sigma, sigmaData float64) float64 {
	s := sigma * sigmaData
	return (sigma*sigma + sigmaData*sigmaData) / (s * s)
}
