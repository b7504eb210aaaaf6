package sampler

import (
	"math"
	"testing"
)

// The known answers that Random123, the authors' library, publishes for philox4x32 with 10 rounds.
func TestPhiloxKnownAnswers(t *testing.T) {
	const f = math.MaxUint32
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{want: [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(c.counter, c.key); got != c.want {
			t.Errorf("philox(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

// The values that stable-diffusion-webui's imitation of torch.randn on a card states for seed 0. Its transform runs in
// float64, so that float32 rounding separates us: of the angle (4e-7 times a radius up to 2.7) and of the result.
func TestTorchCUDAValues(t *testing.T) {
	want := []float64{-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122, -0.32838709,
		-1.07454231, -0.36314407, -1.67105067, 2.26550497}
	got := make([]float64, len(want))
	NewTorchCUDA(0, 0).Normal32(got)
	for i, w := range want {
		if d := math.Abs(got[i] - w); !(d <= 2e-6) {
			t.Errorf("value %d is %v, want %v", i, got[i], w)
		}
	}
}

// A tensor larger than the card: threads go on with the other three values of their block, then with their next block,
// and the next tensor begins after the blocks used.
func TestTorchCUDALayout(t *testing.T) {
	const threads, n = 256, 4*256 + 300
	got, next := make([]float64, n), make([]float64, 5)
	g := NewTorchCUDA(9, threads)
	g.Normal32(got)
	g.Normal32(next)
	value := func(block, thread uint32, j int) float64 {
		w := philox([4]uint32{block, 0, thread, 0}, [2]uint32{9, 0})
		a, b := curandBoxMuller(w[j&2], w[j&2+1])
		return []float64{a, b}[j&1]
	}
	for i, v := range got {
		if want := value(uint32(i/(4*threads)), uint32(i%threads), i/threads%4); v != want {
			t.Fatalf("value %d is %v, want %v", i, v, want)
		}
	}
	for i, v := range next {
		if want := value(2, uint32(i), 0); v != want {
			t.Errorf("value %d of the next tensor is %v, want %v", i, v, want)
		}
	}
	small := make([]float64, 256)
	NewTorchCUDA(9, 0).Normal32(small)
	for i, v := range small { // a smaller tensor is the beginning of a larger one as far as both fit
		if v != got[i] {
			t.Fatalf("value %d is %v in a tensor of 256, %v in one of %d", i, v, got[i], n)
		}
	}
}

// Against exact arithmetic: a product of integers that float64 holds, plus a number far below.
func TestFMA32(t *testing.T) {
	r := Stream(1, "fma")
	for range 200_000 {
		a, b := float32(r.NormFloat64()), float32(r.NormFloat64())
		c := float32(-float64(a) * float64(b) * (1 + float64(r.IntN(3)-1)*0x1p-24)) // cancels nearly
		if r.IntN(2) == 0 {
			c = float32(r.NormFloat64() * math.Exp2(float64(r.IntN(80)-40)))
		}
		// FMA in float64 rounds once; where that is no tie of float32, rounding again is right.
		s := math.FMA(float64(a), float64(b), float64(c))
		if math.Float64bits(s)&(1<<29-1) == 1<<28 {
			continue
		}
		if got := fma32(a, b, c); got != float32(s) {
			t.Fatalf("fma32(%v, %v, %v) = %v, want %v", a, b, c, got, float32(s))
		}
	}
	// 1 + 2^-23 + 2^-24 - 2^-60 lies just below the middle of two float32; rounded to float64 first it would be the middle.
	if got, want := fma32(0x1p-24*(1+0x1p-18), 1-0x1p-18, 1+0x1p-23), float32(1+0x1p-23); got != want {
		t.Errorf("just below a tie: %v, want %v", got, want)
	}
	if got, want := fma32(-0x1p-24*(1+0x1p-18), 1-0x1p-18, -1-0x1p-23), float32(-1-0x1p-23); got != want {
		t.Errorf("just above a negative tie: %v, want %v", got, want)
	}
}
