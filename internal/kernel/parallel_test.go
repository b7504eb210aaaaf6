package kernel_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"diffuse/internal/kernel"
)

func TestForCoversEachIndexOnce(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		old := runtime.GOMAXPROCS(procs)
		for _, n := range []int{0, 1, 2, 7, 64, 1000} {
			for _, grain := range []int{-1, 1, 3, 64, 5000} {
				seen := make([]atomic.Int32, n)
				kernel.For(n, grain, func(i0, i1 int) {
					if i0 >= i1 || i1-i0 > max(grain, 1) || i0%max(grain, 1) != 0 {
						t.Errorf("n=%d grain=%d: chunk [%d,%d)", n, grain, i0, i1)
					}
					for i := i0; i < i1; i++ {
						seen[i].Add(1)
					}
				})
				for i := range seen {
					if seen[i].Load() != 1 {
						t.Fatalf("n=%d grain=%d: index %d seen %d times", n, grain, i, seen[i].Load())
					}
				}
			}
		}
		runtime.GOMAXPROCS(old)
	}
}

func TestForNests(t *testing.T) {
	var count atomic.Int64
	kernel.For(20, 1, func(i0, i1 int) {
		kernel.For(30, 4, func(j0, j1 int) { count.Add(int64(j1 - j0)) })
	})
	if count.Load() != 600 {
		t.Fatalf("inner loops ran %d indices, want 600", count.Load())
	}
}

func TestForRaisesPanics(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, bad := range []int{0, 5, 99} {
		mustPanic(t, "For", "boom", func() {
			kernel.For(100, 1, func(i0, _ int) {
				if i0 == bad {
					panic("boom")
				}
			})
		})
	}
}
