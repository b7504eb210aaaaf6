//go:build !amd64 || noasm

package kernel

// runAsm has no assembly to run in this build.
func (t tiler) runAsm(a *tileA, b []float32, bs int, init []float32, ldinit int, c []float32, ldc int) {
	t.tileGeneric(a, b, bs, init, ldinit, c, ldc)
}
