package tensor

import (
	"math/bits"
	"sync"

	"diffuse/internal/kernel"
)

// The free list keeps dead buffers by size class: four classes to a power of
// two, so at most a quarter of a buffer is wasted. It is a plain list, not a
// sync.Pool: the garbage collector would empty that in the middle of a
// training step, whose buffers would then be allocated and zeroed again.
var free struct {
	sync.Mutex
	class [4 * 48][][]float32
}

// sizeClass returns the class whose buffers hold at least n floats, and how
// many they hold.
func sizeClass(n int) (class, size int) {
	if n <= 64 {
		return 0, 64
	}
	e := bits.Len(uint(n-1)) - 3 // quarter steps: size = q<<e with q in 5..8
	q := (n + 1<<e - 1) >> e
	return 4*(e-4) + q - 4, q << e
}

// take returns a buffer of n floats with undefined contents.
func take(n int) []float32 {
	class, size := sizeClass(n)
	free.Lock()
	if l := free.class[class]; len(l) > 0 {
		b := l[len(l)-1]
		free.class[class] = l[:len(l)-1]
		free.Unlock()
		return b[:n]
	}
	free.Unlock()
	return make([]float32, n, size)
}

// takeZero returns a zeroed buffer of n floats.
func takeZero(n int) []float32 {
	b := take(n)
	kernel.For(n, grain, func(i, j int) { clear(b[i:j]) })
	return b
}

// give returns a buffer that came from take. Nobody may use it afterwards.
func give(b []float32) {
	class, size := sizeClass(cap(b))
	if size != cap(b) || cap(b) == 0 {
		return // not one of ours
	}
	free.Lock()
	free.class[class] = append(free.class[class], b[:0])
	free.Unlock()
}

// Trim lets go of all buffers that wait for reuse. They are kept for ever
// otherwise, so that a program that goes on living after a much larger batch
// than its usual ones, or after a training run, holds on to that much memory. It may be called at any
// time, also while others compute; they will allocate anew.
func Trim() {
	free.Lock()
	defer free.Unlock()
	for i := range free.class {
		free.class[i] = nil
	}
}

// Recycle gives the buffers of intermediate results back for reuse when t is
// nil; nobody may use them afterwards. With a tape it does nothing, because
// the backward pass still needs them ([Tape.Free] returns them then). Nil
// tensors are skipped. Only what operations return is for the free list: a tensor of
// [New] or [From] that is recycled again and again would make it grow.
func Recycle(t *Tape, xs ...*Tensor) {
	if t != nil {
		return
	}
	for _, x := range xs {
		if x != nil {
			give(x.Data)
			x.Data = nil
		}
	}
}
