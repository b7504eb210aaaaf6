package kernel

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// For calls f on the half-open ranges that cut [0, n) into chunks of grain (the last may be shorter), on up to
// GOMAXPROCS goroutines of which the caller is one, and returns when all chunks are done. Chunks
// are handed out in order but may run at the same time; the cuts depend on n and grain only. Calls may nest. If f
// panics, the chunks not yet begun are dropped and For panics with the first value (wrapped with its stack if
// it came from another goroutine). A grain below 1 counts as 1.
func For(n, grain int, f func(i0, i1 int)) {
	grain = max(grain, 1)
	if n <= 0 {
		return
	}
	chunks := (n-1)/grain + 1
	helpers := min(runtime.GOMAXPROCS(0), chunks) - 1
	if helpers == 0 {
		for i := 0; i < n; i += grain {
			f(i, min(i+grain, n))
		}
		return
	}
	j := &forJob{n: n, grain: grain, chunks: int64(chunks), f: f}
	j.wg.Add(helpers)
	for range helpers {
		go j.help()
	}
	j.share()
}

// forJob is one call of For in flight.
type forJob struct {
	n, grain int
	chunks   int64
	next     atomic.Int64 // the next chunk to hand out
	f        func(i0, i1 int)
	wg       sync.WaitGroup // the helpers
	once     sync.Once
	failure  any // the first helper's panic
}

// work claims chunks until none is left.
func (j *forJob) work() {
	for {
		c := j.next.Add(1) - 1
		if c >= j.chunks {
			return
		}
		i := int(c) * j.grain
		j.f(i, min(i+j.grain, j.n))
	}
}

// help is a helper goroutine's life: it works, and keeps a panic for the caller.
func (j *forJob) help() {
	defer j.wg.Done()
	defer func() {
		if r := recover(); r != nil {
			j.next.Store(j.chunks)
			j.once.Do(func() { j.failure = fmt.Sprintf("%v\n\nin a goroutine of kernel.For:\n%s", r, debug.Stack()) })
		}
	}()
	j.work()
}

// share is the caller's part: it works, waits for the helpers even when its own chunk panics, and re-raises.
func (j *forJob) share() {
	done := false
	defer func() {
		if !done { // f panicked right here: no recover, so that the trace keeps its origin
			j.next.Store(j.chunks)
			j.wg.Wait()
		}
	}()
	j.work()
	done = true
	j.wg.Wait()
	if j.failure != nil {
		panic(j.failure)
	}
}
