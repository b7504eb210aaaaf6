package train

import (
	"fmt"
	"sync"

	"diffuse/internal/kernel"
	"diffuse/schedule"
)

// EDMLoss computes, for the images behind denoised and clean (len(sigma) of them, equally long, any layout), the EDM loss
// and its gradient. loss[i] becomes Σ w·(denoised − clean)² over the elements of image i, with
// w = (sigma² + sd²)/(sigma·sd)² (EDM table 1); seed becomes scale·2w·(denoised − clean), the gradient of
// scale·Σ loss with respect to denoised. EDM's scale is 1/batch. Each image is summed in one fixed order. A mismatch of
// lengths panics. seed may be denoised itself.
func EDMLoss(seed []float32, loss []float64, denoised, clean []float32, sigma []float64, sigmaData, scale float64) {
	weight := func(s float64) float64 { return schedule.EDMWeight(s, sigmaData) }
	eachImage(seed, loss, denoised, clean, sigma, func(i int, g, d, y []float32) {
		loss[i] = squared(g, d, y, weight(sigma[i]), scale)
	})
}

// Loss is the loss of a run: a weight on the squared error of the denoised picture that depends on the noise level, and
// optionally on the size of what is wrong. One Loss may be used from several goroutines.
//
// By scales (Options.LossScales; multi-scale loss of simple diffusion, arXiv 2301.11093): for a picture of d×d pixels the paper sums, over
// s = LossScales, …, d/2, d, 1/s times the mean over pixels of the squared error of the noise after average pooling to s×s. (The later Simple
// Diffusion prints the inner normaliser as 1/d in place of 1/d²; only the mean over pixels, 1/d², keeps a constant error's share
// the same at every size, and is what is meant here.) Pooling is linear and the error of the noise is −1/sigma times that of the picture, so the
// sum is taken of the picture's error and multiplied by the weight. It is also multiplied by d and by the
// number of elements: the part at full size is then the plain loss, and the part that is pooled by f has f³ times the plain sum's weight. Sides are
// halved while both are even and the shorter one stays at LossScales or more, so pictures need not be square.
//
// By frequencies (Options.LossDCT; k-diffusion): the error is transformed by an orthonormal DCT-II along both sides, and the square of a
// coefficient counts min over both axes of min(−log2 f, LossDCT), with f even from 1/2n to 1/2 along an axis of n. The finest
// frequencies weigh 1.
type Loss struct {
	weight   schedule.Weight
	h, w, c  int
	halvings int       // levels of the pyramid below the picture itself
	dct      *dct      // nil if pixels count
	scratch  sync.Pool // *lossScratch
}

// lossScratch is what one image needs at a time.
type lossScratch struct {
	pyramid     [][]float32 // pooled errors, the finest first
	plane, half []float32   // one channel, for the DCT
}

// NewLoss returns the options' loss for pictures of h×w×c. Words that name nothing are errors, and so are LossScales that leave the
// pictures no scale but their own.
func (o Options) NewLoss(h, w, c int) (*Loss, error) {
	weight, err := schedule.ParseWeight(o.Loss, o.SigmaData)
	if err != nil {
		return nil, err
	}
	l := &Loss{weight: weight, h: h, w: w, c: c}
	if o.LossScales > 0 {
		if l.halvings = halvings(h, w, o.LossScales); l.halvings == 0 {
			return nil, fmt.Errorf("loss_scales %d has no effect on pictures of %d×%d: sides are halved while they are even and not below it", o.LossScales, w, h)
		}
	}
	if o.LossDCT > 0 {
		l.dct = newDCT(h, w, float64(o.LossDCT))
	}
	l.scratch.New = func() any { return l.newScratch() }
	return l, nil
}

// halvings says how often sides of h×w can be halved without a remainder and with the shorter one at lowest or above.
func halvings(h, w, lowest int) (n int) {
	for h%2 == 0 && w%2 == 0 && min(h, w)/2 >= lowest {
		h, w, n = h/2, w/2, n+1
	}
	return n
}

func (l *Loss) newScratch() *lossScratch {
	s := &lossScratch{}
	for k := 1; k <= l.halvings; k++ {
		s.pyramid = append(s.pyramid, make([]float32, (l.h>>k)*(l.w>>k)*l.c))
	}
	if l.dct != nil {
		s.plane, s.half = make([]float32, l.h*l.w), make([]float32, l.h*l.w)
	}
	return s
}

// Of computes, for the images H×W×C behind denoised and clean (one per noise level in sigma), the loss of each and the gradient: loss[i]
// is summed over the elements of image i, seed becomes the gradient of scale·Σ loss with respect to denoised. Each image is
// summed in one fixed order. A mismatch of lengths panics. seed may be denoised itself.
func (l *Loss) Of(seed []float32, loss []float64, denoised, clean []float32, sigma []float64, scale float64) {
	if len(clean) != len(sigma)*l.h*l.w*l.c {
		panic(fmt.Sprintf("train.Loss: %d elements for %d images of %d×%d×%d", len(clean), len(sigma), l.h, l.w, l.c))
	}
	eachImage(seed, loss, denoised, clean, sigma, func(i int, g, d, y []float32) {
		w := l.weight(sigma[i])
		if l.halvings == 0 && l.dct == nil {
			loss[i] = squared(g, d, y, w, scale)
			return
		}
		for j, v := range d {
			g[j] = v - y[j]
		}
		s := l.scratch.Get().(*lossScratch)
		if l.dct != nil {
			loss[i] = l.dct.squared(g, l.c, s.plane, s.half, w, scale)
		} else {
			loss[i] = l.multiScale(g, s.pyramid, w, scale)
		}
		l.scratch.Put(s)
	})
}

// eachImage calls f for every image with its parts of seed, denoised and clean.
func eachImage(seed []float32, loss []float64, denoised, clean []float32, sigma []float64, f func(i int, seed, denoised, clean []float32)) {
	n := len(sigma)
	if n == 0 || len(clean)%n != 0 || len(denoised) != len(clean) || len(seed) != len(clean) || len(loss) != n {
		panic(fmt.Sprintf("train: loss of %d seeds, %d losses, %d denoised, %d clean for %d images", len(seed), len(loss), len(denoised), len(clean), n))
	}
	per := len(clean) / n
	kernel.For(n, max(1, 1<<14/max(per, 1)), func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			f(i, seed[i*per:(i+1)*per], denoised[i*per:(i+1)*per], clean[i*per:(i+1)*per])
		}
	})
}

// squared returns w·Σ(d − y)² and makes g its gradient times scale.
func squared(g, d, y []float32, w, scale float64) float64 {
	slope := float32(2 * w * scale)
	var sum float64
	for j, v := range d {
		e := v - y[j]
		sum += float64(e) * float64(e)
		g[j] = slope * e
	}
	return w * sum
}
