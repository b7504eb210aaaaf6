package tensor

// Checkpoint returns f(t) and keeps nothing else of it for the backward pass,
// which runs f again to have the rest (gradient checkpointing, Chen et al.
// 2016, arXiv 1604.06174). Gradients have the bytes that they would have
// without it. f records its operations on the tape that it is given and may
// read any tensors, which must not change; it runs once if t is nil,
// otherwise twice. What [Dropout] drew in the first run is kept, a bit for
// each element, so that its generators move on once. Checkpoints may nest.
func Checkpoint(t *Tape, f func(t *Tape) *Tensor) *Tensor {
	if t == nil {
		return f(nil)
	}
	first := t.inside()
	masks, start := first.masks, first.next
	y := f(first)
	if t.masks != nil {
		t.next = first.next
	}
	if !first.disown(y.Data) { // f only passed on what it was given
		first.Free()
		return y
	}
	tracked := first.tracks(y)
	first.Free()
	t.own(y.Data)
	if tracked {
		t.push(y, func(dy []float32) {
			again := t.inside()
			defer again.Free()
			again.masks, again.next = masks, start
			z := f(again)
			dz := take(len(dy)) // dy is not ours to give back, as Backward does
			copy(dz, dy)
			again.grads[z] = dz
			again.Backward()
		})
	}
	return y
}

// inside returns a tape for operations of which t will know the result only.
func (t *Tape) inside() *Tape {
	in := &Tape{grads: make(map[*Tensor][]float32), outer: t, masks: t.masks, next: t.next}
	if in.masks == nil {
		in.masks, in.next = new([][]uint64), 0
	}
	return in
}

// disown takes b out of the buffers that Free returns, and reports whether it was one of them.
func (t *Tape) disown(b []float32) bool {
	for i, own := range t.owned {
		if cap(b) > 0 && cap(own) > 0 && &own[:1][0] == &b[:1][0] {
			t.owned = append(t.owned[:i], t.owned[i+1:]...)
			return true
		}
	}
	return false
}

// mask returns n words that draw fills, or those it filled in the first run of the checkpoint that t is in.
func (t *Tape) mask(n int, draw func(words []uint64)) []uint64 {
	inside := t != nil && t.masks != nil
	if inside && t.next < len(*t.masks) {
		t.next++
		return (*t.masks)[t.next-1]
	}
	words := make([]uint64, n)
	draw(words)
	if inside {
		*t.masks = append(*t.masks, words)
		t.next++
	}
	return words
}
