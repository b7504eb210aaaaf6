package kernel

import "fmt"

// Conv is the shape of a batched two-dimensional convolution (cross-correlation, as in every network library): N pictures of
// H×W pixels with Cin channels become OutH×OutW pixels with Cout channels through KH×KW taps, Stride pixels apart, with
// PadH rows of zeros above and below, and PadW columns of zeros to the left and to the right. Products are those of Precision.
type Conv struct {
	N, H, W, Cin, Cout, KH, KW, Stride, PadH, PadW int
	Precision                                      Precision
}

// OutH returns the output's height in pixels.
func (g Conv) OutH() int { return (g.H+2*g.PadH-g.KH)/g.Stride + 1 }

// OutW returns the output's width in pixels.
func (g Conv) OutW() int { return (g.W+2*g.PadW-g.KW)/g.Stride + 1 }

// ConvForward computes y = x∗w + bias, overwriting y (N×OutH×OutW×Cout), from x (N×H×W×Cin), w (KH×KW×Cin×Cout) and
// bias (Cout, or nil for none):
//
//	y[n][i][j][o] = bias[o] + Σ_{ky,kx,c} x[n][i*Stride+ky-PadH][j*Stride+kx-PadW][c] * w[ky][kx][c][o]
//
// where x outside the picture is 0; the sum runs in that order and starts from the bias. It panics if the shapes do
// not fit.
func ConvForward(y, x, w, bias []float32, g Conv) {
	ConvForwardInto(y, g.Cout, x, w, bias, false, g)
}

// ConvForwardPacked is ConvForward with weights that PackConv has packed for such a convolution, and then w is not read; if packed is nil, it is.
func ConvForwardPacked(y, x, w []float32, packed *Packed, bias []float32, g Conv) {
	convForward(y, g.Cout, x, w, packed, bias, false, g)
}

// ConvForwardInto is ConvForward for output pixels that are ldy ≥ Cout floats apart, so that several convolutions can write side by side
// what others concatenate; the floats between are left alone. With rectify, negative results become 0 (ReLU; NaN stays).
func ConvForwardInto(y []float32, ldy int, x, w, bias []float32, rectify bool, g Conv) {
	convForward(y, ldy, x, w, nil, bias, rectify, g)
}

func convForward(y []float32, ldy int, x, w []float32, packed *Packed, bias []float32, rectify bool, g Conv) {
	s := g.shape("ConvForward")
	if ldy < g.Cout {
		panic(fmt.Sprintf("kernel: ConvForward: pixels of y %d floats apart for %+v", ldy, g))
	}
	s.ldy = ldy
	if g.N > 0 {
		g.need("ConvForward", "y", y, (s.n*s.ho*s.wo-1)*ldy+s.cout)
	}
	g.need("ConvForward", "x", x, s.inputs())
	if packed == nil {
		g.need("ConvForward", "w", w, s.weights())
	} else {
		packed.check(g)
	}
	if bias != nil {
		g.need("ConvForward", "bias", bias, g.Cout)
	}
	if g.N == 0 {
		return
	}
	e := epilogue{rectify: rectify}
	if bias != nil {
		start := borrow((g.Cout + maxNR - 1) / maxNR * maxNR)
		defer start.release()
		clear(start.f[copy(start.f, bias[:g.Cout]):])
		e.init = start.f
	}
	if g.Precision.tiled() {
		if packed != nil {
			amxForward(y, x, packed.tiles, s, e)
			return
		}
		b := borrowWeights(s.kh, s.kw, s.cin, s.cout, g.Precision)
		defer b.release()
		b.fill(w, false)
		amxForward(y, x, b, s, e)
		return
	}
	t := currentTiler()
	if packed != nil {
		if g.Precision == BFloat16 {
			o, release := rounded(x[:s.inputs()])
			defer release()
			x = o[0]
		}
		t.correlate(y, x, packed.strips, s, e)
		return
	}
	if g.Precision == BFloat16 {
		o, release := rounded(x[:s.inputs()], w[:s.weights()])
		defer release()
		x, w = o[0], o[1]
	}
	p := t.panelsOf(w, s.kh*s.kw*s.cin, s.cout, s.cout, false, s.n*s.ho*s.wo)
	defer p.release()
	t.correlate(y, x, p, s, e)
}

