//go:build unix

package golden

import (
	"syscall"
	"time"
)

// computed is the time that this process has computed.
func computed() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // of our own process it is always known
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
