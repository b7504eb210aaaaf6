package kernel

import (
	"fmt"
	"slices"
)

// A Packed holds the weights of a convolution in the order in which the kernels of its precision and of the level in use read them, for
// any number of calls.
type Packed struct {
	g      Conv
	level  Level
	strips *panels     // what float32 kernels read, or
	tiles  *amxWeights // what tiles read
}

// PackConv packs the weights w (KH×KW×Cin×Cout) for calls of ConvForwardPacked with g.Precision. They take over the memory of w if they fit into
// it, as they do where channels are a multiple of 32, and w holds nothing of use any more. It returns nil, and leaves w alone, if kernels
// would read w as it is.
func PackConv(w []float32, g Conv) *Packed {
	s := g.shape("PackConv")
	g.need("PackConv", "w", w, s.weights())
	w = w[:s.weights()]
	p := &Packed{g: g, level: Current()}
	if g.Precision.tiled() {
		b := borrowWeights(s.kh, s.kw, s.cin, s.cout, g.Precision)
		defer b.release()
		b.fill(w, false)
		own := *b
		own.data, own.borrowed = bf16Of(keep(b.borrowed.f, w))[:len(b.data)], scratch{}
		p.tiles = &own
		return p
	}
	if g.Precision == BFloat16 {
		roundBF16(w, w)
	} else if s.cout <= shortRow {
		return nil
	}
	t := currentTiler()
	p.strips = t.newPanels(s.kh*s.kw*s.cin, s.cout, 0)
	p.strips.fillAll(w, s.cout, false)
	buf := p.strips.buf
	defer buf.release()
	p.strips.buf = scratch{f: keep(buf.f[:p.strips.count*p.strips.k*t.nr], w)}
	return p
}

// keep moves s into w, or a new slice if w is too short, and returns it.
func keep(s, w []float32) []float32 {
	if len(s) > len(w) {
		return slices.Clone(s)
	}
	return w[:copy(w, s)]
}

// check panics unless p holds weights for g.
func (p *Packed) check(g Conv) {
	if p.g.Cin != g.Cin || p.g.Cout != g.Cout || p.g.KH != g.KH || p.g.KW != g.KW || p.g.Precision != g.Precision || p.level != Current() {
		panic(fmt.Sprintf("kernel: ConvForward: weights packed at level %v for %+v, used at level %v for %+v", p.level, p.g, Current(), g))
	}
}
