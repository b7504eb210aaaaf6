package train

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
	"diffuse/tensor"
)

// An Optimizer is Adam (Kingma & Ba 2015, algorithm 1, with torch's placing of eps) over the weights of one network, and
// the exponential moving average of those weights. All slices run over the network's parameters in their order.
type Optimizer struct {
	Beta1, Beta2, Eps float64

	Names   []string
	Weights []*tensor.Tensor // the network's own tensors
	EMA     []*tensor.Tensor // the averaged network's own tensors; nil: no average is kept
	M, V    [][]float32      // Adam's moments, zero at first
	Steps   int64            // updates done, Adam's t

	chunks []chunk   // the weights cut into pieces of work
	sums   []float64 // one partial sum per chunk
}

// A chunk is elements [from, to) of parameter i.
type chunk struct{ i, from, to int }

// chunkSize bounds a chunk: four such pieces of float32 still fit a core's second-level cache. The cuts, and with them the
// order in which norms are summed, do not depend on the number of threads.
const chunkSize = 1 << 15

// NewOptimizer returns an Optimizer for net's weights with o's Beta1, Beta2 and Eps. ema, if it is not nil, must have
// parameters of the same names and shapes in memory of its own; they become a copy of net's.
func NewOptimizer(net, ema Weighted, o Options) (*Optimizer, error) {
	p := &Optimizer{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps}
	p.Names, p.Weights = params(net)
	seen := make(map[string]bool, len(p.Names))
	for i, w := range p.Weights {
		if seen[p.Names[i]] {
			return nil, fmt.Errorf("two parameters are called %q", p.Names[i])
		}
		seen[p.Names[i]] = true
		p.M = append(p.M, make([]float32, len(w.Data)))
		p.V = append(p.V, make([]float32, len(w.Data)))
		for from := 0; from < len(w.Data); from += chunkSize {
			p.chunks = append(p.chunks, chunk{i, from, min(from+chunkSize, len(w.Data))})
		}
	}
	if len(p.chunks) == 0 {
		return nil, fmt.Errorf("the network has no parameters")
	}
	p.sums = make([]float64, len(p.chunks))
	if ema != nil {
		names, values := params(ema)
		if err := sameParams(p.Names, p.Weights, names, values); err != nil {
			return nil, fmt.Errorf("the network and its average differ: %w", err)
		}
		for i, w := range p.Weights {
			copy(values[i].Data, w.Data)
		}
		p.EMA = values
	}
	return p, nil
}

// Norm returns the L2 norm of a whole set of values that has the weights' sizes, such as a gradient, and if
// that is not finite the index of the first parameter with a NaN or an infinite value, otherwise -1.
func (p *Optimizer) Norm(values [][]float32) (norm float64, bad int) {
	kernel.For(len(p.chunks), 1, func(c0, c1 int) {
		for c := c0; c < c1; c++ {
			k := p.chunks[c]
			p.sums[c] = kernel.SumSquares(values[k.i][k.from:k.to])
		}
	})
	var sum float64
	for c, s := range p.sums {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return s, p.chunks[c].i
		}
		sum += s
	}
	return math.Sqrt(sum), -1
}

// Sum adds parts, gradients of the weights' sizes, to total in their order: the sum does not depend on who finished when.
func (p *Optimizer) Sum(total [][]float32, parts [][][]float32) {
	kernel.For(len(p.chunks), 1, func(c0, c1 int) {
		for _, k := range p.chunks[c0:c1] {
			for _, part := range parts {
				kernel.Axpy(total[k.i][k.from:k.to], 1, part[k.i][k.from:k.to])
			}
		}
	})
}

// Data returns the values of the weights, for Norm.
func (p *Optimizer) Data() [][]float32 {
	data := make([][]float32, len(p.Weights))
	for i, w := range p.Weights {
		data[i] = w.Data
	}
	return data
}

// Forget makes the moments those of the first step: what follows minimises something else.
func (p *Optimizer) Forget() {
	for i := range p.M {
		clear(p.M[i])
		clear(p.V[i])
	}
	p.Steps = 0
}

// Step updates the weights with rate lr from the gradient (one slice of the parameter's size per parameter; overwritten if
// scale is not 1) times scale, then the average: ema = weights + emaBeta·(ema − weights).
func (p *Optimizer) Step(grad [][]float32, lr, scale, emaBeta float64) {
	p.Steps++
	o := kernel.Adam{
		LR: float32(lr), Beta1: float32(p.Beta1), Beta2: float32(p.Beta2), Eps: float32(p.Eps),
		Correction1: float32(1 - math.Pow(p.Beta1, float64(p.Steps))),
		Correction2: float32(1 - math.Pow(p.Beta2, float64(p.Steps))),
	}
	kernel.For(len(p.chunks), 1, func(c0, c1 int) {
		for _, k := range p.chunks[c0:c1] {
			g := grad[k.i][k.from:k.to]
			if scale != 1 {
				kernel.ScaleTo(g, float32(scale), g)
			}
			w := p.Weights[k.i].Data[k.from:k.to]
			kernel.AdamStep(w, p.M[k.i][k.from:k.to], p.V[k.i][k.from:k.to], g, o)
			if p.EMA != nil {
				kernel.Lerp(p.EMA[k.i].Data[k.from:k.to], w, float32(emaBeta))
			}
		}
	})
}
