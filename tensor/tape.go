package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// A Tape records operations so that they can be differentiated with respect
// to the tensors named in [NewTape]. A nil *Tape records nothing. A tape
// belongs to one goroutine and serves one forward and one backward pass.
type Tape struct {
	steps []step
	grads map[*Tensor][]float32 // nil value: tracked, no gradient yet
	owned [][]float32           // buffers that Free returns
}

type step struct {
	y    *Tensor
	back func(dy []float32)
}

// NewTape returns a tape that differentiates with respect to wrt. Tensors
// outside wrt, and all that depends on none of wrt, cost nothing.
func NewTape(wrt ...*Tensor) *Tape {
	t := &Tape{grads: make(map[*Tensor][]float32, 2*len(wrt))}
	for _, x := range wrt {
		t.grads[x] = nil
	}
	return t
}

// tracks reports whether a gradient has to reach any of xs.
func (t *Tape) tracks(xs ...*Tensor) bool {
	if t == nil {
		return false
	}
	for _, x := range xs {
		if x == nil {
			continue
		}
		if _, ok := t.grads[x]; ok {
			return true
		}
	}
	return false
}

// Record notes that y was computed from inputs and that back, given dL/dy,
// adds the gradients of the inputs into [Tape.Grad] of each. It is the only
// way for an operation to take part in differentiation; back is kept only if
// some input is tracked. back must not keep dy. y's buffer belongs to the
// tape from then on.
func (t *Tape) Record(y *Tensor, back func(dy []float32), inputs ...*Tensor) {
	if t == nil {
		return
	}
	t.own(y.Data)
	if !t.tracks(inputs...) {
		return
	}
	t.grads[y] = nil
	t.steps = append(t.steps, step{y, back})
}

// own makes the tape return b to the free list in Free. An operation calls
// it for buffers that its backward closure needs.
func (t *Tape) own(b []float32) {
	if t != nil {
		t.owned = append(t.owned, b)
	}
}

// Floats returns how many float32 values the tape keeps until [Tape.Free],
// gradients aside.
func (t *Tape) Floats() int {
	n := 0
	for _, b := range t.owned {
		n += len(b)
	}
	return n
}

// Grad returns the accumulation buffer of dL/dx, zero at first, or nil if x
// is not tracked. The tape owns the buffer. After [Tape.Backward] only the
// tensors given to [NewTape] still have one.
func (t *Tape) Grad(x *Tensor) []float32 {
	if t == nil || x == nil {
		return nil
	}
	g, ok := t.grads[x]
	if !ok {
		return nil
	}
	if g == nil {
		g = takeZero(len(x.Data))
		t.grads[x] = g
	}
	return g
}

// Seed adds dy to the gradient of y. It panics if the sizes differ or if y
// depends on none of the tensors that the tape differentiates.
func (t *Tape) Seed(y *Tensor, dy []float32) {
	g := t.Grad(y)
	if g == nil || len(g) != len(dy) {
		panic(fmt.Sprintf("tensor.Seed: y of shape %v (tracked: %v), %d gradient values", y.Shape, g != nil, len(dy)))
	}
	kernel.Axpy(g, 1, dy)
}

// Backward replays the tape from the newest operation to the oldest and
// leaves the gradients of the tensors given to [NewTape] in [Tape.Grad].
// It consumes the recorded operations; results of the forward pass stay
// readable until [Tape.Free].
func (t *Tape) Backward() {
	for i := len(t.steps) - 1; i >= 0; i-- {
		s := t.steps[i]
		t.steps[i] = step{}
		if dy := t.grads[s.y]; dy != nil {
			s.back(dy)
			give(dy)
		}
		delete(t.grads, s.y)
	}
	t.steps = t.steps[:0]
}

// Free returns every buffer of the tape for reuse: results, what operations
// kept for the backward pass, and gradients. Nothing computed with the tape
// may be used afterwards.
func (t *Tape) Free() {
	if t == nil {
		return
	}
	for _, b := range t.owned {
		give(b)
	}
	for _, g := range t.grads {
		if g != nil {
			give(g)
		}
	}
	t.owned, t.grads, t.steps = nil, nil, nil
}
