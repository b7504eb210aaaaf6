package tensor_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"diffuse/internal/golden"
	"diffuse/tensor"
)

// attentionKinds are the forms of attention, with a base of rotary positions or none.
var attentionKinds = map[string]func(t *tensor.Tape, qkv *tensor.Tensor, heads int) *tensor.Tensor{
	"softmax": func(t *tensor.Tape, qkv *tensor.Tensor, heads int) *tensor.Tensor {
		return tensor.Attention(t, qkv, heads, tensor.Float32)
	},
	"relu2":   tensor.ReLU2Attention,
	"sigmoid": tensor.SigmoidAttention,
	"linear": func(t *tensor.Tape, qkv *tensor.Tensor, heads int) *tensor.Tensor {
		return tensor.LinearAttention(t, qkv, heads, 0)
	},
	"linear, turned": func(t *tensor.Tape, qkv *tensor.Tensor, heads int) *tensor.Tensor {
		return tensor.LinearAttention(t, qkv, heads, 20)
	},
}

// slowAttention computes one form of attention in float64 from its definition: all weights of a query, then the sum.
func slowAttention(kind string, qkv *tensor.Tensor, heads int) []float64 {
	n, h, w, c := qkv.Shape[0], qkv.Shape[1], qkv.Shape[2], qkv.Shape[3]/3
	d, p := c/heads, h*w
	y := make([]float64, n*p*c)
	vector := func(image, head, pixel, part int) []float64 {
		x := make([]float64, d)
		for k := range x {
			x[k] = float64(qkv.Data[(image*p+pixel)*3*c+head*3*d+3*k+part])
		}
		return x
	}
	dot := func(a, b []float64) (s float64) {
		for k := range a {
			s += a[k] * b[k]
		}
		return s
	}
	phi := func(x []float64) []float64 {
		for k, v := range x {
			if x[k] = v + 1; v < 0 {
				x[k] = math.Exp(v)
			}
		}
		return x
	}
	turn := func(x []float64, pixel int) []float64 {
		if kind != "linear, turned" {
			return x
		}
		turned := make([]float64, d)
		for i := range d / 2 {
			place := pixel / w
			if i >= d/4 {
				place = pixel % w
			}
			s, c := math.Sincos(float64(place) * math.Pow(20, -4*float64(i%(d/4))/float64(d)))
			turned[2*i], turned[2*i+1] = x[2*i]*c-x[2*i+1]*s, x[2*i]*s+x[2*i+1]*c
		}
		return turned
	}
	for u := range n * heads * p {
		image, head, i := u/p/heads, u/p%heads, u%p
		q, total := vector(image, head, i, 0), 1.0
		out := y[(image*p+i)*c+head*d:][:d]
		switch kind {
		case "softmax":
			total = 0
		case "linear", "linear, turned":
			q, total = phi(q), 1e-6
		}
		for j := range p {
			k := vector(image, head, j, 1)
			weight := dot(q, k) / math.Sqrt(float64(d))
			switch kind {
			case "softmax":
				weight = math.Exp(weight)
				total += weight
			case "relu2":
				weight = max(weight, 0) * max(weight, 0) / float64(p)
			case "sigmoid":
				weight = 1 / (1 + math.Exp(math.Log(float64(p))-weight))
			default:
				k = phi(k)
				total += dot(q, k)
				weight = dot(turn(q, i), turn(k, j))
			}
			for k, v := range vector(image, head, j, 2) {
				out[k] += weight * v
			}
		}
		for k := range out {
			out[k] /= total
		}
	}
	return y
}

// TestAttentionKinds: every form agrees with its definition, on a few pixels, and on more than a block of queries and of keys holds.
// float32 sums of up to 340 terms: 3e-6 of the largest value.
func TestAttentionKinds(t *testing.T) {
	for kind, attend := range attentionKinds {
		for _, size := range [][5]int{{2, 1, 1, 1, 8}, {2, 2, 3, 3, 4}, {1, 17, 20, 2, 12}} {
			n, h, w, heads, d := size[0], size[1], size[2], size[3], size[4]
			qkv := random(rand.New(rand.NewPCG(6, uint64(h))), n, h, w, 3*heads*d)
			for i := range qkv.Data[:len(qkv.Data)/2] {
				qkv.Data[i] *= 3
			}
			want, largest := slowAttention(kind, qkv, heads), 1.0
			for _, v := range want {
				largest = max(largest, math.Abs(v))
			}
			golden.Close(t, fmt.Sprint(kind, size), attend(nil, qkv, heads).Data, want, 3e-6*largest)
		}
	}
}

