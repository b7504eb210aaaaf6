package main

import (
	"context"
	"fmt"

	"diffuse/sampler"
)

// A picture is one image to draw: the seed of its noise and its class (-1 = none).
type picture struct {
	Seed  uint64
	Class int
}

// A drawing is a resolved way to turn noise into pictures: model, guidance, solver, noise levels.
type drawing struct {
	model   *model
	sampler sampler.Info
	options sampler.Options
	sigmas  []float64
	guide   *guide
}

// A guide is the second denoiser of guidance.
type guide struct {
	model    *model  // nil: the same network without a class
	weight   float64 // 1 = no guidance
	from, to float64 // noise levels between which it acts
}

// denoiser returns the denoiser for one batch, guided if asked for.
func (d *drawing) denoiser(batch []picture) sampler.Denoiser {
	labels, none := make([]int, len(batch)), make([]int, len(batch))
	for i, p := range batch {
		labels[i], none[i] = p.Class, -1
	}
	main := d.model.denoiser(labels)
	switch g := d.guide; {
	case g == nil:
		return main
	case g.model == nil:
		return sampler.Guided(main, d.model.denoiser(none), g.weight, g.from, g.to)
	default:
		return sampler.Guided(main, g.model.denoiser(labels), g.weight, g.from, g.to)
	}
}

// evaluations counts the network evaluations that each picture takes, by a run of the solver on one number.
func (d *drawing) evaluations() int {
	calls := 0
	count := sampler.Counted(func(dst, x []float64, _ float64) { copy(dst, x) }, &calls)
	if g := d.guide; g != nil {
		count = sampler.Guided(count, count, g.weight, g.from, g.to)
	}
	o := d.options
	o.Noise = func([]float64, float64, float64) {}
	for range d.sampler.Sampler(count, []float64{0}, d.sigmas, o) {
	}
	return calls
}

// steps is the number of solver steps.
func (d *drawing) steps() int { return len(d.sigmas) - 1 }

// draw runs the solver on one batch. start holds unit noise, N×C×H×W, and becomes the starting state; noise supplies the draws of
// later steps. each is called after every step; the result, also N×C×H×W, is the caller's.
func (d *drawing) draw(ctx context.Context, batch []picture, start []float64, noise func([]float64), each func(sampler.State) error) ([]float64, error) {
	if len(start) != len(batch)*d.model.size() {
		panic(fmt.Sprintf("draw: %d values of noise for %d pictures of %d", len(start), len(batch), d.model.size()))
	}
	for i := range start {
		start[i] *= d.sigmas[0]
	}
	o := d.options
	o.Noise = sampler.White(noise)
	out := make([]float64, len(start))
	for s := range d.sampler.Sampler(d.denoiser(batch), start, d.sigmas, o) {
		if ctx.Err() != nil {
			return nil, errInterrupted
		}
		if err := each(s); err != nil {
			return nil, err
		}
		if s.Step == d.steps() {
			copy(out, s.X)
		}
	}
	return out, nil
}

// seededNoise returns the starting noise of a batch and the source of its later draws. Each picture has its own streams, so
// neither its neighbours nor the number of pictures matter.
func (d *drawing) seededNoise(batch []picture) (start []float64, noise func([]float64)) {
	seeds := make([]uint64, len(batch))
	for i, p := range batch {
		seeds[i] = p.Seed
	}
	start = make([]float64, len(batch)*d.model.size())
	sampler.BatchNoise(seeds, d.model.size(), "latent")(start)
	return start, sampler.BatchNoise(seeds, d.model.size(), "step")
}
