package sampler

import (
	"fmt"
	"iter"
	"math"
)

// AMED is the AMED-Solver of Zhou et al. (arXiv 2312.00094): the direction of a whole step is the slope at one level inside it,
// sigma_m = sigma'^r·sigma^(1-r), scaled by c, with the denoiser told the level a·sigma_m,
//
//	x' = x + c(sigma' - sigma) (x_m - D(x_m; a·sigma_m))/sigma_m,  x_m = x + (sigma_m - sigma) d.
//
// r, c and a are Options.R, ScaleDir and ScaleTime, which the method's predictor network would give; r = 1/2, c = a = 1 are the
// defaults, of order 2. Two evaluations a step, but one in a last step to 0. Its peer ends at the lowest level above 0.
//
// AMEDEuler, AMEDIPNDM, AMEDDPMPP and AMEDDPM2 are the AMED plugin over other methods: every step is split at sigma_m into two of the method's own
// steps, with both outputs in its history; the second step's outputs are scaled by c and its denoiser told a·sigma_m. With r = 1 nothing is left
// for a second step, and the first three are the plain methods. They take the options of
// [IPNDM], [DPMSolver] and [DPM2] besides.
func AMED(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return midpoint("AMED", func(float64) (float64, float64) { return 1, 0 }, d, x, sigmas, o)
}

// AMEDDPM2 is the AMED plugin over [DPM2], which keeps its one step but scales it by c; see [AMED].
func AMEDDPM2(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return midpoint("AMEDDPM2", dpm2Weights, d, x, sigmas, o)
}

// AMEDEuler is the AMED plugin over Euler's method; see [AMED].
func AMEDEuler(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	m := ipndm
	m.name, m.usual, m.max = "AMEDEuler", 1, 1
	return m.sampler(true)(d, x, sigmas, o)
}

// AMEDIPNDM is the AMED plugin over [IPNDM]; see [AMED].
func AMEDIPNDM(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	m := ipndm
	m.name = "AMEDIPNDM"
	return m.sampler(true)(d, x, sigmas, o)
}

// AMEDDPMPP is the AMED plugin over [DPMSolver]; see [AMED].
func AMEDDPMPP(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return dpmMethod("AMEDDPMPP", o).sampler(true)(d, x, sigmas, o)
}

func dpm2Weights(r float64) (mid, start float64) { return 1 / (2 * r), 1 - 1/(2*r) }

// midpoint is the method with the given weights of the slopes at sigma_m and at the start.
func midpoint(name string, weights func(r float64) (mid, start float64), d Denoiser, x0, sigmas []float64, o Options) iter.Seq[State] {
	check(name, d, x0, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x0...)
		den, den2, pred := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		for i, next := range sigmas[1:] {
			sigma := sigmas[i]
			d(den, x, sigma)
			if next == 0 {
				copy(x, den)
			} else {
				r, dir, time := o.split(i)
				mid := between(sigma, next, r)
				a := (mid - sigma) / sigma
				for j, y := range den {
					pred[j] = x[j] + a*(x[j]-y)
				}
				d(den2, pred, time*mid)
				w, v := weights(r)
				w, v = dir*(next-sigma)*w/mid, dir*(next-sigma)*v/sigma
				for j, y := range den {
					x[j] += w*(pred[j]-den2[j]) + v*(x[j]-y)
				}
			}
			if !yield(State{i + 1, next, x, den}) {
				return
			}
		}
	}
}

// between returns the level at the fraction r of the way from sigma to next in ln sigma.
func between(sigma, next, r float64) float64 { return math.Pow(next, r) * math.Pow(sigma, 1-r) }

// split returns r, c and a of step i.
func (o Options) split(i int) (r, dir, time float64) {
	at := func(list []float64) float64 {
		switch len(list) {
		case 0:
			return 1
		case 1:
			return list[0]
		}
		return list[i]
	}
	return o.r(i), at(o.ScaleDir), at(o.ScaleTime)
}

// validateSplit reports values of r, c and a that cannot be meant.
func (o Options) validateSplit() error {
	for _, l := range []struct {
		name   string
		values []float64
		most   float64
	}{{"r", o.R, 1}, {"scale_dir", o.ScaleDir, math.MaxFloat64}, {"scale_time", o.ScaleTime, math.MaxFloat64}} {
		for _, v := range l.values {
			if !(v > 0 && v <= l.most) {
				return fmt.Errorf("sampler: option %s has the value %v; it must be above 0 and at most %.3g", l.name, v, l.most)
			}
		}
	}
	return nil
}
