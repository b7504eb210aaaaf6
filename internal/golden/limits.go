package golden

import (
	"runtime"
	"testing"
	"time"
)

// hang is how long a reader may compute on one small file.
const hang = time.Second

// Within fails unless read, a reader of a file of size bytes, computes for less than a second and allocates, all added up, less than factor·size +
// 4 MiB bytes. Time is the processor's where the system tells it, so that a busy machine is no hang.
func Within(t testing.TB, size, factor int, read func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := computed()
	read()
	took := computed() - start
	runtime.ReadMemStats(&after)
	if took > hang {
		t.Errorf("a file of %d bytes took %v", size, took)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(factor*size)+4<<20 {
		t.Errorf("a file of %d bytes made the reader allocate %d", size, n)
	}
}
