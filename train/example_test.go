package train_test

import (
	"fmt"

	"diffuse/train"
)

// The learning rate and the share of the old average, as a run of EDM's CIFAR-10 recipe goes on.
func ExampleOptions_LearningRate() {
	o := train.DefaultOptions()
	o.Batch, o.LR, o.LRRampup, o.EMAHalfLife = 512, 1e-3, 10_000_000, 500_000
	for _, images := range []int64{0, 1_000_000, 20_000_000} {
		fmt.Printf("%8d images: rate %.4f, beta %.6f\n", images, o.LearningRate(images),
			train.EMABeta(o.Batch, o.EMAHalfLife, o.EMARampup, images))
	}
	// Output:
	//        0 images: rate 0.0000, beta 0.000000
	//  1000000 images: rate 0.0001, beta 0.992927
	// 20000000 images: rate 0.0010, beta 0.999290
}
