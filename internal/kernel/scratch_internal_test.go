package kernel

import "testing"

// TestBorrowLong: a long buffer serves whoever needs no more, the shortest that will do first, and what replaces one that is too short
// leaves as many as were borrowed at once.
func TestBorrowLong(t *testing.T) {
	was := freeBig.list
	defer func() { freeBig.list = was }()
	freeBig.list = nil
	const n = 1 << bigScratch
	a, b := borrow(2*n), borrow(4*n)
	first := &a.f[0]
	a.release()
	b.release()
	if c := borrow(n + 1); &c.f[0] != first || len(c.f) != n+1 {
		t.Errorf("borrow took a buffer of %d floats where one of %d was free", cap(c.f), 2*n)
	} else {
		c.release()
	}
	c := borrow(5 * n) // in place of the one of 4n
	if d := borrow(n + 1); &d.f[0] != first {
		t.Error("the shorter buffer is gone")
	} else {
		d.release()
	}
	c.release()
	if got := len(freeBig.list); got != 2 {
		t.Errorf("%d buffers are kept, 2 were borrowed at once", got)
	}
	if s := borrow(n); s.whole == nil || len(s.f) != n {
		t.Errorf("borrow(%d) gave %d floats of the long ones", n, len(s.f))
	}
}
