package sampler

import (
	"fmt"
	"iter"
	"slices"
)

// A method is a linear multistep method: a step is a weighted sum of the state and of the model's last outputs,
//
//	x' = scale·x + dir·Σ weights[k]·m[k] + noise·n,
//
// m[0] the newest. Solvers differ in what they keep as outputs and in the weights.
type method struct {
	name     string
	usual    int      // Options.Order if 0
	max      int      // largest order
	variants []string // values of Options.Variant, the default first
	final    string   // Options.Final if ""
	slopes   bool     // the outputs are the slopes d = (x - D)/sigma, else D
	single   bool     // steps of higher order start from the state at their oldest output; see [DPMSolverSinglestep]

	// weigh fills in a step: at[0] is the level it ends at, at[1] that of the newest output, at[2] of the one before, and so on; as
	// many outputs as the order are used. The ends are above 0.
	weigh func(l *linear, at []float64, o Options)
}

// maxOutputs is the largest number of outputs in one step.
const maxOutputs = 4

// linear is one step of a [method].
type linear struct {
	scale   float64
	weights [maxOutputs]float64
	noise   float64
}

// apply sets dst = scale·x + dir·Σ weights[k]·m[k] over all of m, in one pass; dst may be x.
func (l *linear) apply(dst, x []float64, m [][]float64, dir float64) {
	a, w := l.scale, l.weights
	for k := range w {
		w[k] *= dir
	}
	switch dst = dst[:len(x)]; len(m) {
	case 1:
		for j, p := range m[0] {
			dst[j] = a*x[j] + w[0]*p
		}
	case 2:
		q := m[1]
		for j, p := range m[0] {
			dst[j] = a*x[j] + (w[0]*p + w[1]*q[j])
		}
	case 3:
		q, r := m[1], m[2]
		for j, p := range m[0] {
			dst[j] = a*x[j] + (w[0]*p + w[1]*q[j] + w[2]*r[j])
		}
	case 4:
		q, r, s := m[1], m[2], m[3]
		for j, p := range m[0] {
			dst[j] = a*x[j] + (w[0]*p + w[1]*q[j] + w[2]*r[j] + w[3]*s[j])
		}
	default:
		panic(fmt.Sprintf("sampler: a step over %d outputs", len(m)))
	}
}

// A leg is one evaluation and the way that follows it. Without a plugin every step has one.
type leg struct {
	from, to float64 // noise levels of the state
	at       float64 // level given to the denoiser
	dir      float64 // factor on what the outputs contribute
	ends     bool    // whether a step ends here
}

// legs splits the steps for the AMED plugin (see [AMED]) if split is set. A step to 0 stays whole, and so does one that has no level inside:
// r is 1, or the ends are neighbouring numbers.
func legs(sigmas []float64, o Options, split bool) []leg {
	var list []leg
	for i, next := range sigmas[1:] {
		s := sigmas[i]
		if !split || next == 0 {
			list = append(list, leg{s, next, s, 1, true})
			continue
		}
		r, dir, time := o.split(i)
		mid := between(s, next, r)
		if !(next < mid && mid < s) {
			list = append(list, leg{s, next, s, 1, true})
			continue
		}
		list = append(list, leg{s, mid, s, 1, false}, leg{mid, next, time * mid, dir, true})
	}
	return list
}

// history keeps the last outputs of the model and their levels, newest first.
type history struct {
	m  [][]float64
	at []float64
	n  int // how many there are
}

func newHistory(size, length int) *history {
	h := &history{m: make([][]float64, size), at: make([]float64, size)}
	for i := range h.m {
		h.m[i] = make([]float64, length)
	}
	return h
}

// push makes room for an output at level sigma and returns its buffer, that of the oldest.
func (h *history) push(sigma float64) []float64 {
	last := len(h.m) - 1
	buf := h.m[last]
	copy(h.m[1:], h.m[:last])
	copy(h.at[1:], h.at[:last])
	h.m[0], h.at[0] = buf, sigma
	h.n = min(h.n+1, len(h.m))
	return buf
}

