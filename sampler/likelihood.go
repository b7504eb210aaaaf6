package sampler

import (
	"errors"
	"fmt"
	"math"
)

// Gradient writes D(x; sigma) into dst, as a [Denoiser] does, and into grad, of the same length, J'v, where J is the Jacobian of D at x: the
// gradient of the sum of D·v. x and v must not be changed and no slice kept. Each picture of the batch has its own D, J and v.
type Gradient func(dst, grad, x, v []float64, sigma float64)

// LikelihoodOptions are the settings of [LogLikelihood].
type LikelihoodOptions struct {
	SigmaMin, SigmaMax float64     // the ends of the flow; the density is that of pictures with noise of level SigmaMin
	Tolerance          float64     // of the integration, relative and absolute
	Probes             [][]float64 // random vectors of independent signs ±1 (Hutchinson's estimate); nil: exact, one evaluation a dimension
}

// Validate reports settings that cannot be used for a picture of n numbers.
func (o LikelihoodOptions) Validate(n int) error {
	switch {
	case !(o.SigmaMin > 0 && o.SigmaMax > o.SigmaMin) || math.IsInf(o.SigmaMax, 0):
		return fmt.Errorf("sampler: likelihood between noise levels %v and %v; want 0 < min < max", o.SigmaMin, o.SigmaMax)
	case !(o.Tolerance > 0) || o.Tolerance > 1:
		return fmt.Errorf("sampler: tolerance %v of the likelihood; want a number above 0, at most 1", o.Tolerance)
	}
	for i, p := range o.Probes {
		if len(p) != n {
			return fmt.Errorf("sampler: probe %d has %d numbers for a picture of %d", i, len(p), n)
		}
	}
	return nil
}

// Likelihood is what [LogLikelihood] finds.
type Likelihood struct {
	LogDensity  float64   // natural logarithm of the density of the picture
	StdErr      float64   // standard error of LogDensity over the probes; 0 if exact or if there is one probe
	Evaluations int       // of the Gradient, each on a batch of one picture per probe or dimension
	Latent      []float64 // the state at SigmaMax
}

// LogLikelihood returns the log density of one picture under the probability flow of a denoiser (Song et al., arXiv 2011.13456, section 4.3
// and appendix D.2): the picture is carried from SigmaMin up to SigmaMax, where its density is taken to be that of N(0, SigmaMax²) — as k-diffusion's
// log_likelihood does, without the variance of the data — and the divergence of the flow is integrated along the way. With
// tau = ln sigma as time,
//
//	dx/dtau = x - D,  d log p/dtau = Σ_j (1 - J_jj),
//
// where Σ_j J_jj is estimated by v'J'v for each probe (Hutchinson; Grathwohl et al., arXiv 1810.01367) or is exact. The integrator is Dormand and
// Prince's method of order 5 with steps by the error of the embedded order 4, over x and the integrals alike. An estimate per probe is kept, so that
// their spread gives a standard error. It fails if D is not finite or if the tolerance cannot be reached.
func LogLikelihood(g Gradient, x []float64, o LikelihoodOptions) (Likelihood, error) {
	n := len(x)
	if err := o.Validate(n); err != nil {
		return Likelihood{}, err
	}
	f := newFlow(g, n, o.Probes)
	state := make([]float64, n+len(f.probes)/n)
	copy(state, x)
	if err := dormandPrince(f.slope, state, math.Log(o.SigmaMin), math.Log(o.SigmaMax), o.Tolerance); err != nil {
		return Likelihood{Evaluations: f.evaluations}, err
	}
	r := Likelihood{Evaluations: f.evaluations, Latent: state[:n:n]}
	for _, v := range r.Latent {
		z := v / o.SigmaMax
		r.LogDensity -= z*z/2 + math.Log(o.SigmaMax) + math.Log(2*math.Pi)/2
	}
	gains := state[n:]
	sum := 0.0
	for _, v := range gains {
		sum += v
	}
	if o.Probes == nil {
		r.LogDensity += sum
		return r, nil
	}
	k := float64(len(gains))
	r.LogDensity += sum / k
	if k > 1 {
		sq := 0.0
		for _, v := range gains {
			sq += (v - sum/k) * (v - sum/k)
		}
		r.StdErr = math.Sqrt(sq / (k - 1) / k)
	}
	return r, nil
}

