package sampler

import (
	"fmt"
	"iter"
	"math"
)

// Variants of [PNDM]: how it starts.
const (
	pndmPLMS = "plms"
	pndmPRK  = "prk"
)

// PNDM is the pseudo linear multistep method of Liu et al. (arXiv 2202.09778): the Adams-Bashforth weights of order 4 for equal
// steps on the slopes d = (x - D)/sigma, as in [IPNDM] but with another start. Its transfer of eq. 9 is [DDIM]'s step.
//
// Variant "plms" (the default, diffusers' skip_prk_steps) takes the first step by Heun's method, the second by order 2, the third by 3: one
// evaluation a step and one more for the first. Variant "prk" takes three steps by the classical Runge-Kutta method, four evaluations each,
// whose middle is at the geometric mean of the levels; [PNDMOver] puts it elsewhere. A last step to 0 has no special treatment in plms and,
// within the first three, is Euler's in prk. On unequal steps it keeps order 2. Options: Variant.
func PNDM(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return PNDMOver(func(sigma, next float64) (first, mid float64) {
		mid = between(sigma, next, 0.5)
		return mid, mid
	})(d, x, sigmas, o)
}

// PNDMOver returns [PNDM] whose Runge-Kutta steps from sigma to next have their middle at the level mid; diffusers' is half-way in training
// steps. The first stage goes to the level first, whose variance preserving state x/sqrt(1+sigma²) counts as that of mid: in diffusers one
// training step above it where the stride is odd.
func PNDMOver(middle func(sigma, next float64) (first, mid float64)) Sampler {
	return func(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
		check("PNDM", d, x, sigmas, o)
		if o.Variant != "" && o.Variant != pndmPLMS && o.Variant != pndmPRK {
			panic(fmt.Sprintf("sampler: PNDM has no variant %q", o.Variant))
		}
		return func(yield func(State) bool) {
			p := pndm{d: d, past: newHistory(maxOutputs, len(x)), x: append([]float64(nil), x...)}
			for _, b := range []*[]float64{&p.den, &p.den2, &p.sum, &p.stage, &p.slope} {
				*b = make([]float64, len(x))
			}
			for i, next := range sigmas[1:] {
				sigma := sigmas[i]
				switch {
				case i < 3 && o.Variant == pndmPRK:
					p.rungeKutta(sigma, next, middle)
				case i == 0:
					p.heun(sigma, next)
				default:
					p.adams(sigma, next)
				}
				if !yield(State{i + 1, next, p.x, p.den}) {
					return
				}
			}
		}
	}
}

// pndm is a run of [PNDM].
type pndm struct {
	d                       Denoiser
	past                    *history
	x, den                  []float64 // the state; D at the start of the step
	den2, sum, stage, slope []float64 // scratch space
}

// first evaluates D and the slope at the start of a step, which is kept.
func (p *pndm) first(sigma float64) []float64 {
	p.d(p.den, p.x, sigma)
	out := p.past.push(sigma)
	for j, y := range p.den {
		out[j] = (p.x[j] - y) / sigma
	}
	return out
}

func (p *pndm) adams(sigma, next float64) {
	p.first(sigma)
	n := p.past.n
	l := linear{}
	weighAdams(&l, []float64{next, sigma, 0, 0, 0}[:n+1], Options{})
	l.apply(p.x, p.x, p.past.m[:n], 1)
}

// heun takes the first step of plms. The slope at its end counts only here: the next step evaluates anew.
func (p *pndm) heun(sigma, next float64) {
	slope := p.first(sigma)
	h := next - sigma
	if next == 0 {
		copy(p.x, p.den)
		return
	}
	p.stageAt(slope, h, next)
	for j := range p.x {
		p.x[j] += h * (slope[j] + p.slope[j]) / 2
	}
}

// stageAt sets p.slope to the slope at x + h·slope, where the level is sigma.
func (p *pndm) stageAt(slope []float64, h, sigma float64) { p.stageScaled(slope, h, sigma, 1) }

// stageScaled is stageAt for that state times a factor.
func (p *pndm) stageScaled(slope []float64, h, sigma, factor float64) {
	for j, v := range slope {
		p.stage[j] = factor * (p.x[j] + h*v)
	}
	p.d(p.den2, p.stage, sigma)
	for j, y := range p.den2 {
		p.slope[j] = (p.stage[j] - y) / sigma
	}
}

func (p *pndm) rungeKutta(sigma, next float64, middle func(sigma, next float64) (first, mid float64)) {
	slope := p.first(sigma)
	if next == 0 {
		copy(p.x, p.den)
		return
	}
	first, mid := middle(sigma, next)
	copy(p.sum, slope)
	for _, stage := range []struct{ to, at, weight float64 }{{first, mid, 2}, {mid, mid, 2}, {next, next, 1}} {
		p.stageScaled(slope, stage.to-sigma, stage.at, math.Hypot(1, stage.at)/math.Hypot(1, stage.to))
		slope = p.slope
		for j, v := range slope {
			p.sum[j] += stage.weight * v
		}
	}
	for j, v := range p.sum {
		p.x[j] += (next - sigma) / 6 * v
	}
}
