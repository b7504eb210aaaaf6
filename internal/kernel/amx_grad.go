package kernel

// An amxGrad is the weight gradient of a convolution by tiles: for each tap, the product of xᵀ (channels × pixels) with dy (pixels × channels).
// Pixels are counted with the gaps that make taps a mere shift: rows of wo outputs and as many zeros of dy as taps reach to the side,
// pictures of ho rows and as many rows of zeros as they reach below. x is packed by channel for each way in which the stride
// tells taps apart.
type amxGrad struct {
	s              *convShape
	dy, x          []float32
	split          bool
	subY, subX     int // taps that the stride tells apart
	pitch, picture int // numbers of a row and of a picture
	group          int // pictures in hand at a time
	terms, length  int // pixels in hand, and numbers of a channel, which taps reach beyond these
	runs           int // of 16 input channels
	panels         int // of 32 output channels
	starts         []int
	offsets        []int
	xs, dys        scratchBF16
	xPart, dyPart  int // numbers of the larger parts
	sums           scratch
}

// amxGradPixels is how many numbers of x, at least one picture, are in hand at a time.
const amxGradPixels = 1 << 19

// amxWeightGrad adds the gradient to dw.
func amxWeightGrad(dw, dy, x []float32, s convShape, split bool) {
	j := amxGrad{s: &s, dy: dy, x: x, split: split}
	j.cut()
	defer j.reserve()()
	small := s.outputs()*s.kh*s.kw*s.cin < 8*serialWork
	spread := func(n int, f func(i int)) {
		grain := 1
		if small {
			grain = n
		}
		For(n, grain, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				f(i)
			}
		})
	}
	chunk := len(j.starts)
	if want := (wantedTasks()-1)/j.panels + 1; !small && want > 1 {
		chunk = max(2, (chunk/want+1)/2*2)
	}
	chunks := (len(j.starts)-1)/chunk + 1
	for n0 := 0; n0 < s.n; n0 += j.group {
		count := min(j.group, s.n-n0)
		spread(j.subY*j.subX*j.runs, func(i int) { j.packX(i, n0, count) })
		spread(j.panels, func(i int) { j.packDY(i, n0, count) })
		spread(j.panels*chunks, func(i int) {
			r0 := i % chunks * chunk
			j.multiply(i/chunks, r0, min(r0+chunk, len(j.starts)), n0 == 0)
		})
	}
	spread(j.panels, func(i int) { j.store(dw, i) })
}

// cut decides on the layout.
func (j *amxGrad) cut() {
	s := j.s
	j.subY, j.subX = min(s.kh, s.stride), min(s.kw, s.stride)
	reachY, reachX := (s.kh-1)/s.stride, (s.kw-1)/s.stride
	j.pitch = s.wo + reachX
	j.picture = (s.ho + reachY) * j.pitch
	j.runs, j.panels = (s.cin-1)/amxRows+1, (s.cout-1)/amxPanel+1
	j.group = max(1, min(s.n, amxGradPixels/(j.subY*j.subX*j.runs*amxRows*j.picture)))
	whole := func(n int) int { return (n + amxTerms - 1) / amxTerms * amxTerms }
	j.terms = whole(j.group * j.picture)
	j.length = whole(j.terms + reachY*j.pitch + reachX)
	for ky := range s.kh {
		for kx := range s.kw {
			plane := ky%s.stride*j.subX + kx%s.stride
			for r := range j.runs {
				j.starts = append(j.starts, (plane*j.runs+r)*amxRows*j.length+ky/s.stride*j.pitch+kx/s.stride)
			}
		}
	}
	if len(j.starts)%2 != 0 {
		j.starts = append(j.starts, j.starts[len(j.starts)-1])
	}
	for q := range j.terms / amxTerms {
		j.offsets = append(j.offsets, q*amxTerms)
	}
}

