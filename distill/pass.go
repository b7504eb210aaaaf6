package distill

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"diffuse/internal/kernel"
	"diffuse/tensor"
	"diffuse/train"
)

// generate makes pictures with net, one evaluation for each latent: the first from noise, every other from the picture so far with
// fresh noise of its level. Only the last one is recorded on tape and has dropout.
func (t *Trainer) generate(net train.Network, tape *tensor.Tape, d *Draws, dropout []*rand.Rand) *tensor.Tensor {
	var y *tensor.Tensor
	for i, z := range d.Latent {
		x := tensor.New(z.Shape...)
		if y != nil {
			copy(x.Data, y.Data)
			tensor.Recycle(nil, y)
		}
		kernel.Axpy(x.Data, float32(t.levels[i]), z.Data)
		sigma := slices.Repeat([]float64{t.levels[i]}, z.Shape[0])
		if i < len(d.Latent)-1 {
			y = net.Denoise(nil, x, sigma, d.Labels, nil)
			continue
		}
		y = net.Denoise(tape, x, sigma, d.Labels, dropout)
	}
	if !slices.Equal(y.Shape, d.Noise.Shape) {
		panic(fmt.Sprintf("distill: the generator turned noise of shape %v into pictures of %v", d.Noise.Shape, y.Shape))
	}
	return y
}

// noisy returns y + sigma·n.
func noisy(y *tensor.Tensor, d *Draws) *tensor.Tensor {
	x := y.Clone()
	per := len(x.Data) / len(d.Sigma)
	for i, s := range d.Sigma {
		kernel.Axpy(x.Data[i*per:(i+1)*per], float32(s), d.Noise.Data[i*per:(i+1)*per])
	}
	return x
}

// A prediction is what a network says of noisy pictures, with guidance: null + kappa·(class − null).
type prediction struct {
	value  []float32
	parts  []*tensor.Tensor // the network's outputs
	shares []float32        // of each in value
}

// predict evaluates net on the pictures x.
func predict(net train.Network, tape *tensor.Tape, x *tensor.Tensor, d *Draws, dropout []*rand.Rand, kappa float64) prediction {
	y := net.Denoise(tape, x, d.Sigma, d.Labels, dropout)
	if kappa == 1 || d.Labels == nil {
		return prediction{y.Data, []*tensor.Tensor{y}, []float32{1}}
	}
	none := slices.Repeat([]int{-1}, len(d.Labels))
	null := net.Denoise(tape, x, d.Sigma, none, dropout)
	p := prediction{make([]float32, len(y.Data)), []*tensor.Tensor{y, null}, []float32{float32(kappa), float32(1 - kappa)}}
	for i, out := range p.parts {
		kernel.Axpy(p.value, p.shares[i], out.Data)
	}
	return p
}

// seed starts the backward pass with the gradient of value, which it overwrites.
func (p prediction) seed(tape *tensor.Tape, dy []float32) {
	if len(p.parts) == 1 {
		tape.Seed(p.parts[0], dy)
		return
	}
	part := make([]float32, len(dy))
	for i, out := range p.parts {
		kernel.ScaleTo(part, p.shares[i], dy)
		tape.Seed(out, part)
	}
}

// fakePass computes the fake network's loss on generated pictures and leaves its gradients in part u. Pictures whose loss is not finite are
// left out and counted.
func (t *Trainer) fakePass(u int, d *Draws, loss []float64) (dropped int) {
	o := t.Options
	y := t.generate(t.Nets.Generator, nil, d, nil)
	fake := augmented(t.Nets.Fake, y, d.Augment)
	x := noisy(y, d)
	tape := tensor.NewTape(t.Fake.Weights...)
	defer tape.Free()
	p := predict(fake, tape, x, d, d.Dropout, o.FakeTrainGuidance)
	seed := make([]float32, len(p.value))
	train.EDMLoss(seed, loss, p.value, y.Data, d.Sigma, o.SigmaData, o.FakeLossScale/float64(o.Batch))
	tensor.Recycle(nil, y)
	dropped = dropBad(seed, loss)
	p.seed(tape, seed)
	tape.Backward()
	t.collect(tape, t.Fake, t.parts[0][u])
	return dropped
}

// dropBad leaves out pictures whose loss is not finite: their loss and seeds become 0. It returns how many there were.
func dropBad(seed []float32, loss []float64) (dropped int) {
	per := len(seed) / len(loss)
	for i, l := range loss {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			clear(seed[i*per : (i+1)*per])
			loss[i] = 0
			dropped++
		}
	}
	return dropped
}

// generatorPass computes the generator's loss and leaves its gradients in part u. The teacher and the fake network are differentiated with
// respect to their input only.
func (t *Trainer) generatorPass(u int, d *Draws, loss []float64) (dropped int) {
	o := t.Options
	tape := tensor.NewTape(t.Generator.Weights...)
	defer tape.Free()
	y := t.generate(t.Nets.Generator, tape, d, d.Dropout)
	x := noisy(y, d)
	inputs := tensor.NewTape(x)
	defer inputs.Free()
	a := predict(t.Nets.Teacher, inputs, x, d, nil, o.TeacherGuidance)
	b, features := t.judge(inputs, x, d)
	size := len(y.Data)
	seeds := make([]float32, 3*size)
	da, db, dy := seeds[:size], seeds[size:2*size], seeds[2*size:]
	share := 1.0
	if features != nil {
		share = 0.5
	}
	dropped = GeneratorSeed(da, db, dy, loss, y.Data, a.value, b.value, o.Alpha, share*o.LossScale/float64(o.Batch))
	if features != nil {
		t.persuade(u, inputs, features, y.Data, a.value, all(len(loss), y.Data, a.value, b.value, features.Data))
	}
	a.seed(inputs, da)
	b.seed(inputs, db)
	inputs.Backward()
	kernel.Axpy(dy, 1, inputs.Grad(x))
	tape.Seed(y, dy)
	tape.Backward()
	t.collect(tape, t.Generator, t.parts[1][u])
	return dropped
}

// judge is what the fake network says of pictures of the generator: its estimates and, while there is an adversarial loss, the features that it judges by.
func (t *Trainer) judge(tape *tensor.Tape, x *tensor.Tensor, d *Draws) (p prediction, features *tensor.Tensor) {
	if !t.adversarial() {
		return predict(t.Nets.Fake, tape, x, d, nil, t.Options.FakeGuidance), nil
	}
	y, features := t.Nets.Fake.(Critic).DenoiseEncode(tape, x, d.Sigma, d.Labels, nil)
	return prediction{y.Data, []*tensor.Tensor{y}, []float32{1}}, features
}

// collect copies the gradients of p's weights off the tape.
func (t *Trainer) collect(tape *tensor.Tape, p *train.Optimizer, into grad) {
	for i, w := range p.Weights {
		copy(into[i], tape.Grad(w))
	}
}
