package tensor_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/tensor"
)

// TestCheckpoint: a network of checkpoints, one inside another, with dropout, a tensor that all read and one that passes through,
// has the bytes of the plain network: results, gradients and what is left in the generators.
func TestCheckpoint(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	x, shared := random(r, 2, 6, 5, 8), random(r, 2, 8)
	var weights []*tensor.Tensor
	for range 3 {
		weights = append(weights, random(r, 3, 3, 8, 8))
	}
	run := func(block func(*tensor.Tape, func(*tensor.Tape) *tensor.Tensor) *tensor.Tensor, wrt ...*tensor.Tensor) (values [][]float32) {
		rngs := []*rand.Rand{rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(2, 2))}
		tape := tensor.NewTape(wrt...)
		defer tape.Free()
		h, kept := x, x
		for i, w := range weights {
			in, skip := h, kept
			h = block(tape, func(tp *tensor.Tape) *tensor.Tensor {
				y := tensor.SiLU(tp, tensor.Conv2D(tp, in, w, nil, tensor.ConvOptions{Pad: 1}))
				y = tensor.AddChannels(tp, tensor.Dropout(tp, y, 0.3, rngs), shared)
				return block(tp, func(tp *tensor.Tape) *tensor.Tensor {
					return tensor.Add(tp, tensor.Dropout(tp, y, 0.2, rngs), skip, 0.5, 1)
				})
			})
			kept = block(tape, func(*tensor.Tape) *tensor.Tensor { return h })
			if i == 1 && kept != h {
				t.Error("a checkpoint of nothing made a new tensor")
			}
		}
		values = append(values, append([]float32(nil), h.Data...))
		tape.Seed(h, h.Data)
		tape.Backward()
		for _, w := range wrt {
			values = append(values, append([]float32(nil), tape.Grad(w)...))
		}
		for _, g := range rngs {
			values = append(values, []float32{g.Float32()})
		}
		return values
	}
	plain := func(tp *tensor.Tape, f func(*tensor.Tape) *tensor.Tensor) *tensor.Tensor { return f(tp) }
	all := append([]*tensor.Tensor{x, shared}, weights...)
	for name, wrt := range map[string][]*tensor.Tensor{"all": all, "one weight": weights[1:2], "the input": all[:1]} {
		want, got := run(plain, wrt...), run(tensor.Checkpoint, wrt...)
		for i := range want {
			if len(got[i]) != len(want[i]) {
				t.Fatalf("%s: %d values in place of %d", name, len(got[i]), len(want[i]))
			}
			for j, v := range want[i] {
				if math.Float32bits(got[i][j]) != math.Float32bits(v) {
					t.Fatalf("gradients of %s: value %d of result %d is %v, without checkpoints %v", name, j, i, got[i][j], v)
				}
			}
		}
	}
	if y := tensor.Checkpoint(nil, func(tp *tensor.Tape) *tensor.Tensor { return tensor.SiLU(tp, x) }); y.Len() != x.Len() {
		t.Errorf("without a tape: %v", y.Shape)
	}
}

// TestGradInto: gradients are added to the caller's buffer, which outlives the tape.
func TestGradInto(t *testing.T) {
	x := random(rand.New(rand.NewPCG(1, 1)), 5)
	buf := []float32{1, 2, 3, 4, 5}
	for range 2 {
		tape := tensor.NewTape(x)
		tape.GradInto(x, buf)
		y := tensor.Add(tape, x, x, 1, 1)
		tape.Seed(y, []float32{1, 1, 1, 1, 1})
		tape.Backward()
		tape.Free()
	}
	for i, v := range buf {
		if v != float32(i+1)+4 {
			t.Errorf("buffer %d holds %v, want %d", i, v, i+5)
		}
	}
}
