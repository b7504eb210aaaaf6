package kernel

import (
	"math/bits"
	"sync"
)

// scratchPools keeps buffers of 2^i floats for reuse, one list a power of two: a power of two starts on a
// cache line of its own, which the allocator does not promise for other sizes.
var scratchPools [64]sync.Pool

// scratch is a borrowed buffer; its contents are whatever the last borrower left.
type scratch struct {
	f     []float32
	class int
	whole *[]float32
}

// borrow returns a buffer of n floats; give it back with release.
func borrow(n int) scratch {
	class := bits.Len(uint(max(n, 64) - 1))
	p, _ := scratchPools[class].Get().(*[]float32)
	if p == nil {
		buf := make([]float32, 1<<class)
		p = &buf
	}
	return scratch{(*p)[:n], class, p}
}

// release gives the buffer back; the zero scratch is fine.
func (s scratch) release() {
	if s.whole != nil {
		scratchPools[s.class].Put(s.whole)
	}
}
