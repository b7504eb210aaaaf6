//go:build !linux && !noasm

package kernel

// allowTiles knows of no other system how to ask.
func allowTiles() bool { return false }
