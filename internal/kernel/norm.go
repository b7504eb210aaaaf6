package kernel

// The kernels of this file work on one image, x[p][c]: p pixels of c channels, channels innermost.
// Slices of per-channel values have c elements. Group normalisation is made of them: the moments per
// channel are pooled into groups by the caller, who turns mean, variance, gain and shift of a channel
// into one multiply-add (Wu & He 2018, eq. 7).

// ChannelMoments computes sum[c] = Σ (x-center[c]) and sumsq[c] = Σ (x-center[c])² over the p pixels.
// A nil center stands for zeros; a nil sumsq is not computed.
func ChannelMoments(sum, sumsq []float32, x []float32, center []float32, p, c int) {
	needImage("ChannelMoments", x, p, c)
	needLen("ChannelMoments", "sum", len(sum), c)
	clear(sum[:c])
	if sumsq != nil {
		needLen("ChannelMoments", "sumsq", len(sumsq), c)
		clear(sumsq[:c])
	}
	if center != nil {
		needLen("ChannelMoments", "center", len(center), c)
	}
	if p <= 0 || c <= 0 || momentsSIMD(sum, sumsq, x, center, p, c) {
		return
	}
	channelMomentsGeneric(sum, sumsq, x, center, p, c)
}

// AffineSiLU computes dst = f(x*a[c]+b[c]) for p pixels of c channels, f being SiLU, or the identity
// when silu is false; dst may be x.
func AffineSiLU(dst, x, a, b []float32, p, c int, silu bool) {
	needImage("AffineSiLU", x, p, c)
	needImage("AffineSiLU", dst, p, c)
	needLen("AffineSiLU", "a", len(a), c)
	needLen("AffineSiLU", "b", len(b), c)
	if p <= 0 || c <= 0 || affineSIMD(dst, x, a, b, p, c, silu) {
		return
	}
	affineSiLUGeneric(dst, x, a, b, p, c, silu)
}

// AffineSiLUGrad is the backward half of AffineSiLU: with z = x*a[c]+b[c] it writes dz = dy*f'(z) and
// adds both of its sums over the pixels, s1[c] += Σ dz and s2[c] += Σ dz*x. dz may be dy.
func AffineSiLUGrad(dz, dy, x, a, b, s1, s2 []float32, p, c int, silu bool) {
	needImage("AffineSiLUGrad", dz, p, c)
	needImage("AffineSiLUGrad", dy, p, c)
	needImage("AffineSiLUGrad", x, p, c)
	needLen("AffineSiLUGrad", "a", len(a), c)
	needLen("AffineSiLUGrad", "b", len(b), c)
	needLen("AffineSiLUGrad", "s1", len(s1), c)
	needLen("AffineSiLUGrad", "s2", len(s2), c)
	if p <= 0 || c <= 0 || affineGradSIMD(dz, dy, x, a, b, s1, s2, p, c, silu) {
		return
	}
	affineSiLUGradGeneric(dz, dy, x, a, b, s1, s2, p, c, silu)
}

// AffineAddGrad computes dx += dz*ca[c] + x*cb[c] + cc[c] for p pixels of c channels: what is left of
// the gradient of a group norm once the sums of AffineSiLUGrad are known.
func AffineAddGrad(dx, dz, x, ca, cb, cc []float32, p, c int) {
	needImage("AffineAddGrad", dx, p, c)
	needImage("AffineAddGrad", dz, p, c)
	needImage("AffineAddGrad", x, p, c)
	needLen("AffineAddGrad", "ca", len(ca), c)
	needLen("AffineAddGrad", "cb", len(cb), c)
	needLen("AffineAddGrad", "cc", len(cc), c)
	if p <= 0 || c <= 0 || affineAddGradSIMD(dx, dz, x, ca, cb, cc, p, c) {
		return
	}
	affineAddGradGeneric(dx, dz, x, ca, cb, cc, p, c)
}

// AddChannels computes dst = x + e[c] for p pixels of c channels; dst may be x.
func AddChannels(dst, x, e []float32, p, c int) {
	needImage("AddChannels", dst, p, c)
	needImage("AddChannels", x, p, c)
	needLen("AddChannels", "e", len(e), c)
	if p <= 0 || c <= 0 || addChannelsSIMD(dst, x, e, p, c) {
		return
	}
	addChannelsGeneric(dst, x, e, p, c)
}

// SumChannels computes dst[c] += Σ x over p pixels of c channels.
func SumChannels(dst, x []float32, p, c int) {
	needImage("SumChannels", x, p, c)
	needLen("SumChannels", "dst", len(dst), c)
	if p <= 0 || c <= 0 || momentsSIMD(dst, nil, x, nil, p, c) {
		return
	}
	channelMomentsGeneric(dst, nil, x, nil, p, c)
}

func needImage(kernel string, x []float32, p, c int) { needLen(kernel, "image", len(x), p*c) }
