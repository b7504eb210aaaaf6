//go:build !amd64 || noasm

package kernel

// detect offers plain Go: there is no assembly in this build.
func detect() Level { return Generic }
