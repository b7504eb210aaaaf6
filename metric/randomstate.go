package metric

import "fmt"

// A RandomState is NumPy's legacy generator of that name (the Mersenne Twister MT19937 of Matsumoto and Nishimura 1998, seeded by Knuth's
// recurrence), as far as the peers use it to shuffle: the same seed gives the same permutations as numpy.random.RandomState(seed).
type RandomState struct {
	key [624]uint32
	pos int
}

// NewRandomState seeds the generator as numpy.random.RandomState(seed) does.
func NewRandomState(seed uint32) *RandomState {
	r := &RandomState{pos: 624}
	r.key[0] = seed
	for i := 1; i < 624; i++ {
		r.key[i] = 1812433253*(r.key[i-1]^r.key[i-1]>>30) + uint32(i)
	}
	return r
}

// Uint32 returns the next 32 bits.
func (r *RandomState) Uint32() uint32 {
	if r.pos == 624 {
		r.twist()
	}
	y := r.key[r.pos]
	r.pos++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (r *RandomState) twist() {
	for i := range r.key {
		y := r.key[i]&0x80000000 | r.key[(i+1)%624]&0x7fffffff
		r.key[i] = r.key[(i+397)%624] ^ y>>1 ^ y&1*0x9908b0df
	}
	r.pos = 0
}

// Perm returns a permutation of 0 … n−1, that of RandomState.permutation(n). It panics unless 0 ≤ n < 2³².
func (r *RandomState) Perm(n int) []int {
	if n < 0 || uint64(n) > 1<<32-1 {
		panic(fmt.Sprintf("metric: a permutation of %d", n))
	}
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := r.upTo(uint32(i))
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// Choice returns m different numbers below n, those of RandomState.choice(n, m, replace=False). It panics unless 0 ≤ m ≤ n < 2³².
func (r *RandomState) Choice(n, m int) []int { return r.Perm(n)[:m:m] }

// upTo draws from 0 … most by rejection from the next power of two.
func (r *RandomState) upTo(most uint32) uint32 {
	mask := most
	for s := 1; s < 32; s *= 2 {
		mask |= mask >> s
	}
	for {
		if v := r.Uint32() & mask; v <= most {
			return v
		}
	}
}