// TestAttentionKindGradients checks every form against differences, on few pixels and on more than a block holds. For the squared ReLU, whose
// slope has a corner, no score comes near 0: every second query is unlike all keys, the others are like them.
func TestAttentionKindGradients(t *testing.T) {
	for kind, attend := range attentionKinds {
		for _, size := range [][5]int{{2, 2, 3, 3, 4}, {1, 17, 20, 2, 12}} {
			n, h, w, heads, d := size[0], size[1], size[2], size[3], size[4]
			t.Run(fmt.Sprint(kind, size), func(t *testing.T) {
				qkv := random(rand.New(rand.NewPCG(7, uint64(h))), n, h, w, 3*heads*d)
				for i, v := range qkv.Data {
					if kind != "relu2" {
						break
					}
					switch pixel := i / (3 * heads * d); {
					case i%3 == 1 || i%3 == 0 && pixel%2 == 0:
						qkv.Data[i] = 1 + 0.2*v
					case i%3 == 0:
						qkv.Data[i] = -1 + 0.2*v
					}
				}
				checkGradient(t, []*tensor.Tensor{qkv}, func(tp *tensor.Tape) *tensor.Tensor { return attend(tp, qkv, heads) })
			})
		}
	}
}

// TestAttentionExtremes: features that underflow, scores at a corner and scores out of range leave numbers.
func TestAttentionExtremes(t *testing.T) {
	for _, v := range []float32{-300, 300, 0, -1e-38, 1e-45, -1e-45} {
		for kind, attend := range attentionKinds {
			qkv := tensor.New(1, 2, 2, 24)
			for i := range qkv.Data {
				qkv.Data[i] = v
			}
			tape := tensor.NewTape(qkv)
			y := attend(tape, qkv, 2)
			tape.Seed(y, y.Data)
			tape.Backward()
			for _, list := range [][]float32{y.Data, tape.Grad(qkv)} {
				for i, x := range list {
					if x-x != 0 {
						t.Fatalf("%s of %g: number %d is %g", kind, v, i, x)
					}
				}
			}
		}
	}
}

// TestAttentionBytes: a picture's result and gradient have the same bytes alone on one processor as in a batch on four.
func TestAttentionBytes(t *testing.T) {
	const n, h, w, heads, d = 3, 18, 20, 2, 16
	for kind, attend := range attentionKinds {
		run := func(threads int, qkv *tensor.Tensor) (y, grad []float32) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
			tape := tensor.NewTape(qkv)
			out := attend(tape, qkv, heads)
			tape.Seed(out, out.Data)
			tape.Backward()
			return out.Data, tape.Grad(qkv)
		}
		all := random(rand.New(rand.NewPCG(8, 8)), n, h, w, 3*heads*d)
		y, grad := run(4, all)
		for i := range n {
			one, oneGrad := run(1, tensor.From(all.Data[i*all.Len()/n:(i+1)*all.Len()/n], 1, h, w, 3*heads*d))
			for j, v := range one {
				if other := y[i*len(one)+j]; math.Float32bits(v) != math.Float32bits(other) {
					t.Fatalf("%s, picture %d: number %d is %v alone, %v in the batch", kind, i, j, v, other)
				}
			}
			for j, v := range oneGrad {
				if other := grad[i*len(oneGrad)+j]; math.Float32bits(v) != math.Float32bits(other) {
					t.Fatalf("%s, picture %d: gradient %d is %v alone, %v in the batch", kind, i, j, v, other)
				}
			}
		}
	}
}

// TestAttentionMemory: 4096 pixels are attended to, and learned from, without the 64 MiB of all weights of a head.
func TestAttentionMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	qkv := random(rand.New(rand.NewPCG(9, 9)), 1, 64, 64, 3*16)
	for kind, attend := range attentionKinds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		tape := tensor.NewTape(qkv)
		y := attend(tape, qkv, 1)
		tape.Seed(y, y.Data)
		tape.Backward()
		tape.Free()
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
			t.Errorf("%s allocates %.1f MiB", kind, float64(got)/(1<<20))
		}
	}
}

// BenchmarkAttention times each form for one picture in four heads of 64 channels, forward and with the gradients, for which the tape
// keeps so much beside the input.
func BenchmarkAttention(b *testing.B) {
	const heads, d = 4, 64
	for _, side := range []int{8, 16, 32, 64} {
		qkv := random(rand.New(rand.NewPCG(1, 1)), 1, side, side, 3*heads*d)
		for _, kind := range []string{"softmax", "relu2", "sigmoid", "linear", "linear, turned"} {
			b.Run(fmt.Sprintf("pixels=%d/%s/forward", side*side, kind), func(b *testing.B) {
				for b.Loop() {
					tensor.Recycle(nil, attentionKinds[kind](nil, qkv, heads))
				}
			})
			b.Run(fmt.Sprintf("pixels=%d/%s/training", side*side, kind), func(b *testing.B) {
				kept := 0
				for b.Loop() {
					tape := tensor.NewTape(qkv)
					y := attentionKinds[kind](tape, qkv, heads)
					kept = tape.Floats()
					tape.Seed(y, y.Data)
					tape.Backward()
					tape.Free()
				}
				b.ReportMetric(4*float64(kept)/1e6, "kept-MB")
			})
		}
	}
}