// reserve borrows the buffers, and returns what gives them back.
func (j *amxGrad) reserve() (release func()) {
	j.xPart = j.subY * j.subX * j.runs * amxRows * j.length
	j.dyPart = j.panels * len(j.offsets) * amxStep(j.split)
	parts := 1
	if j.split {
		parts = 2
	}
	j.xs, j.dys = borrowBF16(parts*j.xPart), borrowBF16(j.dyPart)
	j.sums = borrow(j.panels * len(j.starts) * amxRun)
	return func() {
		j.xs.release()
		j.dys.release()
		j.sums.release()
	}
}

// packX packs one run of channels of count pictures from n0 on, for one of the ways in which the stride tells taps apart.
func (j *amxGrad) packX(i, n0, count int) {
	s := j.s
	c0, plane := i%j.runs*amxRows, i/j.runs
	py, px := plane/j.subX, plane%j.subX
	lo, hi := s.span(px, j.pitch)
	buf := borrow(amxRows * j.length)
	defer buf.release()
	clear(buf.f)
	for n := range count {
		for r := range j.picture / j.pitch {
			yy := r*s.stride + py - s.padH
			if yy < 0 || yy >= s.h || lo >= hi {
				continue
			}
			src := j.x[(((n0+n)*s.h+yy)*s.w+lo*s.stride+px-s.padW)*s.cin+c0:]
			transpose(buf.f[n*j.picture+r*j.pitch+lo:], j.length, src, s.stride*s.cin, min(amxRows, s.cin-c0), hi-lo)
		}
	}
	split := 0
	if j.split {
		split = j.xPart
	}
	amxNarrow(j.xs.n[i*amxRows*j.length:], split, buf.f, amxTerms, amxRows*j.length/amxTerms, amxTerms)
}

// packDY packs one panel of channels of count pictures from n0 on.
func (j *amxGrad) packDY(p, n0, count int) {
	s := j.s
	cols := min(amxPanel, s.cout-p*amxPanel)
	buf := borrow(j.terms * amxPanel)
	defer buf.release()
	clear(buf.f)
	for n := range count {
		for i := range s.ho {
			src := j.dy[((n0+n)*s.ho+i)*s.wo*s.cout+p*amxPanel:]
			copyRows(buf.f[(n*j.picture+i*j.pitch)*amxPanel:], amxPanel, src, s.cout, s.wo, cols)
		}
	}
	step := amxStep(j.split)
	for q := range j.offsets {
		dst := j.dys.n[(p*len(j.offsets)+q)*step:][:step]
		amxPair(dst, j.split, buf.f[q*amxTerms*amxPanel:], amxPanel, amxTerms, amxPanel)
	}
}

// multiply adds the pixels in hand to the sums of panel p and of the runs [r0, r1), counted over the taps.
func (j *amxGrad) multiply(p, r0, r1 int, start bool) {
	a := amxA{data: j.xs.n, starts: j.starts[r0:r1], ld: j.length}
	if j.split {
		a.split = j.xPart
	}
	steps, step := len(j.offsets), amxStep(j.split)
	b := j.dys.n[p*steps*step:][:steps*step]
	sums := j.sums.f[(p*len(j.starts)+r0)*amxRun:]
	parts := (steps-1)/amxSteps + 1
	for i := range parts {
		q0, q1 := i*steps/parts, (i+1)*steps/parts
		a.offsets = j.offsets[q0:q1]
		amxMultiply(sums, &a, b[q0*step:q1*step], nil, start && i == 0)
	}
}

// store adds the sums of panel p to dw.
func (j *amxGrad) store(dw []float32, p int) {
	s := j.s
	cols := min(amxPanel, s.cout-p*amxPanel)
	for i := range s.kh * s.kw * j.runs {
		tap, c0 := i/j.runs, i%j.runs*amxRows
		sums := j.sums.f[(p*len(j.starts)+i)*amxRun:]
		AddStrided(dw[(tap*s.cin+c0)*s.cout+p*amxPanel:], s.cout, sums, amxPanel, min(amxRows, s.cin-c0), cols, 1)
	}
}
