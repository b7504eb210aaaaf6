package sampler

import (
	"fmt"
	"iter"
	"math"
)

// Guidance says how two denoisers become one: cond, which is followed, and uncond, which is steered away from. With uncond the same
// network without its class it is classifier-free guidance (Ho and Salimans, arXiv 2207.12598, in the form where
// weight 1 is no guidance), with a weaker network autoguidance (Karras et al., arXiv 2406.02507). The fields are
// plain settings; From and To have no defaults of their own, so that a zero To guides nowhere.
type Guidance struct {
	Weight   float64 // w in uncond + w·(cond - uncond)
	From, To float64 // noise levels between which it acts, both included; cond alone elsewhere (Kynkäänniemi et al., arXiv 2404.07724)

	// Rescale is phi of Lin et al. (arXiv 2305.08891, eq. 15-16), 0 none and 1 all: the guided prediction of each picture
	// is brought to the standard deviation of the conditional one, and mixed with what it was. Space is the prediction
	// that is measured, and PerImage the number of values of a picture, needed for it.
	Rescale  float64
	Space    Space
	PerImage int

	// PlusPlus is for [Guider.CFGPP]: uncond is evaluated inside the interval whatever the weight.
	PlusPlus bool
}

// A Space is a quantity that networks predict; every one is a mix of state and denoised picture.
type Space int

const (
	VSpace        Space = iota // v = alpha·eps - sigma_vp·D of variance preserving models (Salimans and Ho, arXiv 2202.00512)
	EpsilonSpace               // eps = (x - D)/sigma
	DenoisedSpace              // D
)

// mix returns a and b of the prediction a·x + b·D at noise level sigma.
func (s Space) mix(sigma float64) (a, b float64) {
	switch s {
	case VSpace:
		r := math.Sqrt(1 + sigma*sigma) // alpha = 1/r, sigma_vp = sigma/r
		return 1 / (sigma * r), -r / sigma
	case EpsilonSpace:
		return 1 / sigma, -1 / sigma
	case DenoisedSpace:
		return 0, 1
	}
	panic(fmt.Sprintf("sampler: unknown prediction space %d", s))
}

// A Guider is a guided denoiser; its method value Denoise is a [Denoiser]. It keeps buffers and is not safe for concurrent use.
type Guider struct {
	Guidance
	cond, uncond Denoiser
	last         []float64 // uncond's estimate in the latest evaluation, or cond's where that is taken alone
}

// NewGuider joins two denoisers. It panics if there is Rescale but no PerImage.
func NewGuider(g Guidance, cond, uncond Denoiser) *Guider {
	if g.Rescale != 0 && g.PerImage <= 0 {
		panic("sampler: NewGuider: Rescale needs PerImage, the number of values of a picture")
	}
	return &Guider{Guidance: g, cond: cond, uncond: uncond}
}

// Guided returns the denoiser uncond + w·(cond - uncond) for lo <= sigma <= hi, and cond alone elsewhere; see [Guidance].
// Where w is 1, uncond is not evaluated. The result keeps a buffer and is not safe for concurrent use.
func Guided(cond, uncond Denoiser, w, lo, hi float64) Denoiser {
	return NewGuider(Guidance{Weight: w, From: lo, To: hi}, cond, uncond).Denoise
}

// Denoise writes the guided estimate into dst.
func (g *Guider) Denoise(dst, x []float64, sigma float64) {
	g.cond(dst, x, sigma)
	inside := sigma >= g.From && sigma <= g.To
	if !inside || g.Weight == 1 && !g.PlusPlus {
		if g.PlusPlus {
			g.last = append(g.last[:0], dst...)
		}
		return
	}
	if len(g.last) != len(x) {
		g.last = make([]float64, len(x))
	}
	g.uncond(g.last, x, sigma)
	if g.Rescale != 0 {
		g.rescaled(dst, x, sigma)
		return
	}
	for i, u := range g.last {
		dst[i] = u + g.Weight*(dst[i]-u)
	}
}

// rescaled turns dst from cond's estimate into the guided and rescaled one.
func (g *Guider) rescaled(dst, x []float64, sigma float64) {
	if len(dst)%g.PerImage != 0 {
		panic(fmt.Sprintf("sampler: %d values are no whole number of pictures of %d", len(dst), g.PerImage))
	}
	a, b := g.Space.mix(sigma)
	for lo := 0; lo < len(dst); lo += g.PerImage {
		d, u, x := dst[lo:lo+g.PerImage], g.last[lo:lo+g.PerImage], x[lo:lo+g.PerImage]
		want := deviation(d, x, a, b)
		for i := range d {
			d[i] = u[i] + g.Weight*(d[i]-u[i])
		}
		have := deviation(d, x, a, b)
		if have == 0 { // a flat prediction has no contrast to correct
			continue
		}
		f := g.Rescale*want/have + 1 - g.Rescale
		for i := range d {
			d[i] = (f*(a*x[i]+b*d[i]) - a*x[i]) / b
		}
	}
}

// deviation is the standard deviation of a·x + b·d over a picture.
func deviation(d, x []float64, a, b float64) float64 {
	n, mean, sum := float64(len(d)), 0.0, 0.0
	for i := range d {
		mean += (a*x[i] + b*d[i]) / n
	}
	for i := range d {
		v := a*x[i] + b*d[i] - mean
		sum += v * v
	}
	return math.Sqrt(sum / n)
}

// CFGPP is Euler's method with CFG++ (Chung et al., arXiv 2406.08070, algorithm 2), a [Sampler]: the step ends at the guided
// estimate, but adds back the noise that uncond sees,
//
//	x' = D + (down/sigma)(x - D_uncond) + up·n,
//
// with down and up as in [EulerAncestral] (Eta 0 is the paper's DDIM). Weights are between 0 and 1 in the paper, about 0.6. d must
// evaluate g.Denoise once per call, alone or in wrappers; g needs PlusPlus. Order 1, one evaluation of both a step. Options:
// Eta, NoiseScale, Noise; churn is ignored.
func (g *Guider) CFGPP(d Denoiser, x0, sigmas []float64, o Options) iter.Seq[State] {
	check("CFGPP", d, x0, sigmas, o)
	if !g.PlusPlus {
		panic("sampler: CFGPP of guidance without PlusPlus")
	}
	return func(yield func(State) bool) {
		x := append([]float64(nil), x0...)
		den := make([]float64, len(x))
		var noise []float64
		for i, sigma := range sigmas[:len(sigmas)-1] {
			next := sigmas[i+1]
			d(den, x, sigma)
			up, down := ancestral(sigma, next, o.Eta)
			r := down / sigma
			for j, y := range den {
				x[j] = y + r*(x[j]-g.last[j])
			}
			if up > 0 {
				addNoise(x, &noise, up*o.NoiseScale, sigma, next, o)
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}