// ConvInputGrad adds to dx (N×H×W×Cin) the gradient with respect to x of the loss whose gradient with respect to y is
// dy (N×OutH×OutW×Cout):
//
//	dx[n][i*Stride+ky-PadH][j*Stride+kx-PadW][c] += Σ_o dy[n][i][j][o] * w[ky][kx][c][o]
//
// It panics if the shapes do not fit.
func ConvInputGrad(dx, dy, w []float32, g Conv) {
	s := g.shape("ConvInputGrad")
	g.need("ConvInputGrad", "dx", dx, s.inputs())
	g.need("ConvInputGrad", "dy", dy, s.outputs())
	g.need("ConvInputGrad", "w", w, s.weights())
	if g.N == 0 {
		return
	}
	t := currentTiler()
	turned := s.stride == 1 && s.padH < s.kh && s.padW < s.kw // then it is the convolution of dy with the weights turned by 180° and transposed
	if turned && g.Precision.tiled() {
		p := borrowWeights(s.kh, s.kw, s.cout, s.cin, g.Precision)
		defer p.release()
		p.fill(w, true)
		amxForward(dx, dy, p, s.flipped(), epilogue{accumulate: true})
		return
	}
	if g.Precision == BFloat16 {
		o, release := rounded(dy[:s.outputs()], w[:s.weights()])
		defer release()
		dy, w = o[0], o[1]
	}
	if !turned {
		t.scatterGrad(dx, dy, w, s)
		return
	}
	p := t.flippedPanels(w, s)
	defer p.release()
	t.correlate(dx, dy, p, s.flipped(), epilogue{accumulate: true})
}

// ConvWeightGrad adds to dw (KH×KW×Cin×Cout) and dbias (Cout) the gradients with respect to the weights and the bias of
// the loss whose gradient with respect to y is dy (N×OutH×OutW×Cout), x being the forward pass's input (N×H×W×Cin):
//
//	dw[ky][kx][c][o] += Σ_{n,i,j} x[n][i*Stride+ky-PadH][j*Stride+kx-PadW][c] * dy[n][i][j][o]
//	dbias[o]         += Σ_{n,i,j} dy[n][i][j][o]
//
// Either of dw and dbias may be nil. It panics if the shapes do not fit.
func ConvWeightGrad(dw, dbias, dy, x []float32, g Conv) {
	s := g.shape("ConvWeightGrad")
	g.need("ConvWeightGrad", "dy", dy, s.outputs())
	if dbias != nil {
		g.need("ConvWeightGrad", "dbias", dbias, g.Cout)
		biasGrad(dbias[:g.Cout], dy, g.N*s.ho*s.wo)
	}
	if dw == nil || g.N == 0 {
		return
	}
	g.need("ConvWeightGrad", "dw", dw, s.weights())
	g.need("ConvWeightGrad", "x", x, s.inputs())
	if g.Precision.tiled() {
		amxWeightGrad(dw, dy, x, s, g.Precision == BFloat16x3)
		return
	}
	if g.Precision == BFloat16 {
		o, release := rounded(dy[:s.outputs()], x[:s.inputs()])
		defer release()
		dy, x = o[0], o[1]
	}
	t := currentTiler()
	if t.narrow(&s) {
		t.weightGradNarrow(dw, dy, x, s)
		return
	}
	if t.winogradGradPays(&s) {
		t.winogradWeightGrad(dw, dy, x, s)
		return
	}
	t.weightGrad(dw, dy, x, s)
}

