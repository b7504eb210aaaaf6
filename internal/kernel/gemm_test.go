package kernel_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"diffuse/internal/kernel"
)

func referenceGemm(c, a, b []float32, m, n, k, lda, ldb, ldc int, transA, transB, accumulate bool) []sum {
	out := make([]sum, len(c))
	for i := range c {
		out[i].add(c[i], 1)
	}
	for i := range m {
		for j := range n {
			var s sum
			if accumulate {
				s = out[i*ldc+j]
			}
			for q := range k {
				ai, bi := i*lda+q, q*ldb+j
				if transA {
					ai = q*lda + i
				}
				if transB {
					bi = j*ldb + q
				}
				s.add(a[ai], b[bi])
			}
			out[i*ldc+j] = s
		}
	}
	return out
}

var gemmShapes = [][3]int{
	{1, 1, 1}, {1, 1, 0}, {2, 3, 4}, {1, 64, 33}, {5, 7, 9}, {6, 16, 8}, {7, 17, 31}, {8, 8, 8}, {13, 31, 5}, {14, 32, 16},
	{15, 33, 17}, {28, 64, 32}, {29, 65, 40}, {49, 49, 64}, {49, 64, 49}, {3, 100, 70}, {100, 3, 70}, {37, 41, 600},
	{128, 96, 110}, {200, 130, 75},
}

func TestGemm(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, s := range gemmShapes {
			for mode := range 8 {
				for _, slack := range []int{0, 3} {
					testGemm(t, s[0], s[1], s[2], slack, mode&1 != 0, mode&2 != 0, mode&4 != 0)
				}
			}
		}
	})
}

func testGemm(t *testing.T, m, n, k, slack int, transA, transB, accumulate bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(m), uint64(n*1000+k)))
	ar, ac, br, bc := m, k, k, n
	if transA {
		ar, ac = k, m
	}
	if transB {
		br, bc = n, k
	}
	lda, ldb, ldc := max(1, ac+slack), max(1, bc+slack), n+slack
	// Exactly as long as needed: a read past the end is a panic or a bad result.
	a, b := randoms(rng, max(0, (ar-1)*lda+ac)), randoms(rng, max(0, (br-1)*ldb+bc))
	c, check := guarded((m-1)*ldc + n)
	for i := range c {
		c[i] = float32(rng.NormFloat64())
	}
	want := referenceGemm(c, a, b, m, n, k, lda, ldb, ldc, transA, transB, accumulate)
	kernel.Gemm(c, a, b, m, n, k, lda, ldb, ldc, transA, transB, accumulate)
	what := fmt.Sprintf("m,n,k = %d,%d,%d slack %d transA %v transB %v accumulate %v", m, n, k, slack, transA, transB, accumulate)
	closeTo(t, what, c, want)
	check(t)
}

// TestGemmBytes: a row's bytes depend neither on the rows around it, nor on its place, nor on threads.
func TestGemmBytes(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		const m, n, k = 150, 70, 290
		rng := rand.New(rand.NewPCG(1, 2))
		a, b := randoms(rng, m*k), randoms(rng, k*n)
		want := make([]float32, m*n)
		kernel.Gemm(want, a, b, m, n, k, k, n, n, false, false, false)
		for _, procs := range []int{1, 2, 4} {
			old := runtime.GOMAXPROCS(procs)
			got := make([]float32, m*n)
			kernel.Gemm(got, a, b, m, n, k, k, n, n, false, false, false)
			sameBits(t, fmt.Sprint("threads ", procs), got, want)
			for _, r := range [][2]int{{0, 1}, {3, 20}, {149, 150}, {5, 95}} {
				got := make([]float32, (r[1]-r[0])*n)
				kernel.Gemm(got, a[r[0]*k:], b, r[1]-r[0], n, k, k, n, n, false, false, false)
				sameBits(t, fmt.Sprint("rows ", r), got, want[r[0]*n:r[1]*n])
			}
			runtime.GOMAXPROCS(old)
		}
	})
}

// TestGemmNested: Gemm inside For gives the same bytes.
func TestGemmNested(t *testing.T) {
	const m, n, k = 120, 90, 110
	rng := rand.New(rand.NewPCG(3, 4))
	a, b := randoms(rng, m*k), randoms(rng, k*n)
	want := make([]float32, m*n)
	kernel.Gemm(want, a, b, m, n, k, k, n, n, false, false, false)
	kernel.For(8, 1, func(i0, i1 int) {
		got := make([]float32, m*n)
		kernel.Gemm(got, a, b, m, n, k, k, n, n, false, false, false)
		sameBits(t, "nested", got, want)
	})
}

func TestGemmPanics(t *testing.T) {
	s := make([]float32, 100)
	mustPanic(t, "short C", "C: 5 floats", func() { kernel.Gemm(s[:5], s, s, 2, 3, 4, 4, 3, 3, false, false, false) })
	mustPanic(t, "short A", "A: 7 floats", func() { kernel.Gemm(s, s[:7], s, 2, 3, 4, 4, 3, 3, false, false, false) })
	mustPanic(t, "narrow B", "leading dimension 2", func() { kernel.Gemm(s, s, s, 2, 3, 4, 4, 2, 3, false, false, false) })
	mustPanic(t, "negative", "negative", func() { kernel.Gemm(s, s, s, -1, 3, 4, 4, 3, 3, false, false, false) })
}
