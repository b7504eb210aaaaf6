package kernel

import (
	"fmt"
	"sync/atomic"
)

// A Level names one family of implementations, ordered by what it demands of the CPU.
type Level int

// The levels, each of which includes the ones before it.
const (
	Generic    Level = iota // plain Go, everywhere
	AVX2                    // AVX2 and FMA
	AVX512                  // AVX-512 F, BW, DQ and VL
	AVX512BF16              // AVX-512's conversions to bfloat16 and products of pairs of such numbers
	AMX                     // tiles of bfloat16
)

// String returns the level's name in lower case: "generic", "avx2", "avx512", "avx512bf16" or "amx".
func (l Level) String() string {
	switch l {
	case Generic:
		return "generic"
	case AVX2:
		return "avx2"
	case AVX512:
		return "avx512"
	case AVX512BF16:
		return "avx512bf16"
	case AMX:
		return "amx"
	}
	return fmt.Sprintf("Level(%d)", int(l))
}

// current holds the level in use plus one; 0 means that nobody has overruled Best.
var current atomic.Int32

// Best returns the highest level that this CPU, the GODEBUG settings cpu.avx512f=off and cpu.avx2=off, and
// the build tag noasm allow.
func Best() Level { return detect() }

// Current returns the level in use: Best, unless SetLevel lowered it.
func Current() Level {
	if l := current.Load(); l != 0 {
		return Level(l - 1)
	}
	return detect()
}

// vectorLevel is Current for kernels that have nothing to do with bfloat16.
func vectorLevel() Level { return min(Current(), AVX512) }

// SetLevel makes every kernel of the process use level l until restore is called; it is meant for tests
// and benchmarks, and panics if l is above Best.
func SetLevel(l Level) (restore func()) {
	if l < Generic || l > Best() {
		panic(fmt.Sprintf("kernel: level %v is not available, the best one is %v", l, Best()))
	}
	old := current.Swap(int32(l) + 1)
	return func() { current.Store(old) }
}
