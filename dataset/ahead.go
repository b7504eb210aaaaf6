package dataset

import (
	"runtime"
	"sync"
)

// A Prefetcher is a Dataset that can prepare pictures before they are asked for. [Prefetch] reaches it.
type Prefetcher interface {
	// Prefetch starts decoding pictures that will be asked for soon, in this order, and returns. It forgets earlier ones that were not.
	Prefetch(indices []int)
}

// Prefetch tells d which pictures will be asked for next, if d wants to know: sets that are not in memory decode them on all
// processors meanwhile, up to 256 MiB. It changes no result of Get.
func Prefetch(d Dataset, indices []int) {
	if p, ok := d.(Prefetcher); ok {
		p.Prefetch(indices)
	}
}

// maxAhead bounds the memory for pictures that are decoded and not yet asked for.
const maxAhead = 256 << 20

// ahead is a set decoded picture by picture that can do so ahead of use.
type ahead struct {
	info
	from Dataset
	mu   sync.Mutex
	soon map[int]*pending
}

// pending is a picture that is being decoded; once done is closed, the rest is fixed.
type pending struct {
	index int
	done  chan struct{}
	pix   []uint8
	label int
	err   error
}

func newAhead(d Dataset, s info) *ahead { return &ahead{info: s, from: d, soon: map[int]*pending{}} }

func (a *ahead) Get(i int, dst []uint8) (int, error) {
	if label, err := a.check(i, dst); err != nil {
		return label, err
	}
	a.mu.Lock()
	p := a.soon[i]
	delete(a.soon, i)
	a.mu.Unlock()
	if p == nil {
		return a.from.Get(i, dst)
	}
	<-p.done
	copy(dst, p.pix)
	return p.label, p.err
}

// Prefetch implements Prefetcher. Its goroutines end with their pictures.
func (a *ahead) Prefetch(indices []int) {
	size := a.h * a.w * a.c
	indices = indices[:min(len(indices), maxAhead/max(size, 1))]
	soon := make(map[int]*pending, len(indices))
	var work []*pending
	a.mu.Lock()
	for _, i := range indices {
		if i < 0 || i >= a.n || soon[i] != nil {
			continue
		}
		p := a.soon[i]
		if p == nil {
			p = &pending{index: i, done: make(chan struct{}), pix: make([]uint8, size)}
			work = append(work, p)
		}
		soon[i] = p
	}
	a.soon = soon
	a.mu.Unlock()
	queue := make(chan *pending, len(work))
	for _, p := range work {
		queue <- p
	}
	close(queue)
	for range min(runtime.GOMAXPROCS(0), len(work)) {
		go func() {
			for p := range queue {
				p.label, p.err = a.from.Get(p.index, p.pix)
				close(p.done)
			}
		}()
	}
}