// sampler returns m as a solver; split is the AMED plugin.
func (m method) sampler(split bool) Sampler {
	return func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
		check(m.name, d, x, sigmas, o)
		o = m.options(o)
		return func(yield func(State) bool) { m.run(yield, d, x, legs(sigmas, o, split), o) }
	}
}

// options fills in what was left open and panics on what m does not have.
func (m method) options(o Options) Options {
	if o.Order == 0 {
		o.Order = m.usual
	}
	if o.Variant == "" && m.variants != nil {
		o.Variant = m.variants[0]
	}
	if o.Final == "" {
		o.Final = m.final
	}
	if o.Order > m.max || m.variants != nil && !slices.Contains(m.variants, o.Variant) {
		panic(fmt.Sprintf("sampler: %s has no order %d with variant %q", m.name, o.Order, o.Variant))
	}
	return o
}

func (m method) run(yield func(State) bool, d Denoiser, x0 []float64, way []leg, o Options) {
	x := append([]float64(nil), x0...)
	past := newHistory(max(2, o.Order), len(x)) // 2, so that what a state shows outlives the second leg
	var dens [2][]float64                       // with slopes, where D goes
	if m.slopes {
		dens = [2][]float64{make([]float64, len(x)), make([]float64, len(x))}
	}
	var base, den, noise []float64
	if m.single {
		base = make([]float64, len(x))
	}
	at := make([]float64, 0, maxOutputs+1)
	step := 0
	var shown []float64 // D at the start of the step
	for i, g := range way {
		out := past.push(g.from)
		if m.slopes {
			den = dens[i%2]
			d(den, x, g.at)
			for j, y := range den {
				out[j] = (x[j] - y) / g.from
			}
		} else {
			den = out
			d(den, x, g.at)
		}
		if i == 0 || way[i-1].ends {
			shown = den
		}
		if g.to == 0 {
			copy(x, den)
		} else {
			p := m.order(i, len(way), o)
			src := x
			if m.single {
				if p == 1 {
					copy(base, x)
				}
				src = base
			}
			at = append(append(at[:0], g.to), past.at[:p]...)
			var l linear
			m.weigh(&l, at, o)
			l.apply(x, src, past.m[:p], g.dir)
			if l.noise > 0 {
				addNoise(x, &noise, l.noise*o.NoiseScale, g.from, g.to, o)
			}
		}
		if !g.ends {
			continue
		}
		step++
		if !yield(State{step, g.to, x, shown}) {
			return
		}
	}
}

// order returns the order of step i of n.
func (m method) order(i, n int, o Options) int {
	if m.single {
		return singlestepOrder(i, n, o)
	}
	return lowered(i, n, o.Order, o.Final)
}

// The values of [Options.Final]: what multistep solvers do towards the end, where a large last step in ln sigma makes high
// orders unstable. A step to 0 is always "x becomes denoised".
const (
	FinalFull  = "full"  // the full order to the end
	FinalLower = "lower" // no order above the number of steps left, so 1 at the end (lower_order_final of diff-sampler, UniPC, SA-Solver)
	FinalFew   = "few"   // the same, but only in runs of fewer than 15 steps (lower_order_final of diffusers' DPM-Solver and DEIS)
	FinalEuler = "euler" // order 1 in the last step only (euler_at_final of diffusers)
)

var finals = []string{FinalFull, FinalLower, FinalFew, FinalEuler}

// lowered returns the order of step i of n: at most top, at most the number of outputs that exist, and lowered at the end. Like
// the peers, FinalLower does not lower an order that is still rising.
func lowered(i, n, top int, final string) int {
	left := n - i
	switch final {
	case FinalLower:
		if i+1 >= top {
			top = min(top, left)
		}
	case FinalFew:
		if n < 15 {
			top = min(top, left)
		}
	case FinalEuler:
		if left == 1 {
			return 1
		}
	}
	return min(top, i+1)
}
