package sampler

import (
	"fmt"
	"math"
)

// A Torch is PyTorch's random generator on a CPU: after torch.manual_seed(s), or with torch.Generator().manual_seed(s),
// torch.randn gives the numbers that [NewTorch](s) gives, bit for bit, shape by shape. It is the Mersenne Twister
// MT19937 (Matsumoto and Nishimura 1998), seeded with the low 32 bits of s, and two ways to normals which depend on
// the size of the tensor, see [Torch.Normal32]. A Torch is not safe for concurrent use.
//
// The transforms need logarithm, sine and cosine to the last bit. Reproduced is what the x86-64 packages compute on
// processors with AVX2 and FMA, with or without AVX-512: the polynomials of Cephes for large float32 tensors, and glibc's
// functions as Debian 12 builds them for the rest. Where PyTorch takes another path (ARM, no AVX2,
// ATEN_CPU_CAPABILITY=default, another C library), the uniforms are the same and the normals agree to about 1e-6
// (large float32 tensors) or 1e-15 (float64), and small float32 tensors in practice to the bit.
type Torch struct {
	state  [mtWords]uint32
	next   int // index of the next word; mtWords when the state is used up
	cached bool
	second float64 // the second normal of a pair, kept between small tensors
}

const (
	mtWords  = 624
	mtMiddle = 397
)

// NewTorch returns the generator after manual_seed(seed). Seeds that agree in their low 32 bits are the same seed.
func NewTorch(seed uint64) *Torch {
	g := &Torch{next: mtWords}
	g.state[0] = uint32(seed)
	for i := 1; i < mtWords; i++ {
		p := g.state[i-1]
		g.state[i] = 1812433253*(p^p>>30) + uint32(i)
	}
	return g
}

// word returns the next 32 bits.
func (g *Torch) word() uint32 {
	if g.next == mtWords {
		g.advance()
	}
	y := g.state[g.next]
	g.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// advance replaces the whole state by its successor.
func (g *Torch) advance() {
	for i := range g.state {
		y := g.state[i]&(1<<31) | g.state[(i+1)%mtWords]&(1<<31-1)
		v := g.state[(i+mtMiddle)%mtWords] ^ y>>1
		if y&1 != 0 {
			v ^= 0x9908b0df
		}
		g.state[i] = v
	}
	g.next = 0
}

// uniform32 returns a multiple of 2^-24 in [0, 1).
func (g *Torch) uniform32() float32 { return float32(g.word()&(1<<24-1)) * 0x1p-24 }

// uniform64 returns a multiple of 2^-53 in [0, 1); the first word drawn is the high one.
func (g *Torch) uniform64() float64 {
	v := uint64(g.word()) << 32
	v |= uint64(g.word())
	return float64(v&(1<<53-1)) * 0x1p-53
}

// torchBlock is the number of values that large tensors make at a time: 8 radii and 8 angles.
const torchBlock = 16

// Normal32 fills dst with the unit normals of torch.randn(len(dst), dtype=torch.float32), widened.
//
// Fewer than 16 values come one by one from pairs of float64 uniforms, where the second of a pair waits for the next
// value, also that of a later small tensor. From 16 on, all uniforms are drawn first and each block of 16 is
// transformed in place by Box and Muller's formula, values 0 to 7 with 8 to 15; if the size is no multiple of
// 16, the last 16 values are drawn and transformed afresh. A tensor is therefore no beginning of a larger one.
func (g *Torch) Normal32(dst []float64) {
	if len(dst) < torchBlock {
		for i := range dst {
			dst[i] = float64(float32(g.single()))
		}
		return
	}
	g.blocks(dst, func() float64 { return float64(g.uniform32()) }, boxMuller32)
}

// Normal64 fills dst with the unit normals of torch.randn(len(dst), dtype=torch.float64); see [Torch.Normal32].
func (g *Torch) Normal64(dst []float64) {
	if len(dst) < torchBlock {
		for i := range dst {
			dst[i] = g.single()
		}
		return
	}
	g.blocks(dst, g.uniform64, boxMuller64)
}

// single returns the next normal of a small tensor.
func (g *Torch) single() float64 {
	if g.cached {
		g.cached = false
		return g.second
	}
	u1, u2 := g.uniform64(), g.uniform64()
	r := math.Sqrt(-2 * libmLog1p(-u2))
	sin, cos := libmSinCos(2 * math.Pi * u1)
	g.second, g.cached = r*sin, true
	return r * cos
}

// blocks is the way of tensors of at least one block.
func (g *Torch) blocks(dst []float64, uniform func() float64, transform func(*[torchBlock]float64)) {
	fill := func(part []float64) {
		for i := range part {
			part[i] = uniform()
		}
	}
	fill(dst)
	n := len(dst)
	for i := 0; i+torchBlock <= n; i += torchBlock {
		transform((*[torchBlock]float64)(dst[i:]))
	}
	if n%torchBlock != 0 {
		tail := dst[n-torchBlock:]
		fill(tail)
		transform((*[torchBlock]float64)(tail))
	}
}

// boxMuller64 turns 16 uniforms into normals as the scalar float64 code does.
func boxMuller64(d *[torchBlock]float64) {
	for j := range torchBlock / 2 {
		radius := math.Sqrt(-2 * libmLog(1-d[j]))
		sin, cos := libmSinCos(2 * math.Pi * d[j+torchBlock/2])
		d[j], d[j+torchBlock/2] = radius*cos, radius*sin
	}
}

// boxMuller32 turns 16 uniforms into normals as the AVX2 code does: float32 throughout, with the polynomials of
// the Cephes library for logarithm, sine and cosine.
func boxMuller32(d *[torchBlock]float64) {
	for j := range torchBlock / 2 {
		radius := sqrt32(-2 * cephesLog(1-float32(d[j])))
		sin, cos := cephesSinCos(2 * math.Pi * float32(d[j+torchBlock/2]))
		// Adding the mean, 0, leaves no negative zero.
		d[j], d[j+torchBlock/2] = float64(radius*cos)+0, float64(radius*sin)+0
	}
}

// TorchNoise returns a source of unit normals for a batch of len(seeds) pictures of perImage numbers each, as
// diffusers draws them on a CPU from a list of generators, one a picture: the first call gives
// torch.randn(perImage, generator=g) in float32, the starting noise, and each later call the next such tensor of the same
// generator, the noise of the steps in the order in which a solver asks. [White] makes it fit [Options.Noise]; the function
// panics if dst is not the whole batch and is not safe for concurrent use.
func TorchNoise(seeds []uint64, perImage int) func(dst []float64) {
	generators := make([]normalSource, len(seeds))
	for i, s := range seeds {
		generators[i] = NewTorch(s).Normal32
	}
	return eachPicture("TorchNoise", generators, perImage)
}

// normalSource fills a buffer with the next normals of one picture.
type normalSource func(dst []float64)

// eachPicture joins the sources of single pictures to one of a batch.
func eachPicture(name string, sources []normalSource, perImage int) func(dst []float64) {
	return func(dst []float64) {
		if len(dst) != len(sources)*perImage {
			panic(fmt.Sprintf("sampler: %s for %d pictures of %d numbers got a buffer of %d", name, len(sources), perImage, len(dst)))
		}
		for i, fill := range sources {
			fill(dst[i*perImage : (i+1)*perImage])
		}
	}
}
