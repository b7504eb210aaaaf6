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
	lent  []*Tensor             // whose gradients are in buffers of the caller

	// Of a tape inside a [Checkpoint] only:
	outer *Tape       // the tape around it: what that tracks is tracked here too
	masks *[][]uint64 // what Dropouts drew, in order, shared by all runs
	next  int         // the mask of the next Dropout
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
	for _, x := range xs {
		if x != nil && t.home(x) != nil {
			return true
		}
	}
	return false
}

// home returns the tape, t or one around it, that holds the gradient of x, or nil.
func (t *Tape) home(x *Tensor) *Tape {
	for ; t != nil; t = t.outer {
		if _, ok := t.grads[x]; ok {
			return t
		}
	}
	return nil
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
	if t.tracks(inputs...) {
		t.push(y, back)
	}
}

// push makes y tracked and back its step.
func (t *Tape) push(y *Tensor, back func(dy []float32)) {
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
// is not tracked. The tape owns the buffer, unless [Tape.GradInto] gave it.
// After [Tape.Backward] only the tensors given to [NewTape] still have one.
func (t *Tape) Grad(x *Tensor) []float32 {
	if x == nil {
		return nil
	}
	home := t.home(x)
	if home == nil {
		return nil
	}
	g := home.grads[x]
	if g == nil {
		g = takeZero(len(x.Data))
		home.grads[x] = g
	}
	return g
}

// GradInto makes dx the accumulation buffer of x, one of the tensors given to
// [NewTape] that has no gradient yet: what follows adds dL/dx to what dx
// holds. The caller keeps dx, also after [Tape.Free]. It panics if the sizes
// differ, or if x is not tracked or has a gradient already.
func (t *Tape) GradInto(x *Tensor, dx []float32) {
	if g, ok := t.grads[x]; !ok || g != nil || len(dx) != len(x.Data) {
		panic(fmt.Sprintf("tensor.GradInto: x of shape %v (tracked: %v, has a gradient: %v), buffer of %d", x.Shape, ok, g != nil, len(dx)))
	}
	t.grads[x] = dx
	t.lent = append(t.lent, x)
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
	for _, x := range t.lent {
		delete(t.grads, x)
	}
	for _, g := range t.grads {
		if g != nil {
			give(g)
		}
	}
	t.owned, t.lent, t.grads, t.steps = nil, nil, nil, nil
}
