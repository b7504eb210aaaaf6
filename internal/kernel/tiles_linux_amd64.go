//go:build !noasm

package kernel

import "syscall"

// Of arch_prctl(2): asks for the right to use a state that is not in every process, and which one.
const (
	archPrctl        = 158
	archReqXCompPerm = 0x1023
	tileData         = 18
)

// allowTiles asks Linux (5.16 and later) for the right to use tiles, for all threads of the process.
func allowTiles() bool {
	_, _, errno := syscall.RawSyscall(archPrctl, archReqXCompPerm, tileData, 0)
	return errno == 0
}
