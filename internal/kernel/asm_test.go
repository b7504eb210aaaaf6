//go:build !noasm

package kernel_test

const noasm = false
