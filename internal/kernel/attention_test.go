package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"diffuse/internal/kernel"
)

// slowAttention computes y, and the gradients for dy, in float64 from their definitions, with the whole matrix of weights.
func slowAttention(q, k, v, dy []float32, p, d int, scale float64) (y, dq, dk, dv []float64) {
	dot := func(a, b []float32) (s float64) {
		for c := range d {
			s += float64(a[c]) * float64(b[c])
		}
		return s
	}
	y, dq, dk, dv = make([]float64, p*d), make([]float64, p*d), make([]float64, p*d), make([]float64, p*d)
	for i := range p {
		s, total, mean := make([]float64, p), 0.0, 0.0
		for j := range s {
			s[j] = math.Exp(scale * dot(q[i*d:], k[j*d:]))
			total += s[j]
		}
		for j := range s {
			s[j] /= total
			mean += s[j] * dot(dy[i*d:], v[j*d:])
		}
		for j, w := range s {
			ds := scale * w * (dot(dy[i*d:], v[j*d:]) - mean)
			for c := range d {
				y[i*d+c] += w * float64(v[j*d+c])
				dv[j*d+c] += w * float64(dy[i*d+c])
				dq[i*d+c] += ds * float64(k[j*d+c])
				dk[j*d+c] += ds * float64(q[i*d+c])
			}
		}
	}
	return y, dq, dk, dv
}

// TestAttention: odd and even sizes, of one block of rows and of several, agree with float64, with the softmax kept and computed again, and
// have the same bytes on one processor. Scores of size 5 carry errors of d roundings of 6e-8 each, which exp passes on: 2e-5 of the
// largest value leaves a factor of some ten. Where tiles compute the products, bfloat16 adds 2^-8 to each factor, bf16x3 2^-16 to each product.
func TestAttention(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, s := range [][2]int{{1, 1}, {1, 40}, {5, 3}, {49, 64}, {50, 17}, {64, 32}, {256, 64}, {700, 8}, {1030, 20}} {
			p, d := s[0], s[1]
			for precision, most := range map[kernel.Precision]float64{kernel.Float32: 2e-5, kernel.BFloat16x3: 1e-4, kernel.BFloat16: 5e-2} {
				if precision != kernel.Float32 && kernel.Current() < kernel.AVX512BF16 {
					continue // computed in float32
				}
				t.Run(fmt.Sprintf("%dx%d/%v", p, d, precision), func(t *testing.T) { checkAttention(t, p, d, precision, most) })
			}
		}
	})
}

func checkAttention(t *testing.T, p, d int, precision kernel.Precision, most float64) {
	rng := rand.New(rand.NewPCG(uint64(p), uint64(d)))
	q, k, v, dy := randoms(rng, p*d), randoms(rng, p*d), randoms(rng, p*d), randoms(rng, p*d)
	scale := float32(1.5 / math.Sqrt(float64(d)))
	ld := d + 3
	wide := make([]float32, p*ld)
	for i := range p {
		copy(wide[i*ld:], dy[i*d:(i+1)*d])
	}
	run := func(keep []float32) [][]float32 {
		var out [][]float32
		var checks []func(*testing.T)
		for _, n := range []int{p*ld - 3, p * d, p * d, p * d} {
			b, check := guarded(n)
			for i := range b {
				b[i] = guard
			}
			out, checks = append(out, b), append(checks, check)
		}
		kernel.AttentionForward(out[0], ld, keep, q, k, v, p, d, scale, precision)
		kernel.AttentionBackward(out[1], out[2], out[3], wide, ld, keep, q, k, v, p, d, scale, precision)
		for _, check := range checks {
			check(t)
		}
		dense := make([]float32, p*d)
		for i := range p {
			copy(dense[i*d:(i+1)*d], out[0][i*ld:])
			if i+1 < p && out[0][i*ld+d] != guard {
				t.Fatalf("row %d of y is longer than %d", i, d)
			}
		}
		out[0] = dense
		return out
	}
	got := run(nil)
	want := make([][]float64, 4)
	want[0], want[1], want[2], want[3] = slowAttention(q, k, v, dy, p, d, float64(scale))
	for o, name := range []string{"y", "dq", "dk", "dv"} {
		largest := 1e-3
		for _, w := range want[o] {
			largest = max(largest, math.Abs(w))
		}
		for i, w := range want[o] {
			if !(math.Abs(float64(got[o][i])-w) <= most*largest) {
				t.Fatalf("%s[%d] is %v, want %v (largest %v)", name, i, got[o][i], w, largest)
			}
		}
	}
	old := runtime.GOMAXPROCS(1)
	alone := run(nil)
	runtime.GOMAXPROCS(old)
	for what, other := range map[string][][]float32{"on one processor": alone, "with the softmax kept": run(make([]float32, p*p))} {
		for o := range got {
			for i, w := range got[o] {
				if math.Float32bits(other[o][i]) != math.Float32bits(w) {
					t.Fatalf("%s: result %d, value %d is %v, otherwise %v", what, o, i, other[o][i], w)
				}
			}
		}
	}
}

// BenchmarkAttention measures one head.
func BenchmarkAttention(b *testing.B) {
	for _, s := range [][2]int{{49, 128}, {256, 256}, {1024, 64}, {4096, 64}} {
		p, d := s[0], s[1]
		rng := rand.New(rand.NewPCG(1, 1))
		q, k, v, y := randoms(rng, p*d), randoms(rng, p*d), randoms(rng, p*d), make([]float32, p*d)
		b.Run(fmt.Sprintf("%dx%d", p, d), func(b *testing.B) {
			for b.Loop() {
				kernel.AttentionForward(y, d, nil, q, k, v, p, d, 0.1, kernel.Float32)
			}
			b.ReportMetric(4*float64(p*p*d)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
