package train

// multiScale returns the multi-scale loss of the error e of one image, w·Σ_k f³·Σ(e pooled by f)² with f = 2^k, and turns e into
// its gradient times scale. pyramid has room for the pooled errors.
func (l *Loss) multiScale(e []float32, pyramid [][]float32, w, scale float64) float64 {
	fine := e
	for k, coarse := range pyramid {
		halve(coarse, fine, l.w>>k, l.c)
		fine = coarse
	}
	var loss float64
	for k := len(pyramid); k >= 0; k-- {
		level := e
		if k > 0 {
			level = pyramid[k-1]
		}
		f := float64(int(1) << k)
		weight := w * f * f * f
		slope := float32(2 * weight * scale)
		var sum float64
		for j, v := range level {
			sum += float64(v) * float64(v)
			level[j] = slope * v
		}
		loss += weight * sum
		if k < len(pyramid) {
			spread(level, pyramid[k], l.w>>k, l.c)
		}
	}
	return loss
}

// halve makes dst the means of the 2×2 blocks of src, rows of width pixels of c channels.
func halve(dst, src []float32, width, c int) {
	row, half := width*c, width/2*c
	for y := range len(dst) / half {
		a, b := src[2*y*row:][:row], src[(2*y+1)*row:][:row]
		out := dst[y*half:][:half]
		for x := range width / 2 {
			for k := range c {
				i := 2*x*c + k
				out[x*c+k] = (a[i] + a[i+c] + b[i] + b[i+c]) / 4
			}
		}
	}
}

// spread adds to dst, rows of width pixels of c channels, the adjoint of halve of src.
func spread(dst, src []float32, width, c int) {
	row, half := width*c, width/2*c
	for y := range len(src) / half {
		a, b := dst[2*y*row:][:row], dst[(2*y+1)*row:][:row]
		in := src[y*half:][:half]
		for x := range width / 2 {
			for k := range c {
				v, i := in[x*c+k]/4, 2*x*c+k
				a[i] += v
				a[i+c] += v
				b[i] += v
				b[i+c] += v
			}
		}
	}
}
