//go:build unix

package golden

import (
	"time"

	"golang.org/x/sys/unix"
)

// computed is the time that this process has computed.
func computed() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic(err) // of our own process it is always known
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
