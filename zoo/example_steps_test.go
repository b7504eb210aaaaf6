package zoo_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"diffuse/checkpoint"
	"diffuse/sampler"
	"diffuse/schedule"
	"diffuse/skiptune"
	"diffuse/unet"
	"diffuse/zoo"
)

// Many steps: the teacher draws two bags with a solver, noise levels and skip weights of one's choice, and can be stopped between steps.
func Example_steps() {
	data, err := zoo.Entries()["fashion-teacher"].Read()
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
	d, err := model.Denoiser([]int{8, 8})
	if err != nil {
		log.Fatal(err)
	}

	var sides []int // heights of the features at the network's skip connections
	for _, join := range d.Joins() {
		sides = append(sides, join.Side)
	}
	tuning, err := skiptune.Parse("0.9:1", sides)
	if err != nil {
		log.Fatal(err)
	}
	d.Net = d.WithSkipRule(tuning.At)

	solver, err := sampler.Lookup("dpmpp-2m")
	if err != nil {
		log.Fatal(err)
	}
	sigmas := schedule.Karras(5, 0.002, 80, 7)
	options := solver.Options()
	if err := solver.Check(options); err != nil {
		log.Fatal(err)
	}
	height, width := d.Size()
	x := make([]float64, 2*d.InChannels*height*width)
	sampler.BatchNoise([]uint64{1, 2}, len(x)/2, "latent")(x)
	for i := range x {
		x[i] *= sigmas[0]
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	calls := 0
	for s := range solver.Sampler(sampler.Counted(d.At, &calls), x, sigmas, options) {
		if ctx.Err() != nil {
			log.Fatal(ctx.Err())
		}
		fmt.Printf("step %d, sigma %.3g\n", s.Step, s.Sigma)
		if s.Sigma == 0 {
			x = append(x[:0], s.X...) // the solver's buffer ends with the loop
		}
	}
	fmt.Println(calls, "evaluations for", len(x), "numbers of", model.Classes[8])
	// Output:
	// step 1, sigma 17.5
	// step 2, sigma 2.52
	// step 3, sigma 0.17
	// step 4, sigma 0.002
	// step 5, sigma 0
	// 5 evaluations for 1568 numbers of bag
}