// convShape is Conv with the derived sizes, and a padding of its own for each direction (rows above, columns to the
// left; below and to the right it is whatever the output needs). Pixels of the output are ldy floats apart.
type convShape struct {
	n, h, w, cin, cout, kh, kw, stride, padH, padW, ho, wo, ldy int
}

// shape checks g.
func (g Conv) shape(what string) convShape {
	if g.N < 0 || g.H < 1 || g.W < 1 || g.Cin < 1 || g.Cout < 1 || g.KH < 1 || g.KW < 1 || g.Stride < 1 || g.PadH < 0 || g.PadW < 0 ||
		g.H+2*g.PadH < g.KH || g.W+2*g.PadW < g.KW {
		panic(fmt.Sprintf("kernel: %s: impossible shape %+v", what, g))
	}
	return convShape{g.N, g.H, g.W, g.Cin, g.Cout, g.KH, g.KW, g.Stride, g.PadH, g.PadW, g.OutH(), g.OutW(), g.Cout}
}

// need panics unless the operand called name has at least n floats.
func (g Conv) need(what, name string, s []float32, n int) {
	if len(s) < n {
		panic(fmt.Sprintf("kernel: %s: %s has %d floats, %+v needs %d", what, name, len(s), g, n))
	}
}

func (s *convShape) inputs() int  { return s.n * s.h * s.w * s.cin }
func (s *convShape) outputs() int { return s.n * s.ho * s.wo * s.cout }
func (s *convShape) weights() int { return s.kh * s.kw * s.cin * s.cout }

// pointwise reports whether each output pixel reads just its own input pixel.
func (s *convShape) pointwise() bool {
	return s.kh == 1 && s.kw == 1 && s.stride == 1 && s.padH == 0 && s.padW == 0
}

// flipped is the shape of the convolution that computes the input gradient from dy, at stride 1.
func (s *convShape) flipped() convShape {
	return convShape{s.n, s.ho, s.wo, s.cout, s.cin, s.kh, s.kw, 1, s.kh - 1 - s.padH, s.kw - 1 - s.padW, s.h, s.w, s.cin}
}

// flippedPanels packs the weights as flipped needs them: row (ky, kx, o), column c holds w[KH-1-ky][KW-1-kx][c][o].
func (t tiler) flippedPanels(w []float32, s convShape) *panels {
	taps := s.kh * s.kw
	p := t.newPanels(taps*s.cout, s.cin, 0)
	grain := 1
	if s.weights() < 1<<14 {
		grain = taps
	}
	For(taps, grain, func(i0, i1 int) {
		for tap := i0; tap < i1; tap++ {
			src := w[(taps-1-tap)*s.cin*s.cout:]
			for j := range p.count {
				p.fill(j, tap*s.cout, src, s.cout, 1, s.cout)
			}
		}
	})
	return p
}

// biasGrad adds the rows of dy (pixels × channels) to db one after the other, eight channels at a time in registers.
func biasGrad(db, dy []float32, pixels int) {
	c := len(db)
	if pixels == 0 {
		return
	}
	grain := 8
	if pixels*c < serialWork/8 {
		grain = c + 8
	}
	For(c, grain, func(c0, c1 int) {
		for ; c1-c0 >= 8; c0 += 8 {
			d := (*[8]float32)(db[c0:])
			s0, s1, s2, s3, s4, s5, s6, s7 := d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]
			for i := c0; i < pixels*c; i += c {
				v := (*[8]float32)(dy[i:])
				s0 += v[0]
				s1 += v[1]
				s2 += v[2]
				s3 += v[3]
				s4 += v[4]
				s5 += v[5]
				s6 += v[6]
				s7 += v[7]
			}
			*d = [8]float32{s0, s1, s2, s3, s4, s5, s6, s7}
		}
		for ; c0 < c1; c0++ {
			s := db[c0]
			for i := c0; i < pixels*c; i += c {
				s += dy[i]
			}
			db[c0] = s
		}
	})
}
