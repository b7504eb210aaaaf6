package dataset

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"diffuse/imageio"
)

// info is what every kind of set knows about itself.
type info struct {
	h, w, c int
	names   []string
	labels  []int // nil: unlabelled
	n       int
	title   func(i int) string // what picture i is called; nil: nothing but its number
}

func (s *info) Len() int             { return s.n }
func (s *info) Size() (h, w, c int)  { return s.h, s.w, s.c }
func (s *info) Labels() int          { return len(s.names) }
func (s *info) ClassNames() []string { return s.names }

// Name returns what picture i is called where it comes from: a file's path in its folder or archive, else "picture i".
func (s *info) Name(i int) string {
	if s.title != nil {
		return s.title(i)
	}
	return fmt.Sprintf("picture %d", i)
}

// check says whether picture i can be copied to dst, and returns its label.
func (s *info) check(i int, dst []uint8) (int, error) {
	if i < 0 || i >= s.n {
		return -1, fmt.Errorf("picture %d of a data set of %d", i, s.n)
	}
	if len(dst) != s.h*s.w*s.c {
		return -1, fmt.Errorf("%d bytes for a picture of %d×%d×%d", len(dst), s.h, s.w, s.c)
	}
	if s.labels == nil {
		return -1, nil
	}
	return s.labels[i], nil
}

// fits reports whether the decoded set takes no more than limit bytes.
func (s *info) fits(limit int64) bool {
	size := int64(s.h) * int64(s.w) * int64(s.c) // at most 2^32·3, by the limits on both
	return int64(s.n) <= limit/max(size, 1)
}

// memory is a set that is decoded and kept.
type memory struct {
	info
	pix []uint8
}

func (m *memory) Get(i int, dst []uint8) (int, error) {
	label, err := m.check(i, dst)
	if err == nil {
		copy(dst, m.pix[i*len(dst):])
	}
	return label, err
}

// keep decodes all of a set into memory if it fits there.
func keep(d Dataset, s info, o Options) (Dataset, error) {
	if !s.fits(o.MaxBytes) {
		return newAhead(d, s), nil
	}
	size := s.h * s.w * s.c
	m := &memory{info: s, pix: make([]uint8, s.n*size)}
	err := parallel(s.n, o.Progress, func(i int) error {
		_, err := d.Get(i, m.pix[i*size:(i+1)*size])
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// scaled is a set whose pictures are brought to another size or to grey as they are read.
type scaled struct {
	info
	from Dataset
	read Options
}

// rescale returns d, which describes itself as s, at the size and in the colours that the options ask for.
func rescale(d Dataset, s info, o Options) (Dataset, error) {
	as := s
	if o.Height != 0 {
		as.h, as.w = o.Height, o.Width
	}
	if o.Grey {
		as.c = 1
	}
	if as.h == s.h && as.w == s.w && as.c == s.c {
		return d, nil
	}
	return keep(&scaled{as, d, o}, as, o)
}

func (s *scaled) Get(i int, dst []uint8) (int, error) {
	label, err := s.check(i, dst)
	if err != nil {
		return label, err
	}
	h, w, c := s.from.Size()
	m := imageio.New(h, w, c)
	if _, err := s.from.Get(i, m.Pix); err != nil {
		return label, err
	}
	copy(dst, s.read.fit(m, s.h, s.w, s.c).Pix)
	return label, nil
}

// parallel calls f for 0 to n-1 on all processors and returns the error of the lowest index that failed, whatever the timing. The
// calling goroutine is one of those that work; it also reports how far they are.
func parallel(n int, progress func(done, total int), f func(i int) error) error {
	var (
		next   atomic.Int64
		failed atomic.Int64
		wait   sync.WaitGroup
		mu     sync.Mutex
		first  error
	)
	failed.Store(int64(n))
	work := func(tell bool) {
		for {
			i := next.Add(1) - 1
			if i >= failed.Load() { // indices are handed out in order: all below have been tried
				return
			}
			if err := f(int(i)); err != nil {
				mu.Lock()
				if i < failed.Load() {
					failed.Store(i)
					first = err
				}
				mu.Unlock()
			}
			if tell {
				progress(int(i)+1, n)
			}
		}
	}
	for range min(runtime.GOMAXPROCS(0), n) - 1 {
		wait.Go(func() { work(false) })
	}
	work(true)
	wait.Wait()
	return first
}
