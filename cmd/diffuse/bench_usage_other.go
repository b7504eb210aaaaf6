//go:build !unix

package main

import (
	"runtime"
	"time"
)

var processStart = time.Now()

// cpuTime stands in for the processor time where the system has no such call: the clock, as if no other program ran, times the threads.
func cpuTime() time.Duration {
	return time.Since(processStart) * time.Duration(runtime.GOMAXPROCS(0))
}

// peakMemory is what the Go runtime has asked the system for, in bytes: an upper bound of the most that was held at once.
func peakMemory() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys)
}
