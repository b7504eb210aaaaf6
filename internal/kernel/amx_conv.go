package kernel

import "unsafe"

// amxWeights are the weights of a convolution as tiles read them.
type amxWeights struct {
	cin, cout, kh, kw int
	split             bool
	groups            int // of 32 input channels
	data              []uint16
	borrowed          scratch
}

// borrowWeights returns weights for the time of a call, yet to be filled; give them back with release.
func borrowWeights(kh, kw, cin, cout int, precision Precision) *amxWeights {
	p := newWeights(kh, kw, cin, cout, precision)
	buf := borrowBF16(p.size())
	p.data, p.borrowed = buf.n, buf.scratch
	return p
}

func newWeights(kh, kw, cin, cout int, p Precision) *amxWeights {
	return &amxWeights{cin: cin, cout: cout, kh: kh, kw: kw, split: p == BFloat16x3, groups: (cin-1)/amxTerms + 1}
}

func (p *amxWeights) release() { p.borrowed.release() }

// steps returns how many times 32 terms a sum has.
func (p *amxWeights) steps() int { return p.kh * p.kw * p.groups }

// panels returns how many times 32 columns there are, the last ones filled up with zeros.
func (p *amxWeights) panels() int { return (p.cout-1)/amxPanel + 1 }

// size returns the length of data: by panel, tap and group of channels, the tiles of a step.
func (p *amxWeights) size() int { return p.panels() * p.steps() * amxStep(p.split) }

// panel returns the tiles of panel j.
func (p *amxWeights) panel(j int) []uint16 {
	n := p.steps() * amxStep(p.split)
	return p.data[j*n : (j+1)*n]
}

// fill packs w, KH×KW×Cin×Cout; if turned, w is KH×KW×Cout×Cin and its taps are taken in the opposite order, as convShape.flipped needs it.
func (p *amxWeights) fill(w []float32, turned bool) {
	taps, step := p.kh*p.kw, amxStep(p.split)
	grain := 1
	if taps*p.cin*p.cout < 1<<14 {
		grain = p.panels() * taps
	}
	For(p.panels()*taps, grain, func(i0, i1 int) {
		buf := borrowBF16(step)
		defer buf.release()
		for i := i0; i < i1; i++ {
			j, tap := i/taps, i%taps
			c0, cols := j*amxPanel, min(amxPanel, p.cout-j*amxPanel)
			for g := range p.groups {
				k, rows := g*amxTerms, min(amxTerms, p.cin-g*amxTerms)
				dst := p.panel(j)[(tap*p.groups+g)*step:][:step]
				if turned {
					amxTurn(dst, buf.n, p.split, w[(taps-1-tap)*p.cin*p.cout+c0*p.cin+k:], p.cin, rows, cols)
				} else {
					amxPair(dst, p.split, w[(tap*p.cin+k)*p.cout+c0:], p.cout, rows, cols)
				}
			}
		}
	})
}

// A scratchBF16 is a borrowed buffer of bfloat16 numbers.
type scratchBF16 struct {
	n []uint16
	scratch
}

// borrowBF16 is borrow for n bfloat16 numbers.
func borrowBF16(n int) scratchBF16 {
	s := borrow((n + 1) / 2)
	return scratchBF16{bf16Of(s.f)[:n], s}
}

// bf16Of returns the memory of s as bfloat16 numbers.
func bf16Of(s []float32) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(s))), 2*len(s))
}

// pairsOf returns the pairs of bfloat16 numbers of s, each as what a float32 of the same bits is called.
func pairsOf(s []uint16) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(s))), len(s)/2)
}

// How much of the input a task packs at a time: so many bytes that they stay in the second-level cache, but not more pixels than
// it takes to make the traffic of weights small.
const (
	amxBytes  = 1 << 19
	amxPixels = 512
)

// amxSteps is how many steps of a panel go by before the next run's turn: a panel's part, and a run's, stay in the first-level cache. It does
// not change a bit.
const amxSteps = 10

