package train

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"diffuse/dataset"
	"diffuse/internal/kernel"
	"diffuse/tensor"
)

// A Trainer is a training run without its folder: weights, average, Adam's state and the count of images.
type Trainer struct {
	Options Options
	Net     Network // trained in place
	EMA     Network // its moving average, updated in place
	Images  int64   // images shown so far
	Adam    *Optimizer

	loader *Loader
	loss   []float64   // per image of the batch
	seed   []float32   // gradient of the loss with respect to the network's output
	grad   [][]float32 // gradient per parameter: the tape's own, or sum
	sum    [][]float32 // gradient summed over microbatches; nil if a batch is one microbatch
}

// StepResult tells what one step did.
type StepResult struct {
	Loss     float64 // EDM loss per pixel value, averaged over the batch (EDM's logs show the same quantity)
	GradNorm float64 // L2 norm of the whole gradient, before clipping
	LR       float64 // rate used
	EMABeta  float64 // share of the old average kept
}

// NonFinite is the error of a step whose loss or gradient is NaN or infinite. The weights are as they were before the step.
type NonFinite struct {
	Step   int64  // number of the failed step, from 0
	Images int64  // images shown before it
	What   string // what was not finite, and where it was seen first
}

func (e *NonFinite) Error() string {
	return fmt.Sprintf("step %d (after %d images): %s", e.Step, e.Images, e.What)
}

// NewTrainer prepares a run from net's present weights; ema, a second network of the same shape, becomes a copy of it.
// The options are validated.
func NewTrainer(o Options, net, ema Network, data dataset.Dataset) (*Trainer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if ema == nil {
		return nil, errors.New("training needs a second network for the average")
	}
	loader, err := NewLoader(data, o)
	if err != nil {
		return nil, err
	}
	opt, err := NewOptimizer(net, ema, o)
	if err != nil {
		return nil, err
	}
	t := &Trainer{Options: o, Net: net, EMA: ema, Adam: opt, loader: loader, loss: make([]float64, o.Batch)}
	t.grad = make([][]float32, len(opt.Weights))
	if o.microbatch() < o.Batch {
		for _, w := range opt.Weights {
			t.sum = append(t.sum, make([]float32, len(w.Data)))
		}
	}
	return t, nil
}

// Step shows one batch and updates the weights. After an error (an unreadable picture, or NonFinite) the weights are as
// they were.
func (t *Trainer) Step() (StepResult, error) {
	o := t.Options
	var tape *tensor.Tape
	for at := 0; at < o.Batch; at += o.microbatch() {
		tape.Free() // of the microbatch before, whose gradients have been added up
		n := min(o.microbatch(), o.Batch-at)
		var err error
		if tape, err = t.pass(at, n); err != nil {
			return StepResult{}, err
		}
		for i, w := range t.Adam.Weights {
			t.grad[i] = tape.Grad(w)
		}
		if t.sum != nil {
			t.accumulate(at == 0)
		}
	}
	defer tape.Free()
	norm, bad := t.Adam.Norm(t.grad)
	if bad >= 0 {
		return StepResult{}, t.nonFinite("the gradient of %s is not finite, although the loss is", t.Adam.Names[bad])
	}
	scale := 1.0
	if o.Clip > 0 && norm > o.Clip {
		scale = o.Clip / norm
	}
	r := StepResult{GradNorm: norm, LR: o.LearningRate(t.Images), EMABeta: EMABeta(o.Batch, o.EMAHalfLife, o.EMARampup, t.Images)}
	for _, l := range t.loss {
		r.Loss += l
	}
	r.Loss /= float64(o.Batch * t.loader.h * t.loader.w * t.loader.c)
	t.Adam.Step(t.grad, r.LR, scale, r.EMABeta)
	t.Images += int64(o.Batch)
	return r, nil
}

// pass runs n images, beginning with number `at` of the batch, forward and backward; the tape holds the gradients.
func (t *Trainer) pass(at, n int) (*tensor.Tape, error) {
	b, err := t.loader.Load(t.Images+int64(at), n)
	if err != nil {
		return nil, err
	}
	tape := tensor.NewTape(t.Adam.Weights...)
	d := t.Net.Denoise(tape, b.Noisy, b.Sigma, b.Labels, b.Dropout)
	if !slices.Equal(d.Shape, b.Clean.Shape) {
		panic(fmt.Sprintf("train: the network turned images of shape %v into %v", b.Clean.Shape, d.Shape))
	}
	if len(t.seed) < len(d.Data) {
		t.seed = make([]float32, len(d.Data))
	}
	seed, loss := t.seed[:len(d.Data)], t.loss[at:at+n]
	EDMLoss(seed, loss, d.Data, b.Clean.Data, b.Sigma, t.Options.SigmaData, 1/float64(t.Options.Batch))
	if err := t.checkLoss(loss, b, at); err != nil {
		tape.Free()
		return nil, err
	}
	tape.Seed(d, seed)
	tape.Backward()
	return tape, nil
}

// accumulate adds a microbatch's gradients to the batch's, in the order of the images.
func (t *Trainer) accumulate(first bool) {
	kernel.For(len(t.Adam.chunks), 1, func(c0, c1 int) {
		for _, k := range t.Adam.chunks[c0:c1] {
			sum, g := t.sum[k.i][k.from:k.to], t.grad[k.i][k.from:k.to]
			if first {
				copy(sum, g)
			} else {
				kernel.Axpy(sum, 1, g)
			}
		}
	})
	copy(t.grad, t.sum)
}

// checkLoss stops a run whose loss is not finite and looks for the cause.
func (t *Trainer) checkLoss(loss []float64, b *Batch, at int) error {
	for i, l := range loss {
		if !math.IsNaN(l) && !math.IsInf(l, 0) {
			continue
		}
		image := t.Images + int64(at+i)
		if _, bad := t.Adam.Norm(t.Adam.Data()); bad >= 0 {
			return t.nonFinite("the loss of image %d is %v, and the weights %s are not finite", image, l, t.Adam.Names[bad])
		}
		return t.nonFinite("the loss of image %d (sigma %.4g) is %v, although all weights are finite", image, b.Sigma[i], l)
	}
	return nil
}

func (t *Trainer) nonFinite(format string, args ...any) error {
	return &NonFinite{Step: t.Adam.Steps, Images: t.Images, What: fmt.Sprintf(format, args...)}
}
