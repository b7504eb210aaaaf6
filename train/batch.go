package train

import (
	"fmt"
	"math/rand/v2"

	"diffuse/dataset"
	"diffuse/internal/kernel"
	"diffuse/tensor"
)

// A Batch is a set of training images with their noise. A Loader owns its memory.
type Batch struct {
	Clean, Noisy *tensor.Tensor // N×H×W×C: y in [-1, 1], and y + sigma·n
	Sigma        []float64      // noise level per image
	Labels       []int          // class per image, -1 where it was dropped; nil if the data have no classes
	Dropout      []*rand.Rand   // one generator per image for the network's dropout
	Augment      *tensor.Tensor // N×AugmentLabels: how the images were augmented; nil if they were not
}

// slice returns images lo to hi−1 of b, sharing its memory.
func (b *Batch) slice(lo, hi int) *Batch {
	n, shape := len(b.Sigma), b.Clean.Shape
	cut := func(x *tensor.Tensor) *tensor.Tensor {
		per := len(x.Data) / n
		return tensor.From(x.Data[lo*per:hi*per], append([]int{hi - lo}, shape[1:]...)...)
	}
	s := &Batch{Clean: cut(b.Clean), Noisy: cut(b.Noisy), Sigma: b.Sigma[lo:hi], Dropout: b.Dropout[lo:hi]}
	if b.Labels != nil {
		s.Labels = b.Labels[lo:hi]
	}
	if b.Augment != nil {
		s.Augment = tensor.From(b.Augment.Data[lo*AugmentLabels:hi*AugmentLabels], hi-lo, AugmentLabels)
	}
	return s
}

// A Loader draws the training images of a run: which picture, mirrored or augmented how, with which noise, is a function of the
// options' Seed and the image's number alone.
type Loader struct {
	opt                       Options
	data                      dataset.Dataset
	h, w, c                   int
	sigma, noise, flip, class Stream
	dropout, augment          Stream
	level                     func(r *rand.Rand) float64 // draws a noise level

	orders [2]order // of the current epoch and the one before or after
	pixels []uint8
	clean  []float32
	noisy  []float32
	labels []int
	errs   []error
	batch  Batch
	pcgs   []*rand.PCG // behind batch.Dropout
}

// An order is one epoch's order of the pictures.
type order struct {
	epoch int
	index []int
}

// NewLoader returns a Loader over data, which must not be empty and whose Get is called from several goroutines at once.
func NewLoader(data dataset.Dataset, o Options) (*Loader, error) {
	l := &Loader{opt: o, data: data}
	l.h, l.w, l.c = data.Size()
	if data.Len() == 0 || l.h < 1 || l.w < 1 || l.c < 1 {
		return nil, fmt.Errorf("the data set has %d images of %d×%d×%d", data.Len(), l.h, l.w, l.c)
	}
	l.sigma, l.noise, l.flip = NewStream(o.Seed, forSigma), NewStream(o.Seed, forNoise), NewStream(o.Seed, forFlip)
	l.class, l.dropout, l.augment = NewStream(o.Seed, forClass), NewStream(o.Seed, forDropout), NewStream(o.Seed, forAugment)
	var err error
	if l.level, err = o.levels(l.h, l.w); err != nil {
		return nil, err
	}
	l.orders[0].epoch, l.orders[1].epoch = -1, -1
	return l, nil
}

// Load returns training images first to first+n-1 of the run. The batch is overwritten by the next call. An error names
// the picture that could not be read.
func (l *Loader) Load(first int64, n int) (*Batch, error) {
	l.reserve(n)
	pick := make([]int, n)
	for i := range pick {
		pick[i] = l.picture(first + int64(i))
	}
	kernel.For(n, 4, func(i0, i1 int) {
		var g rand.PCG
		r := rand.New(&g)
		for i := i0; i < i1; i++ {
			l.errs[i] = l.fill(i, pick[i], first+int64(i), &g, r)
		}
	})
	for i, err := range l.errs[:n] {
		if err != nil {
			return nil, fmt.Errorf("reading picture %d of the data set: %w", pick[i], err)
		}
	}
	if p, ok := l.data.(dataset.Prefetcher); ok { // decodes what the next call will want while the network computes
		for i := range pick {
			pick[i] = l.picture(first + int64(n+i))
		}
		p.Prefetch(pick)
	}
	return &l.batch, nil
}

