package zoo_test

import (
	"fmt"
	"log"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/sampler"
	"diffuse/unet"
	"diffuse/zoo"
)

// A program draws a sneaker (class 7) with the embedded one-step model.
func Example() {
	entry := zoo.Entries()["fashion-student"]
	data, err := entry.Read()
	if err != nil {
		log.Fatal(err)
	}
	file, err := checkpoint.OpenBytes(data)
	if err != nil {
		log.Fatal(err)
	}
	model, err := unet.ReadModel(file)
	if err != nil {
		log.Fatal(err)
	}
	d, err := model.Denoiser([]int{7})
	if err != nil {
		log.Fatal(err)
	}
	x := make([]float64, 28*28)
	noise := sampler.Stream(1, "latent")
	for i := range x {
		x[i] = entry.SigmaMax * noise.NormFloat64()
	}
	d.At(x, x, entry.SigmaMax) // one evaluation of the network
	picture := imageio.FromPlanes(x, 1, 28, 28)
	fmt.Println(picture.W, picture.H, model.Classes[7])
	// Output: 28 28 sneaker
}
