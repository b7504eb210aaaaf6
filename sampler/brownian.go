package sampler

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// BrownianNoise returns noise for a batch of len(seeds) pictures of perImage numbers each that fits [Options.Noise]: the draw for the
// passage from one level to another is (W(to) - W(from))/sqrt(|to - from|), where W is a Brownian motion in sigma. Each picture has a
// path of its own, fixed by (its seed, purpose) alone: it does not depend on the batch, on the levels that are asked for or on their order. So
// the draws for neighbouring steps are independent unit normals, as those of [White], but the noise of one long step is the
// sum of that of the short ones in its place, and a picture converges as steps grow. k-diffusion's BrownianTreeNoiseSampler is of
// this kind.
//
// A draw with from = to belongs to no passage (see [Noise]) and is taken from the picture's [Stream]. Levels must be positive and finite,
// or it panics; so it does if dst is not the whole batch. It is not safe for concurrent use. It keeps 5 numbers per number of the
// batch and draws for its pictures on all processors.
func BrownianNoise(seeds []uint64, perImage int, purpose string) Noise {
	paths := make([]brownian, len(seeds))
	buf := func() []float64 { return make([]float64, perImage) }
	for i, s := range seeds {
		r := Stream(s, purpose)
		paths[i] = brownian{key: r.Uint64(), left: buf(), right: buf(), draw: buf(), from: displacement{w: buf()}, to: displacement{w: buf()}}
	}
	white := BatchNoise(seeds, perImage, purpose)
	return func(dst []float64, from, to float64) {
		if len(dst) != len(paths)*perImage {
			panic(fmt.Sprintf("sampler: BrownianNoise for %d pictures of %d numbers got a buffer of %d", len(paths), perImage, len(dst)))
		}
		if from == to {
			white(dst)
			return
		}
		_, _ = octave(from), octave(to) // a panic belongs to the caller's goroutine
		spread(len(paths), func(i int) { paths[i].increment(dst[i*perImage:(i+1)*perImage], from, to) })
	}
}

// spread calls f for 0 to n-1 on all processors.
func spread(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	all.Wait()
}

// bisections is how often an octave of levels is halved before a path is interpolated to the level asked for. The law of two points of a path
// is exact unless they lie in the same part, 2^-13 of an octave; a list that dense would have 120,000 levels from 80 to 0.002. Each
// halving costs one normal per number.
const bisections = 13

// brownian is one path W. It is made of octaves [2^k, 2^(k+1)] of levels, whose increments are independent. Inside an octave the
// displacement V(t) = W(t) - W(2^k) is found by bisection: the middle of a part is normal around the mean of its ends with the variance of
// the Brownian bridge. Every random vector is a function of the path's key and of its place, so nothing has to be kept.
type brownian struct {
	key         uint64
	left, right []float64 // scratch: ends of the present part
	draw        []float64 // scratch: normals of the present place
	from, to    displacement
}

// displacement is V at a level, kept because the next step starts where the last one ended.
type displacement struct {
	level float64
	w     []float64
}

// increment writes (W(to) - W(from))/sqrt(|to - from|) into dst.
func (b *brownian) increment(dst []float64, from, to float64) {
	if b.from.level != from {
		if b.to.level == from {
			b.from, b.to = b.to, b.from
		} else {
			b.displace(&b.from, from)
		}
	}
	if b.to.level != to {
		b.displace(&b.to, to)
	}
	for j, v := range b.to.w {
		dst[j] = v - b.from.w[j]
	}
	low, high, sign := octave(from), octave(to), 1.0
	if low > high {
		low, high, sign = high, low, -1
	}
	for k := low; k < high; k++ { // whole octaves between them
		b.seed(k, 0, 0)
		scale := sign * math.Sqrt(math.Ldexp(1, k))
		for j, n := range b.draw {
			dst[j] += scale * n
		}
	}
	scale := 1 / math.Sqrt(math.Abs(to-from))
	for j := range dst {
		dst[j] *= scale
	}
}

// displace makes p the displacement at level.
func (b *brownian) displace(p *displacement, level float64) {
	k := octave(level)
	lo, width := math.Ldexp(1, k), math.Ldexp(1, k)
	b.seed(k, 0, 0)
	root := math.Sqrt(width)
	for j, n := range b.draw {
		b.left[j], b.right[j] = 0, root*n
	}
	place := uint64(1) // of the part among all parts: a binary heap
	for range bisections {
		if level == lo {
			break
		}
		width /= 2
		b.seed(k, place, 0)
		sd := math.Sqrt(width / 2) // of a bridge over 2·width in its middle
		half := b.right
		if level >= lo+width {
			half = b.left
			lo += width
			place = 2*place + 1
		} else {
			place = 2 * place
		}
		left, right := b.left[:len(b.draw)], b.right[:len(b.draw)]
		half = half[:len(b.draw)]
		for j, n := range b.draw {
			half[j] = (left[j]+right[j])/2 + sd*n
		}
	}
	share := (level - lo) / width
	b.seed(k, place, math.Float64bits(level))
	sd := math.Sqrt(width * share * (1 - share))
	for j, l := range b.left {
		p.w[j] = l + share*(b.right[j]-l)
		p.w[j] += sd * b.draw[j]
	}
	p.level = level
}

// seed draws the numbers of one place of the path.
func (b *brownian) seed(octave int, place, at uint64) {
	hi := mix(b.key ^ mix(uint64(octave)+0x9e3779b97f4a7c15*place))
	n := normals(mix(hi ^ mix(at+1)))
	n.fill(b.draw)
}

// octave returns k for a level in [2^k, 2^(k+1)).
func octave(level float64) int {
	if !(level > 0) || math.IsInf(level, 0) {
		panic(fmt.Sprintf("sampler: BrownianNoise: a path has no level %v; levels are positive and finite", level))
	}
	_, exp := math.Frexp(level)
	return exp - 1
}
