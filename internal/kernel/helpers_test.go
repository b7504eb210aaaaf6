package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"diffuse/internal/kernel"
)

// eachLevel runs f once for every level up to Best, and fails where the machine has more than the kernels use.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for l := kernel.Generic; l <= kernel.Best(); l++ {
		t.Run(l.String(), func(t *testing.T) {
			defer kernel.SetLevel(l)()
			f(t)
		})
	}
}

// guard is the value around the outputs that a kernel must leave alone.
const guard = float32(-77.25)

// guarded returns a slice of n floats with guard bands on both sides, and a check of them.
func guarded(n int) ([]float32, func(t *testing.T)) {
	const band = 64
	whole := make([]float32, n+2*band)
	for i := range whole {
		whole[i] = guard
	}
	return whole[band : band+n : band+n], func(t *testing.T) {
		t.Helper()
		for i := range band {
			if whole[i] != guard || whole[band+n+i] != guard {
				t.Fatalf("guard band overwritten %d before or %d after the output", band-i, i)
			}
		}
	}
}

func randoms(rng *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = float32(rng.NormFloat64())
	}
	return s
}

// sum is one element of a reference: its value in float64, the sum of its terms' sizes, and their number.
type sum struct {
	v, abs float64
	n      int
}

func (s *sum) add(x, y float32) {
	p := float64(x) * float64(y)
	s.v += p
	s.abs += math.Abs(p)
	s.n++
}

// closeTo checks got against the reference: a float32 sum of n products, each rounded once and each addition
// rounded once, in any order, is within (n+1)·2^-24·Σ|terms| of the truth (Higham, Accuracy and Stability, 3.1),
// to which adds the rounding of the start value.
func closeTo(t *testing.T, what string, got []float32, want []sum) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		tol := float64(w.n+2) * math.Exp2(-24) * (w.abs + 1e-30)
		if d := math.Abs(float64(got[i]) - w.v); !(d <= tol) {
			t.Fatalf("%s: [%d] = %g, want %g (off by %g, allowed %g)", what, i, got[i], w.v, d, tol)
		}
	}
}

// sameBits checks that two results agree to the last bit.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: [%d] = %g, want the bits of %g", what, i, got[i], want[i])
		}
	}
}

func mustPanic(t *testing.T, what, contains string, f func()) {
	t.Helper()
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), contains) {
			t.Errorf("%s: panic %v, want one that mentions %q", what, r, contains)
		}
	}()
	f()
}

// TestLevels fails, rather than skips, when the CPU has what a level needs and the kernels do not offer it.
func TestLevels(t *testing.T) {
	if l := kernel.Current(); l != kernel.Best() {
		t.Fatalf("Current() = %v before SetLevel, Best() = %v", l, kernel.Best())
	}
	restore := kernel.SetLevel(kernel.Generic)
	if kernel.Current() != kernel.Generic {
		t.Fatal("SetLevel(Generic) has no effect")
	}
	restore()
	if kernel.Current() != kernel.Best() {
		t.Fatal("restore has no effect")
	}
	mustPanic(t, "SetLevel(9)", "not available", func() { kernel.SetLevel(9) })
	if runtime.GOARCH != "amd64" || noasm {
		if kernel.Best() != kernel.Generic {
			t.Fatalf("Best() = %v in a build without assembly", kernel.Best())
		}
		return
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("no /proc/cpuinfo to compare with")
	}
	has := func(names ...string) bool {
		for _, n := range names {
			if !strings.Contains(string(info), " "+n+" ") || strings.Contains(os.Getenv("GODEBUG"), "cpu."+n+"=off") {
				return false
			}
		}
		return true
	}
	want := kernel.Generic
	if has("avx2", "fma") {
		want = kernel.AVX2
		if has("avx512f", "avx512bw", "avx512dq", "avx512vl") {
			want = kernel.AVX512
			if has("avx512_bf16") {
				want = kernel.AVX512BF16
				if has("amx_tile", "amx_bf16") && tilesGranted() {
					want = kernel.AMX
				}
			}
		}
	}
	if kernel.Best() != want {
		t.Fatalf("Best() = %v, but this CPU with GODEBUG=%q calls for %v", kernel.Best(), os.Getenv("GODEBUG"), want)
	}
}
