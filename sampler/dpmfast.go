package sampler

import (
	"iter"
	"math"
)

// DPMFast is k-diffusion's "dpm_fast", DPM-Solver-fast (Lu et al., arXiv 2206.00927, section 3.4 and appendix): for a number
// of evaluations instead of steps, it takes levels of its own, evenly spaced in ln sigma from sigmas[0] to the last positive one
// (see [Info.OwnLevels]), with steps of order 3 and at the end one or two of lower order. n+1 levels are n evaluations, whatever stands
// between their ends. If the list ends in 0, one of the n is a last step that becomes D, a step that the peer leaves to its caller.
//
// With m evaluations for the positive levels there are floor(m/3) + 1 steps, of the orders 3, …, 3, 2, 1 if 3 divides m and
// 3, …, 3, m mod 3 if not. Since the last step of order 1 or 2 is as long as the others, the whole is of order 2 only, 3 where
// m mod 3 = 2.
//
// Eta > 0 steps down to sigma_down as [EulerAncestral] does, but not below the last level, and adds noise for the rest; nothing is
// drawn in the last step, where that leaves none. Options: Eta, NoiseScale, Noise.
func DPMFast(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	check("DPMFast", d, x, sigmas, o)
	return func(yield func(State) bool) {
		x := append([]float64(nil), x...)
		s := newDPMSolver(d, len(x))
		var noise []float64
		end, evaluations := lastPositive(sigmas), len(sigmas)-1
		if sigmas[evaluations] == 0 {
			evaluations--
		}
		orders := fastOrders(evaluations)
		sigma, step := sigmas[0], 0
		for i, order := range orders {
			next := end
			if i+1 < len(orders) {
				next = sigmas[0] * math.Pow(end/sigmas[0], float64(i+1)/float64(len(orders)))
			}
			_, down := ancestral(sigma, next, o.Eta)
			down = max(down, end)
			s.begin(x, sigma)
			switch order {
			case 1:
				s.first(x, x, down)
			case 2:
				s.probe(x, down, 0.5)
				s.second(x, x, down, 0.5)
			case 3:
				s.probe(x, down, 1./3)
				s.third(x, x, down)
			}
			if down < next {
				addNoise(x, &noise, math.Sqrt(next*next-down*down)*o.NoiseScale, sigma, next, o)
			}
			sigma = next
			step++
			if !yield(State{step, sigma, x, s.den}) {
				return
			}
		}
		if sigmas[len(sigmas)-1] == 0 {
			s.begin(x, sigma)
			copy(x, s.den)
			yield(State{step + 1, 0, x, s.den})
		}
	}
}

// fastOrders returns the orders of DPM-Solver-fast's steps, which sum to the number of evaluations.
func fastOrders(evaluations int) []int {
	var orders []int
	for ; evaluations > 3; evaluations -= 3 {
		orders = append(orders, 3)
	}
	switch evaluations {
	case 3:
		return append(orders, 2, 1)
	case 0:
		return nil
	}
	return append(orders, evaluations)
}

// lastPositive returns the level at which a solver that cannot step to 0 in ln sigma ends.
func lastPositive(sigmas []float64) float64 {
	if n := len(sigmas); sigmas[n-1] == 0 {
		return sigmas[n-2]
	}
	return sigmas[len(sigmas)-1]
}

// A dpmSolver takes single steps of DPM-Solver (Lu et al., arXiv 2206.00927, algorithms 1 and 2), which integrate the
// linear part of the probability flow exactly and speak of the noise estimate eps = (x - D)/sigma. In a step from one level to
// another, h = ln(from/to), s(r) = from·exp(-r·h) and E(r) = exp(r·h) - 1:
//
//	order 1: x1 = x - to·E(1)·eps
//	order 2: u = x - s(r)·E(r)·eps,  x2 = x1 - to/(2r)·E(1)·(eps(u; s(r)) - eps)
//	order 3: u with r = 1/3,  v = x - s(2/3)·E(2/3)·eps - 2·s(2/3)·(E(2/3)/(2h/3) - 1)·(eps(u; s(1/3)) - eps),
//	         x3 = x1 - 3/2·to·(E(1)/h - 1)·(eps(v; s(2/3)) - eps).
//
// Orders 2 and 3 share their evaluation at u. dst may be x.
type dpmSolver struct {
	d          Denoiser
	from       float64
	den, eps   []float64 // at the start of the step
	inner, u   []float64
	eps1, eps2 []float64 // at u and at v
}

func newDPMSolver(d Denoiser, n int) *dpmSolver {
	buf := func() []float64 { return make([]float64, n) }
	return &dpmSolver{d: d, den: buf(), eps: buf(), inner: buf(), u: buf(), eps1: buf(), eps2: buf()}
}

// begin evaluates at the start of a step.
func (s *dpmSolver) begin(x []float64, from float64) {
	s.from = from
	s.d(s.den, x, from)
	for j, v := range x {
		s.eps[j] = (v - s.den[j]) / from
	}
}

// estimate writes the noise estimate at u into dst.
func (s *dpmSolver) estimate(dst []float64, sigma float64) {
	s.d(s.inner, s.u, sigma)
	for j, v := range s.u {
		dst[j] = (v - s.inner[j]) / sigma
	}
}

func (s *dpmSolver) first(dst, x []float64, to float64) {
	c := to * math.Expm1(math.Log(s.from/to))
	for j, v := range x {
		dst[j] = v - c*s.eps[j]
	}
}

// probe evaluates at u, at the share r of the step.
func (s *dpmSolver) probe(x []float64, to, r float64) {
	h := math.Log(s.from / to)
	mid := s.from * math.Exp(-r*h)
	c := mid * math.Expm1(r*h)
	for j, v := range x {
		s.u[j] = v - c*s.eps[j]
	}
	s.estimate(s.eps1, mid)
}

func (s *dpmSolver) second(dst, x []float64, to, r float64) {
	c := to * math.Expm1(math.Log(s.from/to))
	for j, v := range x {
		dst[j] = v - c*s.eps[j] - c/(2*r)*(s.eps1[j]-s.eps[j])
	}
}

// third needs a probe at 1/3.
func (s *dpmSolver) third(dst, x []float64, to float64) {
	h := math.Log(s.from / to)
	mid, e := s.from*math.Exp(-2./3*h), math.Expm1(2./3*h)
	c, c1 := mid*e, 2*mid*(e/(2./3*h)-1)
	for j, v := range x {
		s.u[j] = v - c*s.eps[j] - c1*(s.eps1[j]-s.eps[j])
	}
	s.estimate(s.eps2, mid)
	e = math.Expm1(h)
	c, c1 = to*e, 1.5*to*(e/h-1)
	for j, v := range x {
		dst[j] = v - c*s.eps[j] - c1*(s.eps2[j]-s.eps[j])
	}
}