// An amxConv is a convolution by tiles. The input is packed without copies of patches: a plane for each tap of a row, and each tap row that the
// stride tells apart, holds the pixels that this tap meets, one after the other, in groups of 32 channels. So any 16 outputs in a row, and over
// the ends of rows, find their pixels 64 bytes apart; and taps one row (of the plane) below each other share a plane.
type amxConv struct {
	s          *convShape
	w          *amxWeights
	y, x       []float32
	init       []float32 // bias, padded to whole panels, or nil
	accumulate bool
	rectify    bool
	pixels     int // of a picture of y; if it has fewer than ho·wo, those at its end are not there
	reach      int // rows of a plane below the outputs' own
	band       int // rows of y in a unit
	bands      int // units of a picture
	plane      int // numbers of one plane and group
	unit       int // numbers of a unit
	offsets    []int
}

// amxForward computes y = x∗w with the epilogue e, of which init is padded to whole panels of amxPanel.
func amxForward(y, x []float32, w *amxWeights, s convShape, e epilogue) {
	j := amxConv{s: &s, w: w, y: y, x: x, init: e.init, accumulate: e.accumulate, rectify: e.rectify, pixels: s.ho * s.wo}
	if s.pointwise() { // any grouping of pixels is as good as another: rows of one run
		j.pixels = s.n * s.ho * s.wo
		s.n, s.w = 1, amxRows
		s.h = (j.pixels-1)/amxRows + 1
		s.ho, s.wo = s.h, s.w
	}
	j.cut()
	units := s.n * j.bands
	rows, cols := max(1, j.block()/(j.band*s.wo)), w.panels()
	work := s.outputs() * s.kh * s.kw * s.cin
	if work >= 8*serialWork {
		rows, cols = splitForThreads(units, w.panels(), min(rows, units), cols)
	}
	across := (w.panels()-1)/cols + 1
	tasks := ((units-1)/rows + 1) * across
	grain := 1
	if work < 8*serialWork {
		grain = tasks
	}
	For(tasks, grain, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			u0, p0 := i/across*rows, i%across*cols
			j.run(u0, min(u0+rows, units), p0, min(p0+cols, w.panels()))
		}
	})
}

// cut decides on units and their layout, and lists the steps.
func (j *amxConv) cut() {
	s := j.s
	sub := min(s.kh, s.stride) // tap rows with planes of their own
	j.reach = (s.kh - 1) / s.stride
	j.band = s.ho
	if s.ho*s.wo > 2*j.block() {
		j.band = max(1, j.block()/s.wo)
		for j.band*s.wo%amxRows != 0 && j.band < 2*j.block()/s.wo { // whole runs
			j.band++
		}
	}
	j.bands = (s.ho-1)/j.band + 1
	j.plane = (j.band + j.reach) * s.wo * amxTerms
	j.unit = sub * s.kw * j.w.groups * j.plane
	j.offsets = make([]int, 0, j.w.steps())
	for ky := range s.kh {
		for kx := range s.kw {
			for g := range j.w.groups {
				plane := (ky%s.stride*s.kw+kx)*j.w.groups + g
				j.offsets = append(j.offsets, plane*j.plane+ky/s.stride*s.wo*amxTerms)
			}
		}
	}
}

// block returns about how many pixels a task should pack at a time.
func (j *amxConv) block() int {
	bytes := min(j.s.kh, j.s.stride) * j.s.kw * j.w.groups * amxTerms * 2
	if j.w.split {
		bytes *= 2
	}
	return min(amxPixels, max(2*amxRows, amxBytes/bytes))
}

// An amxOut says where a run's sums go: rows of them, from pixel on, counted over the batch.
type amxOut struct{ pixel, rows int }

// run computes the units [u0, u1), counted over the batch, for the panels [p0, p1).
func (j *amxConv) run(u0, u1, p0, p1 int) {
	s := j.s
	size := (u1-u0)*j.unit + amxRows*amxTerms // the last run of a unit reads past it
	parts := 1
	if j.w.split {
		parts = 2
	}
	in := borrowBF16(parts * size)
	defer in.release()
	a := amxA{data: in.n, offsets: j.offsets, ld: amxTerms}
	if j.w.split {
		a.split = size
	}
	var outs []amxOut
	for u := u0; u < u1; u++ {
		n, i0 := u/j.bands, u%j.bands*j.band
		rows := min(j.band, s.ho-i0)
		j.pack(in.n[(u-u0)*j.unit:], a.split, n, i0, rows)
		have := min(rows*s.wo, j.pixels-i0*s.wo)
		for r := 0; r < have; r += amxRows {
			a.starts = append(a.starts, (u-u0)*j.unit+r*amxTerms)
			outs = append(outs, amxOut{n*j.pixels + i0*s.wo + r, min(amxRows, have-r)})
		}
	}
	if len(a.starts)%2 != 0 {
		a.starts = append(a.starts, a.starts[len(a.starts)-1])
	}
	sums := borrow(len(a.starts) * amxRun)
	defer sums.release()
	for p := p0; p < p1; p++ {
		j.panel(&a, outs, sums.f, p)
	}
}

