//go:build !linux || !amd64

package kernel_test

// tilesGranted knows of no system but Linux that grants AMX.
func tilesGranted() bool { return false }
