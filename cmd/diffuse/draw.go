package main

import (
	"context"
	"fmt"
	"iter"
	"math"

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
	rng     rng
	guide   *guide
	limit   threshold
	edit    *edit          // what is drawn starts from a picture; nil: from noise alone
	between *interpolation // what is drawn are frames between two seeds; nil: pictures of seeds

	brownian   bool           // steps draw from one Brownian path per picture
	shareSteps bool           // an adaptive solver is given whole batches
	like       *schedulerWays // of the scheduler that the model came with, or nil
	afs        bool           // the first evaluation is analytic
	toZero     bool           // the solver ends before a last level of 0, where the picture is denoised

	// What rehearse finds; levels is the first alone and nfe 0 where they depend on the picture.
	levels []float64 // that the solver steps between
	nfe    int       // network evaluations per picture
	spent  spent
}

// spent sums what was done, over pictures; steps are counted for adaptive solvers only.
type spent struct{ evaluations, accepted, rejected int }

// rehearse finds the levels between which the solver steps and how often it evaluates the network, by a run on one number.
func (d *drawing) rehearse() {
	d.levels = d.sigmas[:1:1]
	if d.sampler.Adaptive {
		return
	}
	count := sampler.Counted(func(dst, x []float64, _ float64) { copy(dst, x) }, &d.nfe)
	o := d.options
	o.Noise = func([]float64, float64, float64) {}
	denoise, solve := d.guided(count, count, 1)
	for s := range d.run(solve, denoise, []float64{0}, o, o.Noise) {
		d.levels = append(d.levels, s.Sigma)
	}
}

// run is a solver from x, the state at the first noise level. Steps that are repeated put noise of back in between.
func (d *drawing) run(solve sampler.Sampler, den sampler.Denoiser, x []float64, o sampler.Options, back sampler.Noise) iter.Seq[sampler.State] {
	if d.afs {
		den = sampler.AnalyticFirst(den, d.sigmas[0])
	}
	if d.toZero {
		solve = sampler.DenoiseToZero(solve)
	}
	if d.edit != nil && d.edit.resample > 0 {
		solve = sampler.Resampled(solve, d.edit.resample, back)
	}
	return solve(den, x, d.sigmas, o)
}

// steps is the number of steps that were asked for.
func (d *drawing) steps() int { return len(d.sigmas) - 1 }

// share is how much of a run is done after a step.
func (d *drawing) share(s sampler.State) float64 {
	if !d.sampler.Adaptive {
		return float64(s.Step) / float64(len(d.levels)-1)
	}
	last := d.sigmas[len(d.sigmas)-1]
	if s.Sigma == last {
		return 1
	}
	if last == 0 {
		last = d.sigmas[len(d.sigmas)-2]
	}
	return math.Log(d.sigmas[0]/s.Sigma) / math.Log(d.sigmas[0]/last)
}

// begin turns the unit noise of a batch, N×C×H×W, into the state that a run starts from.
func (d *drawing) begin(unit []float64) {
	for i := range unit {
		unit[i] *= d.sigmas[0]
	}
	d.edit.place(unit)
}

// draw runs the solver on one batch from start, N×C×H×W, which begin has made; noise supplies the draws of later steps. each is called after every step; the result, also N×C×H×W, is the caller's.
func (d *drawing) draw(ctx context.Context, batch []picture, start []float64, noise sampler.Noise, each func(sampler.State) error) ([]float64, error) {
	if len(start) != len(batch)*d.model.size() {
		panic(fmt.Sprintf("draw: a state of %d values for %d pictures of %d", len(start), len(batch), d.model.size()))
	}
	o, calls := d.options, 0
	o.Noise = noise
	o.Attempt = func(a sampler.Attempt) { d.spent.add(a, len(batch)) }
	out := make([]float64, len(start))
	denoise, solve := d.denoiser(batch, &calls)
	back := d.mixed(batch, sampler.White(sampler.BatchNoise(d.seeds(batch), d.model.size(), "resample")))
	for s := range d.run(solve, denoise, start, o, back) {
		if ctx.Err() != nil {
			return nil, errInterrupted
		}
		if err := each(s); err != nil {
			return nil, err
		}
		copy(out, s.X)
	}
	d.edit.restore(out)
	d.spent.evaluations += calls * len(batch)
	return out, nil
}

// seededNoise returns the starting noise of a batch and the source of its later draws. Each picture has its own streams, so
// neither its neighbours nor the number of pictures matter.
func (d *drawing) seededNoise(batch []picture) (start []float64, noise sampler.Noise) {
	seeds, per := d.seeds(batch), d.model.size()
	first, steps := d.rng.noise(seeds, per)
	noise = sampler.White(steps)
	if d.brownian {
		noise = sampler.BrownianNoise(seeds, per, "step")
	}
	start = make([]float64, len(batch)*per)
	d.mixed(batch, func(dst []float64, _, _ float64) { copy(dst, first) })(start, 0, 0)
	return start, d.mixed(batch, noise)
}

// add counts an attempt of a batch.
func (s *spent) add(a sampler.Attempt, pictures int) {
	if a.Accepted {
		s.accepted += pictures
	} else {
		s.rejected += pictures
	}
}
