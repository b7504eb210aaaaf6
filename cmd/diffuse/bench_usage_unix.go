//go:build unix

package main

import (
	"runtime"
	"syscall"
	"time"
)

// cpuTime is the processor time that this process has used, on all threads.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// peakMemory is the most memory in bytes that this process has held at once.
func peakMemory() float64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return float64(r.Maxrss)
	}
	return float64(r.Maxrss) * 1024
}
