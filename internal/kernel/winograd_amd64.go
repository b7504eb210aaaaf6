//go:build !noasm

package kernel

// Each of these does its transform with AVX2, which the AVX-512 level has too, or reports that it did not; the caller has
// checked the slices.

func winogradInputSIMD(dst, src []float32, step, row, pix, n int) bool {
	if Current() < AVX2 {
		return false
	}
	winogradInputAVX2(&dst[0], &src[0], &winogradB, step, row, pix, n)
	return true
}

func winogradOutputSIMD(dst, src, bias []float32, row, pix, step, n int) bool {
	if Current() < AVX2 {
		return false
	}
	winogradOutputAVX2(&dst[0], &src[0], &bias[0], &winogradA, row, pix, step, n)
	return true
}

func winogradWeightsSIMD(dst, src []float32, step, tap, row, rows, n int) bool {
	if Current() < AVX2 {
		return false
	}
	winogradWeightsAVX2(&dst[0], &src[0], &winogradG, step, tap, row, rows, n)
	return true
}

// winogradInputAVX2 is winogradInput with AVX2 and FMA.
//
//go:noescape
func winogradInputAVX2(dst, src *float32, coef *[6]float32, step, row, pix, n int)

// winogradOutputAVX2 is winogradOutput with AVX2 and FMA.
//
//go:noescape
func winogradOutputAVX2(dst, src, bias *float32, coef *[6]float32, row, pix, step, n int)

// winogradWeightsAVX2 is winogradWeights with AVX2 and FMA.
//
//go:noescape
func winogradWeightsAVX2(dst, src *float32, coef *[7]float32, step, tap, row, rows, n int)

func winogradOutputGradSIMD(dst, src []float32, step, row, pix, n int) bool {
	if Current() < AVX2 {
		return false
	}
	winogradOutputGradAVX2(&dst[0], &src[0], &winogradA, step, row, pix, n)
	return true
}

func winogradWeightsGradSIMD(dst, src []float32, tap, step, n int) bool {
	if Current() < AVX2 {
		return false
	}
	winogradWeightsGradAVX2(&dst[0], &src[0], &winogradG, tap, step, n)
	return true
}

// winogradOutputGradAVX2 is winogradOutputGrad with AVX2 and FMA.
//
//go:noescape
func winogradOutputGradAVX2(dst, src *float32, coef *[6]float32, step, row, pix, n int)

// winogradWeightsGradAVX2 is winogradWeightsGrad with AVX2 and FMA.
//
//go:noescape
func winogradWeightsGradAVX2(dst, src *float32, coef *[7]float32, tap, step, n int)
