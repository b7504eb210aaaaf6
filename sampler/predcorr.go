package sampler

import "iter"

// A corrector is a predictor-corrector method whose corrector costs no evaluation: the output at the predicted state corrects that state
// and then stays in the history. The solver yields corrected states; the denoiser sees the predicted ones.
type corrector struct {
	method // weigh is the predictor

	// correct fills in the step from a level again, now with the output at its own end: at[0] is the level where it ends, which is also that
	// of m[0]. As many outputs as the corrector's order are used, and one more with extra.
	correct func(l *linear, at []float64, from float64, o Options)
	orders  func(i, n int, o Options) (predict, correct int)
	extra   int
	eta     func(sigma float64, o Options) float64 // Eta of a step that begins at sigma
}

func (c corrector) sampler() Sampler {
	return func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
		check(c.name, d, x, sigmas, o)
		o = c.options(o)
		return func(yield func(State) bool) { c.run(yield, d, x, sigmas, o) }
	}
}

func (c corrector) run(yield func(State) bool, d Denoiser, x0, sigmas []float64, o Options) {
	x, pred := append([]float64(nil), x0...), make([]float64, len(x0))
	past := newHistory(maxOutputs, len(x))
	dens := [2][]float64{make([]float64, len(x)), make([]float64, len(x))}
	var noise []float64
	at := make([]float64, 0, maxOutputs+1)
	n := len(sigmas) - 1
	c.evaluate(d, dens[0], x, sigmas[0], past)
	for i := range n {
		next := sigmas[i+1]
		shown, den := dens[i%2], dens[(i+1)%2]
		if next == 0 {
			yield(State{i + 1, 0, shown, shown})
			return
		}
		step := o
		step.Eta = c.eta(sigmas[i], o)
		p, q := c.orders(i, n, o)
		at = append(append(at[:0], next), past.at[:p]...)
		var l linear
		c.weigh(&l, at, step)
		l.apply(pred, x, past.m[:p], 1)
		if l.noise > 0 {
			addNoise(pred, &noise, l.noise*o.NoiseScale, sigmas[i], next, o)
		}
		if i == n-1 {
			yield(State{n, next, pred, shown})
			return
		}
		c.evaluate(d, den, pred, next, past)
		if i < o.Uncorrected {
			x, pred = pred, x
		} else {
			at = append(append(at[:0], next), past.at[1:q+c.extra]...)
			var l linear
			c.correct(&l, at, sigmas[i], step)
			l.apply(x, x, past.m[:q+c.extra], 1)
			if s := l.noise * o.NoiseScale; s > 0 { // the predictor's draw again
				for j, v := range noise {
					x[j] += s * v
				}
			}
		}
		if !yield(State{i + 1, next, x, shown}) {
			return
		}
	}
}

// evaluate puts D into den and the output into the history.
func (c corrector) evaluate(d Denoiser, den, x []float64, sigma float64, past *history) {
	d(den, x, sigma)
	out := past.push(sigma)
	if !c.slopes {
		copy(out, den)
		return
	}
	for j, y := range den {
		out[j] = (x[j] - y) / sigma
	}
}
