//go:build !noasm

package kernel

// The assembly behind vector.go, softmax.go, adam.go and norm.go; each .s file states the loop it is.
// Pointers are to the first elements, counts are positive.

//go:noescape
func addStridedAVX512(dst, src *float32, dstStride, srcStride, rows, cols int, a float32)

//go:noescape
func scaleAVX512(dst, x *float32, n int, a float32)

//go:noescape
func addAVX512(dst, x, y *float32, n int, a, b float32)

//go:noescape
func mulAVX512(dst, x, y *float32, n int)

//go:noescape
func lerpAVX512(dst, x *float32, n int, beta float32)

//go:noescape
func dotAVX512(x, y *float32, n int) float64

//go:noescape
func siluAVX512(dst, x *float32, n int)

//go:noescape
func siluGradAVX512(dx, dy, x *float32, n int)

//go:noescape
func softmaxAVX512(dst, x *float32, rows, cols int, scale float32)

//go:noescape
func softmaxGradAVX512(dx, dy, p *float32, rows, cols int, scale float32)

//go:noescape
func adamAVX512(w, m, v, grad *float32, n int, c *adamCoefficients)

//go:noescape
func affineAVX512(dst, x, a, b *float32, p, c int)

//go:noescape
func affineSiLUAVX512(dst, x, a, b *float32, p, c int)

//go:noescape
func affineAddGradAVX512(dx, dz, x, ca, cb, cc *float32, p, c int)

//go:noescape
func addChannelsAVX512(dst, x, e *float32, p, c int)

//go:noescape
func affineSiLUGradAVX512(dz, dy, x, a, b, s1, s2 *float32, p, c int)

//go:noescape
func affineGradAVX512(dz, dy, x, s1, s2 *float32, p, c int)

//go:noescape
func momentsAVX512(sum, sumsq, x, center *float32, p, c int)

//go:noescape
func sumsAVX512(sum, x *float32, p, c int)

//go:noescape
func addStridedAVX2(dst, src *float32, dstStride, srcStride, rows, cols int, a float32)

//go:noescape
func scaleAVX2(dst, x *float32, n int, a float32)

//go:noescape
func addAVX2(dst, x, y *float32, n int, a, b float32)

//go:noescape
func mulAVX2(dst, x, y *float32, n int)

//go:noescape
func maxAVX2(dst, x, y *float32, n int)

//go:noescape
func lerpAVX2(dst, x *float32, n int, beta float32)

//go:noescape
func dotAVX2(x, y *float32, n int) float64

//go:noescape
func siluAVX2(dst, x *float32, n int)

//go:noescape
func siluGradAVX2(dx, dy, x *float32, n int)

//go:noescape
func softmaxAVX2(dst, x *float32, rows, cols int, scale float32)

//go:noescape
func softmaxGradAVX2(dx, dy, p *float32, rows, cols int, scale float32)

//go:noescape
func adamAVX2(w, m, v, grad *float32, n int, c *adamCoefficients)

//go:noescape
func affineAVX2(dst, x, a, b *float32, p, c int)

//go:noescape
func affineSiLUAVX2(dst, x, a, b *float32, p, c int)

//go:noescape
func affineAddGradAVX2(dx, dz, x, ca, cb, cc *float32, p, c int)

//go:noescape
func addChannelsAVX2(dst, x, e *float32, p, c int)

//go:noescape
func affineSiLUGradAVX2(dz, dy, x, a, b, s1, s2 *float32, p, c int)

//go:noescape
func affineGradAVX2(dz, dy, x, s1, s2 *float32, p, c int)

//go:noescape
func momentsAVX2(sum, sumsq, x, center *float32, p, c int)

//go:noescape
func sumsAVX2(sum, x *float32, p, c int)

//go:noescape
func peakAVX512(turns int) float32

//go:noescape
func peakAVX2(turns int) float32

//go:noescape
func rectifyAVX2(x *float32, stride, rows, cols int)
