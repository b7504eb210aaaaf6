package sampler

import "math"

// A TorchCUDA is PyTorch's random generator on an NVIDIA card: after manual_seed(s) on a CUDA generator, torch.randn in
// float32 gives the numbers of [NewTorchCUDA](s, threads). It is Philox4x32-10 (Salmon et al. 2011), where every thread of the
// launch has a sequence of its own, read four words at a time, and cuRAND's Box-Muller transform.
//
// The words are exact. The transform on the card takes sine and cosine from its special function unit, whose
// last bits are documented only as bounds (2^-21 absolute), and a logarithm that may be one unit off in the last place. Here both are
// the correctly rounded float32, so that normals agree to about 3e-6 and not bit for bit.
type TorchCUDA struct {
	key     [2]uint32
	counter uint64 // four-word blocks that each thread has used
	threads int
}

// cudaBlock is the number of threads in a block of the kernel that fills tensors.
const cudaBlock = 256

// NewTorchCUDA returns the generator after manual_seed(seed). threads is how many threads the card holds at a time, the
// number of multiprocessors times the threads of each (221,184 = 108·2048 for an A100, 40,960 = 40·1024 for a T4), a multiple
// of 256: values beyond that number come from later draws of the same threads. 0 means that every tensor fits, which is
// how a card and all its larger successors agree. A negative number or another multiple panics.
func NewTorchCUDA(seed uint64, threads int) *TorchCUDA {
	if threads < 0 || threads%cudaBlock != 0 {
		panic("sampler: NewTorchCUDA: threads must be a multiple of 256")
	}
	return &TorchCUDA{key: [2]uint32{uint32(seed), uint32(seed >> 32)}, threads: threads}
}

// Normal32 fills dst with the unit normals of torch.randn(len(dst), dtype=torch.float32, device="cuda"), widened.
// With T threads at work, value i is number i/T mod 4 of the block that thread i mod T draws in round i/4T.
func (g *TorchCUDA) Normal32(dst []float64) {
	if len(dst) == 0 {
		return
	}
	t := (len(dst) + cudaBlock - 1) / cudaBlock * cudaBlock
	if g.threads > 0 {
		t = min(t, g.threads)
	}
	for round := 0; round < len(dst); round += 4 * t {
		for thread := 0; thread < t && round+thread < len(dst); thread++ {
			words := philox([4]uint32{uint32(g.counter), uint32(g.counter >> 32), uint32(thread), 0}, g.key)
			var four [4]float64
			four[0], four[1] = curandBoxMuller(words[0], words[1])
			four[2], four[3] = curandBoxMuller(words[2], words[3])
			for j, v := range four {
				if i := round + thread + j*t; i < len(dst) {
					dst[i] = v
				}
			}
		}
		g.counter++
	}
}

// philox is the bijection Philox4x32-10 of 128-bit counters.
func philox(c [4]uint32, key [2]uint32) [4]uint32 {
	for range 10 {
		a, b := 0xd2511f53*uint64(c[0]), 0xcd9e8d57*uint64(c[2])
		c = [4]uint32{uint32(b>>32) ^ c[1] ^ key[0], uint32(b), uint32(a>>32) ^ c[3] ^ key[1], uint32(a)}
		key[0] += 0x9e3779b9
		key[1] += 0xbb67ae85
	}
	return c
}

// curandBoxMuller turns two words into two normals, sine first.
func curandBoxMuller(x, y uint32) (float64, float64) {
	const unit = 0x1p-32
	angle := float32(unit * float32(2*math.Pi))
	u := fma32(float32(x), unit, unit/2)
	v := fma32(float32(y), angle, angle/2)
	s := sqrt32(-2 * float32(math.Log(float64(u))))
	sin, cos := math.Sincos(float64(v))
	return float64(s * float32(sin)), float64(s * float32(cos))
}

// TorchCUDANoise is [TorchNoise] with one [TorchCUDA] a picture. threads is that of [NewTorchCUDA].
func TorchCUDANoise(seeds []uint64, perImage, threads int) func(dst []float64) {
	generators := make([]normalSource, len(seeds))
	for i, s := range seeds {
		generators[i] = NewTorchCUDA(s, threads).Normal32
	}
	return eachPicture("TorchCUDANoise", generators, perImage)
}
