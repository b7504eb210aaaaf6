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

	rate   func(images int64) float64 // Options.LearningRate, but in [FindRate]
	powers []powerEMA                 // further averages, see Options.EMAStds
	loader *Loader
	lossOf *Loss
	loss   []float64     // per image of the batch
	seed   []float32     // gradient of the loss with respect to the network's output
	passes int           // microbatches of a batch
	grad   [][]float32   // gradient per parameter, of the whole batch: parts[0]
	parts  [][][]float32 // the same for each microbatch; with CheckpointBlocks there is one, into which all add
}

// StepResult tells what one step did.
type StepResult struct {
	Loss     float64 // loss per pixel value, averaged over the batch (EDM's logs show the same quantity)
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
// The options are validated. Options.Augment needs networks that are [Augmentable].
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
	if _, ok := net.(Augmentable); o.Augment > 0 && !ok {
		return nil, fmt.Errorf("augment is %g, but the network takes no augmentation labels", o.Augment)
	}
	lossOf, err := o.NewLoss(loader.h, loader.w, loader.c)
	if err != nil {
		return nil, err
	}
	opt, err := NewOptimizer(net, ema, o)
	if err != nil {
		return nil, err
	}
	t := &Trainer{Options: o, Net: net, EMA: ema, Adam: opt, rate: o.LearningRate, loader: loader, lossOf: lossOf,
		loss: make([]float64, o.Batch), seed: make([]float32, o.Batch*loader.h*loader.w*loader.c)}
	t.powers = o.newPowers(opt.Data())
	t.passes = (o.Batch-1)/o.microbatch() + 1
	t.parts = make([][][]float32, t.passes)
	if o.CheckpointBlocks {
		t.parts = t.parts[:1]
	}
	for u := range t.parts {
		for _, w := range opt.Weights {
			t.parts[u] = append(t.parts[u], make([]float32, len(w.Data)))
		}
	}
	t.grad = t.parts[0]
	return t, nil
}

// Step shows one batch and updates the weights. After an error (an unreadable picture, or NonFinite) the weights are as
// they were.
func (t *Trainer) Step() (StepResult, error) {
	o := t.Options
	b, err := t.loader.Load(t.Images, o.Batch)
	if err != nil {
		return StepResult{}, err
	}
	t.backward(b)
	if err := t.checkLoss(b); err != nil {
		return StepResult{}, err
	}
	t.Adam.Sum(t.grad, t.parts[1:])
	norm, bad := t.Adam.Norm(t.grad)
	if bad >= 0 {
		return StepResult{}, t.nonFinite("the gradient of %s is not finite, although the loss is", t.Adam.Names[bad])
	}
	scale := 1.0
	if o.Clip > 0 && norm > o.Clip {
		scale = o.Clip / norm
	}
	r := StepResult{GradNorm: norm, LR: t.rate(t.Images), EMABeta: EMABeta(o.Batch, o.EMAHalfLife, o.EMARampup, t.Images)}
	for _, l := range t.loss {
		r.Loss += l
	}
	r.Loss /= float64(o.Batch * t.loader.h * t.loader.w * t.loader.c)
	t.Adam.Step(t.grad, r.LR, scale, r.EMABeta)
	t.averagePowers(t.Images)
	t.Images += int64(o.Batch)
	return r, nil
}

// backward leaves the gradients of all microbatches in parts.
func (t *Trainer) backward(b *Batch) {
	kernel.For(len(t.parts)*len(t.grad), 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			clear(t.parts[i/len(t.grad)][i%len(t.grad)])
		}
	})
	if t.Options.CheckpointBlocks { // one after the other: the activations and the gradient of one take the least memory
		for u := range t.passes {
			t.pass(b, u, t.grad)
		}
		return
	}
	// Each microbatch runs on one processor, forward and backward: its activations stay in that processor's
	// cache, and nobody waits for the slowest at every operation.
	kernel.For(t.passes, 1, func(u0, u1 int) {
		for u := u0; u < u1; u++ {
			t.pass(b, u, t.parts[u])
		}
	})
}

// pass runs microbatch u of b forward and backward and adds its gradients to grad. A loss that is not finite ends it
// after the forward pass.
func (t *Trainer) pass(b *Batch, u int, grad [][]float32) {
	at := u * t.Options.microbatch()
	m := b.slice(at, min(at+t.Options.microbatch(), t.Options.Batch))
	tape := tensor.NewTape(t.Adam.Weights...)
	defer tape.Free()
	net := t.Net
	if m.Augment != nil {
		net = net.(Augmentable).WithAugment(m.Augment)
	}
	for i, w := range t.Adam.Weights {
		tape.GradInto(w, grad[i])
	}
	d := net.Denoise(tape, m.Noisy, m.Sigma, m.Labels, m.Dropout)
	if !slices.Equal(d.Shape, m.Clean.Shape) {
		panic(fmt.Sprintf("train: the network turned images of shape %v into %v", m.Clean.Shape, d.Shape))
	}
	per := len(t.seed) / t.Options.Batch
	seed, loss := t.seed[at*per:][:len(d.Data)], t.loss[at:][:len(m.Sigma)]
	t.lossOf.Of(seed, loss, d.Data, m.Clean.Data, m.Sigma, 1/float64(t.Options.Batch))
	for _, l := range loss {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return
		}
	}
	tape.Seed(d, seed)
	tape.Backward()
}

// checkLoss stops a run whose loss is not finite and looks for the cause.
func (t *Trainer) checkLoss(b *Batch) error {
	for i, l := range t.loss {
		if !math.IsNaN(l) && !math.IsInf(l, 0) {
			continue
		}
		image := t.Images + int64(i)
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
