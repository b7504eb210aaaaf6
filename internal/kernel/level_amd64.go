//go:build amd64 && !noasm

package kernel

import "golang.org/x/sys/cpu"

// detect asks the CPU; x/sys/cpu has already applied GODEBUG and checked that the system saves the registers.
func detect() Level {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA {
		return Generic
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		return AVX512
	}
	return AVX2
}
