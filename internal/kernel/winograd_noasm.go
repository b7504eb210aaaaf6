//go:build !amd64 || noasm

package kernel

// Without assembly every one of these says "not done", and the caller runs its reference loop.

func winogradInputSIMD(dst, src []float32, step, row, pix, n int) bool         { return false }
func winogradOutputSIMD(dst, src, bias []float32, row, pix, step, n int) bool  { return false }
func winogradWeightsSIMD(dst, src []float32, step, tap, row, rows, n int) bool { return false }
func winogradOutputGradSIMD(dst, src []float32, step, row, pix, n int) bool    { return false }
func winogradWeightsGradSIMD(dst, src []float32, tap, step, n int) bool        { return false }