// fill prepares image number k of the run, picture `pick` of the data set, in slot i. r draws from g.
func (l *Loader) fill(i, pick int, k int64, g *rand.PCG, r *rand.Rand) error {
	per := l.h * l.w * l.c
	pixels := l.pixels[i*per : (i+1)*per]
	label, err := l.data.Get(pick, pixels)
	if err != nil {
		return err
	}
	if l.batch.Labels != nil {
		if label < 0 || label >= l.data.Labels() {
			return fmt.Errorf("its class is %d, the data set has %d", label, l.data.Labels())
		}
		if l.opt.ClassDropout > 0 {
			l.class.Seek(g, k)
			if r.Float64() < l.opt.ClassDropout {
				label = -1
			}
		}
		l.batch.Labels[i] = label
	}
	if l.opt.Flip {
		l.flip.Seek(g, k)
		if r.Uint64()>>63 == 1 {
			Mirror(pixels, l.h, l.w, l.c)
		}
	}
	clean, noisy := l.batch.Clean.Data[i*per:(i+1)*per], l.batch.Noisy.Data[i*per:(i+1)*per]
	for j, v := range pixels {
		clean[j] = float32(v)/127.5 - 1
	}
	if l.batch.Augment != nil {
		l.augment.Seek(g, k)
		a := DrawAugmentation(r, l.opt.Augment)
		a.Apply(clean, l.h, l.w, l.c)
		a.Labels(l.batch.Augment.Data[i*AugmentLabels:][:AugmentLabels])
	}
	l.sigma.Seek(g, k)
	sigma := l.level(r)
	l.batch.Sigma[i] = sigma
	l.noise.Seek(g, k)
	for j, y := range clean {
		noisy[j] = y + float32(sigma*r.NormFloat64())
	}
	l.dropout.Seek(l.pcgs[i], k)
	return nil
}

// picture returns which picture of the data set image number k of the run shows: every epoch shows each once.
func (l *Loader) picture(k int64) int {
	n := int64(l.data.Len())
	epoch := int(k / n)
	o := &l.orders[epoch%2]
	if o.epoch != epoch {
		*o = order{epoch, dataset.Permutation(l.opt.Seed, epoch, l.data.Len())}
	}
	return o.index[k%n]
}

// reserve makes the batch one of n images.
func (l *Loader) reserve(n int) {
	per := l.h * l.w * l.c
	if n*per > len(l.pixels) {
		l.pixels, l.clean, l.noisy = make([]uint8, n*per), make([]float32, n*per), make([]float32, n*per)
		l.labels, l.errs = make([]int, n), make([]error, n)
		l.batch = Batch{}
		for len(l.pcgs) < n {
			l.pcgs = append(l.pcgs, new(rand.PCG))
		}
	}
	if len(l.batch.Sigma) == n {
		return
	}
	l.batch = Batch{
		Clean: tensor.From(l.clean[:n*per], n, l.h, l.w, l.c),
		Noisy: tensor.From(l.noisy[:n*per], n, l.h, l.w, l.c),
		Sigma: make([]float64, n),
	}
	if l.data.Labels() > 0 {
		l.batch.Labels = l.labels[:n]
	}
	if l.opt.Augment > 0 {
		l.batch.Augment = tensor.New(n, AugmentLabels)
	}
	for _, g := range l.pcgs[:n] {
		l.batch.Dropout = append(l.batch.Dropout, rand.New(g))
	}
}
