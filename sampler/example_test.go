package sampler_test

import (
	"fmt"
	"math"

	"diffuse/sampler"
	"diffuse/schedule"
)

// Sample "pictures" of one number from a mixture of two atoms with EDM's 18 steps.
func Example() {
	model := &sampler.GMM{Shape: []int{1, 1, 1}, Weights: []float64{1, 1}, Means: [][]float64{{-1}, {1}}, Std: []float64{0, 0}}
	sigmas := schedule.Karras(18, 0.002, 80, 7)
	seeds := []uint64{0, 1, 2, 3}
	x := make([]float64, len(seeds))
	sampler.BatchNoise(seeds, 1, "latent")(x)
	for i := range x {
		x[i] *= sigmas[0]
	}
	calls := 0
	var pictures []float64
	for s := range sampler.Heun(sampler.Counted(model.Denoise, &calls), x, sigmas, sampler.DefaultOptions()) {
		pictures = append(pictures[:0], s.X...)
	}
	for i, p := range pictures {
		pictures[i] = math.Round(p)
	}
	fmt.Println(pictures, calls, "evaluations")
	// Output: [1 1 -1 -1] 35 evaluations
}
