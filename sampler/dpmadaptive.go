package sampler

import (
	"errors"
	"iter"
	"math"
)

// Tolerance is what an adaptive solver chooses its steps by. It starts with a step of First and multiplies each by what a controller
// with a proportional, an integral and a derivative part makes of the last three errors.
type Tolerance struct {
	Relative float64 `json:"rtol"`   // allowed error of a step, as a share of each number of the state
	Absolute float64 `json:"atol"`   // allowed error where that is less
	First    float64 `json:"h_init"` // length of the first step in ln sigma
	P        float64 `json:"pcoeff"` // the controller's coefficients
	I        float64 `json:"icoeff"`
	D        float64 `json:"dcoeff"`
}

// DefaultTolerance returns k-diffusion's settings: relative 0.05, absolute 0.0078 (1/128 of a picture's range from -1 to
// 1 in 256 levels), a first step of 0.05, and a controller that is purely integral.
func DefaultTolerance() Tolerance {
	return Tolerance{Relative: 0.05, Absolute: 0.0078, First: 0.05, I: 1}
}

// Validate reports a tolerance that no step could meet or that gives no first step.
func (t Tolerance) Validate() error {
	if !(t.Relative >= 0 && t.Absolute >= 0 && t.Relative+t.Absolute > 0) {
		return errors.New("sampler: rtol and atol must not be negative, and one of them must be above 0")
	}
	if !(t.First > 0) {
		return errors.New("sampler: h_init must be above 0")
	}
	return nil
}

// Attempt is one step that an adaptive solver tried.
type Attempt struct {
	From, To float64 // the levels
	Error    float64 // estimated error in units of the tolerance
	Next     float64 // length in ln sigma of the step that the controller proposes next
	Accepted bool
}

// acceptSafety is the factor on the step below which the controller rejects it.
const acceptSafety = 0.81

// maxAdaptiveSteps bounds the steps of a run, whatever the tolerance: none is shorter than the range divided by it.
const maxAdaptiveSteps = 100_000

// DPMAdaptive is k-diffusion's "dpm_adaptive": DPM-Solver-12 or -23 (Lu et al., arXiv 2206.00927, appendix) from sigmas[0] to the last
// positive level, with steps as long as the estimated error allows (see [Info.OwnLevels]); if the list ends in 0, a last step becomes D.
// The levels between the ends have no effect. [Options.Adaptive] are its settings, [Options.Attempt] is told how it goes. Order, 2 or
// 3 (the default), is that of the result; the order below estimates the error,
//
//	error = sqrt(mean(((low - high)/max(atol, rtol·max(|low|, |low_prev|)))²)).
//
// The mean is taken over the whole of x: pictures that are solved together share their steps, so that one picture depends on the others (see
// [Info.Adaptive]). Each attempt takes Order evaluations, one less after a rejected one, whose first stands (the peer repeats it).
// Steps count accepted attempts. So that a run ends, a step is accepted in any case if it is as short as a 100000th of the range; after
// an error that is not a number, one step leads to the end.
//
// Eta > 0 steps down to sigma_down as [EulerAncestral] does, but not below the last level, and adds noise for the rest, which is drawn for
// accepted steps only. Options: Order, Adaptive, Attempt, Eta, NoiseScale, Noise.
func DPMAdaptive(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMAdaptive", d, x, sigmas, o)
	order := o.orderUpTo("DPMAdaptive", 3, 3)
	if order < 2 {
		panic("DPMAdaptive: order 1 has no lower order to estimate its error by")
	}
	if err := o.Adaptive.Validate(); err != nil {
		panic("DPMAdaptive: " + err.Error())
	}
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		s := newDPMSolver(d, len(x))
		low, high := make([]float64, len(x)), make([]float64, len(x))
		lowPrev := append([]float64(nil), x...)
		var noise []float64
		c := newController(o, order)
		from, last := sigmas[0], lastPositive(sigmas)
		now, end := -math.Log(from), -math.Log(last) // the controller's time
		shortest := (end - now) / maxAdaptiveSteps
		step, fresh := 0, false
		for now < end-1e-5 {
			length := max(c.h, shortest)
			c.h = length
			then, to := now+length, math.Exp(-now-length)
			if then >= end {
				then, to = end, last
			}
			_, down := ancestral(from, to, o.Eta)
			down = max(down, last)
			if !fresh {
				s.begin(x, from)
			}
			s.pair(low, high, x, down, order)
			a := Attempt{From: from, To: to, Error: scaledError(low, high, lowPrev, o.Adaptive)}
			a.Accepted = c.propose(a.Error) || length <= shortest
			a.Next = c.h
			if o.Attempt != nil {
				o.Attempt(a)
			}
			fresh = !a.Accepted
			if fresh {
				continue
			}
			copy(lowPrev, low)
			copy(x, high)
			if down < to {
				addNoise(x, &noise, math.Sqrt(to*to-down*down)*o.NoiseScale, from, to, o)
			}
			now, from = then, to
			step++
			if !yield(State{step, to, x, s.den}) {
				return
			}
		}
		if sigmas[len(sigmas)-1] == 0 {
			s.begin(x, from)
			copy(x, s.den)
			yield(State{step + 1, 0, x, s.den})
		}
	}
}

// pair takes one step with the given order and with the one below.
func (s *dpmSolver) pair(low, high, x []float64, to float64, order int) {
	if order == 2 {
		s.first(low, x, to)
		s.probe(x, to, 0.5)
		s.second(high, x, to, 0.5)
		return
	}
	s.probe(x, to, 1./3)
	s.second(low, x, to, 1./3)
	s.third(high, x, to)
}

// scaledError is the root of the mean square of the difference of two results, in units of the tolerance.
func scaledError(low, high, lowPrev []float64, t Tolerance) float64 {
	sum := 0.0
	for j, v := range low {
		if diff := v - high[j]; diff != 0 {
			diff /= max(t.Absolute, t.Relative*max(math.Abs(v), math.Abs(lowPrev[j])))
			sum += diff * diff
		}
	}
	return math.Sqrt(sum / float64(len(low)))
}

// A controller proposes the length h of the next step (Söderlind's digital filters, as k-diffusion has them).
type controller struct {
	h          float64
	b          [3]float64 // exponents of the present and the last two inverse errors
	inverse    [3]float64
	hasHistory bool
}

func newController(o Options, order int) *controller {
	t, p := o.Adaptive, float64(order)
	if o.Eta > 0 {
		p = 1.5
	}
	return &controller{h: t.First, b: [3]float64{(t.P + t.I + t.D) / p, -(t.P + 2*t.D) / p, t.D / p}}
}

// propose updates h after a step with the given error and says whether the step should be kept.
func (c *controller) propose(err float64) bool {
	if math.IsNaN(err) { // no step will mend it: on to the end
		c.h = math.Inf(1)
		return true
	}
	c.inverse[0] = 1 / (err + 1e-8)
	if !c.hasHistory {
		c.inverse[1], c.inverse[2], c.hasHistory = c.inverse[0], c.inverse[0], true
	}
	factor := 1.0
	for i, b := range c.b {
		factor *= math.Pow(c.inverse[i], b)
	}
	if factor = 1 + math.Atan(factor-1); math.IsNaN(factor) { // 0·∞ of extreme coefficients
		factor = 0.5
	}
	accept := factor >= acceptSafety
	if accept {
		c.inverse[2], c.inverse[1] = c.inverse[1], c.inverse[0]
	}
	c.h *= factor
	return accept
}