// panel computes the sums of all runs with panel p, and puts them where they belong.
func (j *amxConv) panel(a *amxA, outs []amxOut, sums []float32, p int) {
	s := j.s
	b, per := j.w.panel(p), amxStep(j.w.split)
	var bias []float32
	if j.init != nil {
		bias = j.init[p*amxPanel:][:amxPanel]
	}
	steps := len(j.offsets)
	parts := (steps-1)/amxSteps + 1
	for i := range parts {
		q0, q1 := i*steps/parts, (i+1)*steps/parts
		part := *a
		part.offsets = j.offsets[q0:q1]
		amxMultiply(sums, &part, b[q0*per:q1*per], bias, i == 0)
	}
	cols := min(amxPanel, s.cout-p*amxPanel)
	for r, o := range outs {
		y := j.y[o.pixel*s.ldy+p*amxPanel:]
		if j.accumulate {
			AddStrided(y, s.ldy, sums[r*amxRun:], amxPanel, o.rows, cols, 1)
		} else {
			copyRows(y, s.ldy, sums[r*amxRun:], amxPanel, o.rows, cols)
		}
		if j.rectify {
			RectifyStrided(y, s.ldy, o.rows, cols)
		}
	}
}

// pack fills the planes of one unit: rows rows of y from row i0 of picture n on.
func (j *amxConv) pack(dst []uint16, split, n, i0, rows int) {
	s := j.s
	width := s.wo * amxTerms
	for py := range min(s.kh, s.stride) {
		for kx := range s.kw {
			lo, hi := s.span(kx, s.wo)
			for r := range rows + j.reach {
				yy := (i0+r)*s.stride + py - s.padH
				for g := range j.w.groups {
					row := dst[((py*s.kw+kx)*j.w.groups+g)*j.plane+r*width:]
					if yy < 0 || yy >= s.h || lo >= hi {
						clearBoth(row, split, 0, width)
						continue
					}
					clearBoth(row, split, 0, lo*amxTerms)
					clearBoth(row, split, hi*amxTerms, width)
					have := hi - lo
					from := (n*s.h+yy)*s.w + lo*s.stride + kx - s.padW
					if n*s.h*s.w+j.pixels < from+have && s.pointwise() { // the last row of pixels is not whole
						have = n*s.h*s.w + j.pixels - from
						clearBoth(row, split, have*amxTerms, width)
					}
					src := j.x[from*s.cin+g*amxTerms:]
					amxNarrow(row[lo*amxTerms:], split, src, s.stride*s.cin, have, min(amxTerms, s.cin-g*amxTerms))
				}
			}
		}
	}
}

// span returns which of width outputs of a row have a pixel under tap kx: those in [lo, hi).
func (s *convShape) span(kx, width int) (lo, hi int) {
	lo = max(0, (s.padW-kx+s.stride-1)/s.stride)
	hi = min(width, max(0, s.w-1+s.padW-kx+s.stride)/s.stride)
	return min(lo, width), hi
}

// clearBoth clears the numbers [from, to) of a row, and of what the rounding left of it.
func clearBoth(row []uint16, split, from, to int) {
	clear(row[from:to])
	if split != 0 {
		clear(row[split+from : split+to])
	}
}

// copyRows is CopyStrided, faster for rows of a whole panel.
func copyRows(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	if cols == amxPanel && Current() >= AVX512BF16 {
		needStrided("copyRows", dst, dstStride, src, srcStride, rows, cols)
		copyRowsSIMD(dst, dstStride, src, srcStride, rows)
		return
	}
	CopyStrided(dst, dstStride, src, srcStride, rows, cols)
}