// flow is the right-hand side of LogLikelihood's equation. Its state is a picture followed by one integral per probe; every probe has its
// copy of the picture in the batches that the Gradient is given.
type flow struct {
	g             Gradient
	n             int
	probes        []float64
	x, den, grads []float64
	evaluations   int
}

// newFlow lays the probes out as one batch; without any, they are the unit vectors.
func newFlow(g Gradient, n int, probes [][]float64) *flow {
	count := len(probes)
	if probes == nil {
		count = n
	}
	buf := func() []float64 { return make([]float64, count*n) }
	f := &flow{g: g, n: n, probes: buf(), x: buf(), den: buf(), grads: buf()}
	for i := range count {
		if probes == nil {
			f.probes[i*n+i] = 1
		} else {
			copy(f.probes[i*n:], probes[i])
		}
	}
	return f
}

// slope is d state/d tau.
func (f *flow) slope(dst, state []float64, tau float64) {
	n := f.n
	for i := 0; i < len(f.x); i += n {
		copy(f.x[i:i+n], state)
	}
	f.evaluations++
	f.g(f.den, f.grads, f.x, f.probes, math.Exp(tau))
	for j := range n {
		dst[j] = state[j] - f.den[j]
	}
	for i := n; i < len(dst); i++ {
		sum := 0.0
		for j := (i - n) * n; j < (i-n+1)*n; j++ {
			sum += f.probes[j] * (f.probes[j] - f.grads[j])
		}
		dst[i] = sum
	}
}

// The tableau of Dormand and Prince (1980), RK5(4)7M: nodes, weights of the stages, and weights of the error. The last stage is the next
// step's first.
var (
	dpNodes  = [7]float64{0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1}
	dpStages = [7][]float64{
		{},
		{1. / 5},
		{3. / 40, 9. / 40},
		{44. / 45, -56. / 15, 32. / 9},
		{19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
		{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
		{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
	}
	dpError = [7]float64{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40}
)

// maxIntegrationSteps bounds the attempts of one integration.
const maxIntegrationSteps = 100_000

// dormandPrince carries y from one time to a later one. Errors are root mean squares in units of tol·(1 + |y|).
func dormandPrince(slope func(dst, y []float64, at float64), y []float64, from, to, tol float64) error {
	var k [7][]float64
	for i := range k {
		k[i] = make([]float64, len(y))
	}
	next := make([]float64, len(y))
	now, h := from, (to-from)/100
	slope(k[0], y, now)
	for range maxIntegrationSteps {
		last := now+h >= to
		if last {
			h = to - now
		}
		for s := 1; s < 7; s++ {
			copy(next, y)
			for i, a := range dpStages[s] {
				for j, v := range k[i] {
					next[j] += h * a * v
				}
			}
			slope(k[s], next, now+dpNodes[s]*h)
		}
		err := 0.0
		for j := range y {
			e := 0.0
			for s, w := range dpError {
				e += w * k[s][j]
			}
			e *= h / (tol * (1 + max(math.Abs(y[j]), math.Abs(next[j]))))
			err += e * e
		}
		err = math.Sqrt(err / float64(len(y)))
		switch {
		case math.IsNaN(err) || math.IsInf(err, 0):
			return fmt.Errorf("sampler: the flow is not finite at noise level %.4g", math.Exp(now))
		case err <= 1:
			if now += h; last {
				copy(y, next)
				return nil
			}
			copy(y, next)
			k[0], k[6] = k[6], k[0]
		}
		h *= min(10, max(0.2, 0.9*math.Pow(err, -0.2)))
	}
	return errors.New("sampler: the flow cannot be integrated to the tolerance asked for; try a larger one")
}
