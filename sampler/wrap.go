package sampler

// Counted returns d and adds 1 to *calls at every evaluation.
func Counted(d Denoiser, calls *int) Denoiser {
	return func(dst, x []float64, sigma float64) {
		*calls++
		d(dst, x, sigma)
	}
}

// Guided returns the denoiser uncond + w·(cond - uncond) for lo <= sigma <= hi, and cond alone elsewhere:
// classifier-free guidance (Ho and Salimans, arXiv 2207.12598, in the form where w = 1 is no guidance), or
// autoguidance when uncond is a weaker network (Karras et al., arXiv 2406.02507), on a limited interval
// (Kynkäänniemi et al., arXiv 2404.07724). Where w is 1, uncond is not evaluated. The result keeps a buffer
// and is not safe for concurrent use.
func Guided(cond, uncond Denoiser, w, lo, hi float64) Denoiser {
	var buf []float64
	return func(dst, x []float64, sigma float64) {
		cond(dst, x, sigma)
		if w == 1 || !(sigma >= lo && sigma <= hi) {
			return
		}
		if len(buf) != len(x) {
			buf = make([]float64, len(x))
		}
		uncond(buf, x, sigma)
		for i, u := range buf {
			dst[i] = u + w*(dst[i]-u)
		}
	}
}
