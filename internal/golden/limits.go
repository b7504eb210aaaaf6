package golden

import (
	"runtime/metrics"
	"testing"
	"time"
)

// hang is how long a reader may compute on one small file.
const hang = time.Second

// Within fails unless read, a reader of a file of size bytes, computes for less than a second and allocates, all added up, less than factor·size +
// 4 MiB bytes. Time is the processor's where the system tells it, so that a busy machine is no hang.
func Within(t testing.TB, size, factor int, read func()) {
	t.Helper()
	before, start := allocated(), computed()
	read()
	took, bytes := computed()-start, allocated()-before
	if took > hang {
		t.Errorf("a file of %d bytes took %v", size, took)
	}
	if bytes > uint64(factor*size)+4<<20 {
		t.Errorf("a file of %d bytes made the reader allocate %d", size, bytes)
	}
}

// allocated is how many bytes this process has allocated, up to what small objects are still being cut from. It does not stop the world, which a fuzzer
// would do all the time.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
