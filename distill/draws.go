package distill

import (
	"math"
	"math/rand/v2"

	"diffuse/internal/kernel"
	"diffuse/tensor"
	"diffuse/train"
)

// Draws are the random numbers of one update, for N pictures.
type Draws struct {
	Latent  []*tensor.Tensor // N×H×W×C unit noise of the generator, one for each of its evaluations, as many as it makes
	Sigma   []float64        // noise level per picture that the networks are compared at
	Noise   *tensor.Tensor   // N×H×W×C unit noise of that level
	Labels  []int            // class per picture; nil if there are none
	Dropout []*rand.Rand     // one generator per picture, or nil: no dropout
	Real    *tensor.Tensor   // N×H×W×C real pictures, whose classes Labels are; nil without an adversarial loss

	// How the generator's and the real pictures are augmented before the fake network sees them, per picture; nil: not.
	Augment, RealAugment []train.Augmentation
}

// slice returns pictures lo to hi−1 of d, sharing its memory.
func (d *Draws) slice(lo, hi int) *Draws {
	n := len(d.Sigma)
	cut := func(x *tensor.Tensor) *tensor.Tensor {
		per := len(x.Data) / n
		return tensor.From(x.Data[lo*per:hi*per], append([]int{hi - lo}, x.Shape[1:]...)...)
	}
	s := &Draws{Sigma: d.Sigma[lo:hi], Noise: cut(d.Noise)}
	for _, z := range d.Latent {
		s.Latent = append(s.Latent, cut(z))
	}
	if d.Labels != nil {
		s.Labels = d.Labels[lo:hi]
	}
	if d.Real != nil {
		s.Real = cut(d.Real)
	}
	if d.Augment != nil {
		s.Augment, s.RealAugment = d.Augment[lo:hi], d.RealAugment[lo:hi]
	}
	if d.Dropout != nil {
		s.Dropout = d.Dropout[lo:hi]
	}
	return s
}

// A source draws the random numbers of the updates of one network: those of picture k are a function of the seed and k.
type source struct {
	length, latent, sigma, noise, class, dropout train.Stream
	augment, realAugment                         train.Stream

	level   func(r *rand.Rand) float64 // one noise level
	often   float64                    // probability of each augmentation; 0: none
	classes []float64                  // cumulative shares of the classes, the last one 1; nil: no classes
	latents []*tensor.Tensor           // of all evaluations of the student
	draws   Draws
	pcgs    []*rand.PCG // behind draws.Dropout
}

// newSource makes a source of a batch of h×w×c pictures at a time. who is part of the streams' names.
func newSource(o Options, who string, h, w, c int, classes []float64, level func(*rand.Rand) float64) *source {
	stream := func(what string) train.Stream { return train.NewStream(o.Seed, who+" "+what) }
	n := o.Batch
	s := &source{
		length: stream("evaluations"), latent: stream("latent"), sigma: stream("sigma"),
		noise: stream("noise"), class: stream("class"), dropout: stream("dropout"),
		augment: stream("augment"), realAugment: stream("real augment"),
		level: level, classes: classes,
		draws: Draws{Sigma: make([]float64, n), Noise: tensor.New(n, h, w, c)},
	}
	for range o.Steps {
		s.latents = append(s.latents, tensor.New(n, h, w, c))
	}
	if classes != nil {
		s.draws.Labels = make([]int, n)
	}
	for range n {
		g := new(rand.PCG)
		s.pcgs = append(s.pcgs, g)
		s.draws.Dropout = append(s.draws.Dropout, rand.New(g))
	}
	return s
}

// draw fills and returns the draws for pictures first, first+1, …; the next call overwrites them. A student of several
// evaluations is stopped after any number of them, the same for the whole batch, so that it learns all.
func (s *source) draw(first int64) *Draws {
	d := &s.draws
	d.Latent = s.latents
	if len(s.latents) > 1 {
		var g rand.PCG
		s.length.Seek(&g, first)
		d.Latent = s.latents[:1+rand.New(&g).IntN(len(s.latents))]
	}
	n := len(d.Sigma)
	per := len(d.Noise.Data) / n
	kernel.For(n, 4, func(i0, i1 int) {
		var g rand.PCG
		r := rand.New(&g)
		normal := func(x *tensor.Tensor, i int) {
			for j := i * per; j < (i+1)*per; j++ {
				x.Data[j] = float32(r.NormFloat64())
			}
		}
		for i := i0; i < i1; i++ {
			k := first + int64(i)
			s.latent.Seek(&g, k)
			for _, z := range d.Latent {
				normal(z, i)
			}
			s.sigma.Seek(&g, k)
			d.Sigma[i] = s.level(r)
			s.noise.Seek(&g, k)
			normal(d.Noise, i)
			if s.classes != nil {
				s.class.Seek(&g, k)
				d.Labels[i] = pick(s.classes, r.Float64())
			}
			s.dropout.Seek(s.pcgs[i], k)
			if s.often > 0 {
				s.augment.Seek(&g, k)
				d.Augment[i] = train.DrawAugmentation(r, s.often)
				s.realAugment.Seek(&g, k)
				d.RealAugment[i] = train.DrawAugmentation(r, s.often)
			}
		}
	})
	return d
}

// augmenting makes the source draw augmentations, each with probability p.
func (s *source) augmenting(p float64) {
	if s.often = p; p > 0 {
		n := len(s.draws.Sigma)
		s.draws.Augment, s.draws.RealAugment = make([]train.Augmentation, n), make([]train.Augmentation, n)
	}
}

// augmented distorts the pictures x in place and returns the network that is told so. Without augmentations both stay as they are.
func augmented(net train.Network, x *tensor.Tensor, a []train.Augmentation) train.Network {
	if a == nil {
		return net
	}
	labels := tensor.New(len(a), train.AugmentLabels)
	per, h, w, c := len(x.Data)/len(a), x.Shape[1], x.Shape[2], x.Shape[3]
	for i := range a {
		a[i].Apply(x.Data[i*per:(i+1)*per], h, w, c)
		a[i].Labels(labels.Data[i*train.AugmentLabels:][:train.AugmentLabels])
	}
	return net.(train.Augmentable).WithAugment(labels)
}

// pick returns the first class whose cumulative share exceeds u in [0, 1).
func pick(cumulative []float64, u float64) int {
	for i, c := range cumulative {
		if u < c {
			return i
		}
	}
	return len(cumulative) - 1
}

// fakeLevel draws a noise level of the fake network's loss: log-normal, as EDM trains (table 1).
func (o Options) fakeLevel(r *rand.Rand) float64 {
	return math.Exp(o.PMean + o.PStd*r.NormFloat64())
}

// generatorLevel draws a noise level of the generator's loss: even over the lowest TMax of a thousand steps.
func (o Options) generatorLevel(r *rand.Rand) float64 {
	return o.Level(r.Float64() * o.TMax / 1000)
}
