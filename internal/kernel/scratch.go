package kernel

import (
	"math/bits"
	"sync"
)

// scratchPools keeps buffers of 2^i floats for reuse, one list a power of two: a power of two starts on a
// cache line of its own, which the allocator does not promise for other sizes.
var scratchPools [bigScratch + 1]sync.Pool

// Buffers of more than 2^bigScratch floats are what memory is spent on: a borrower takes whatever is free and long enough, lest every size that
// was ever needed stay around. Their lengths are powers of two, lest each a little longer than the last one is left to the garbage collector;
// what nobody has written to takes no memory.
const bigScratch = 18

// freeBig holds the long buffers that nobody has borrowed.
var freeBig struct {
	sync.Mutex
	list [][]float32
}

// scratch is a borrowed buffer; its contents are whatever the last borrower left.
type scratch struct {
	f     []float32
	class int
	whole *[]float32 // nil if it is a long one
}

// borrow returns a buffer of n floats; give it back with release.
func borrow(n int) scratch {
	class := bits.Len(uint(max(n, 64) - 1))
	if class > bigScratch {
		return scratch{borrowBig(n), class, nil}
	}
	p, _ := scratchPools[class].Get().(*[]float32)
	if p == nil {
		buf := make([]float32, 1<<class)
		p = &buf
	}
	return scratch{(*p)[:n], class, p}
}

// borrowBig takes the shortest free buffer that is long enough. If there is none, a new one takes the place of the longest.
func borrowBig(n int) []float32 {
	freeBig.Lock()
	defer freeBig.Unlock()
	fit, longest := -1, -1
	for i, b := range freeBig.list {
		if cap(b) >= n && (fit < 0 || cap(b) < cap(freeBig.list[fit])) {
			fit = i
		}
		if longest < 0 || cap(b) > cap(freeBig.list[longest]) {
			longest = i
		}
	}
	take := fit
	if take < 0 {
		take = longest
	}
	var b []float32
	if take >= 0 {
		last := len(freeBig.list) - 1
		b = freeBig.list[take]
		freeBig.list[take], freeBig.list[last] = freeBig.list[last], nil
		freeBig.list = freeBig.list[:last]
	}
	if fit < 0 {
		b = make([]float32, 1<<bits.Len(uint(n-1)))
	}
	return b[:n]
}

// release gives the buffer back; the zero scratch is fine.
func (s scratch) release() {
	switch {
	case s.whole != nil:
		scratchPools[s.class].Put(s.whole)
	case s.f != nil:
		freeBig.Lock()
		freeBig.list = append(freeBig.list, s.f[:0])
		freeBig.Unlock()
	}
}
