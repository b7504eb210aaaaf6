//go:build !amd64 || noasm

package kernel

// Without assembly every one of these says "not done", and the caller runs its reference loop.

func axpySIMD(y, x []float32, a float32) bool                 { return false }
func scaleSIMD(dst, x []float32, a float32) bool              { return false }
func addSIMD(dst, x, y []float32, a, b float32) bool          { return false }
func mulSIMD(dst, x, y []float32) bool                        { return false }
func maxSIMD(dst, x, y []float32) bool                        { return false }
func lerpSIMD(dst, x []float32, beta float32) bool            { return false }
func dotSIMD(x, y []float32) (float64, bool)                  { return 0, false }
func siluSIMD(dst, x []float32) bool                          { return false }
func siluGradSIMD(dx, dy, x []float32) bool                   { return false }
func adamSIMD(w, m, v, g []float32, c *adamCoefficients) bool { return false }

func addStridedSIMD(dst []float32, dstStride int, src []float32, srcStride, rows, cols int, a float32) bool {
	return false
}

func softmaxSIMD(dst, x []float32, rows, cols int, scale float32) bool { return false }
func softmaxGradSIMD(dx, dy, p []float32, rows, cols int, scale float32) bool {
	return false
}

func momentsSIMD(sum, sumsq, x, center []float32, p, c int) bool                 { return false }
func affineSIMD(dst, x, a, b []float32, p, c int, silu bool) bool                { return false }
func affineAddGradSIMD(dx, dz, x, ca, cb, cc []float32, p, c int) bool           { return false }
func addChannelsSIMD(dst, x, e []float32, p, c int) bool                         { return false }
func affineGradSIMD(dz, dy, x, a, b, s1, s2 []float32, p, c int, silu bool) bool { return false }
func peakSIMD(turns int) (float32, bool)                                         { return 0, false }
func rectifySIMD(x []float32, stride, rows, cols int) bool                       { return false }
