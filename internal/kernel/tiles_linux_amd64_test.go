package kernel_test

import (
	"syscall"
	"unsafe"
)

// tilesGranted reports whether the system has given this process the right to use AMX, which a container may be refused.
func tilesGranted() bool {
	const archGetXCompPerm, tileData = 0x1022, 18
	var have uint64
	_, _, errno := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, archGetXCompPerm, uintptr(unsafe.Pointer(&have)), 0)
	return errno == 0 && have>>tileData&1 == 1
}
