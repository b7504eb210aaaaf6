//go:build amd64 && !noasm

package kernel

import (
	"sync"

	"golang.org/x/sys/cpu"
)

// tiles reports whether this process may use AMX: the system lets it only after it has been asked.
var tiles = sync.OnceValue(func() bool {
	x := &cpu.X86
	return x.HasAMXTile && x.HasAMXBF16 && allowTiles()
})

// detect asks the CPU; x/sys/cpu has already applied GODEBUG and checked that the system saves the registers.
func detect() Level {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA {
		return Generic
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		if x.HasAVX512BF16 {
			if tiles() {
				return AMX
			}
			return AVX512BF16
		}
		return AVX512
	}
	return AVX2
}
