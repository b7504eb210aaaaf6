package unet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/tensor"
)

// TestPrecision: a network in bf16x3 and bf16 is as near to that in float32 as the precision promises, forward and in its gradients; with packed
// weights it has the same bits; and neither changes the network it was made from.
func TestPrecision(t *testing.T) {
	c := DefaultConfig("song")
	c.Resolution, c.InChannels, c.OutChannels, c.ModelChannels, c.ChannelMult, c.NumBlocks = 16, 3, 3, 32, []int{1, 2}, 1
	c.AttnResolutions = []int{8}
	v := DefaultConfig("uvit")
	v.Resolution, v.InChannels, v.OutChannels, v.ModelChannels, v.ChannelMult, v.NumBlocks, v.MiddleBlocks = 16, 3, 3, 32, []int{1, 2}, 1, 2
	for name, c := range map[string]Config{"song": c, "uvit": v} {
		n, err := New(c, rand.New(rand.NewPCG(1, 2)))
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(3, 4))
		for _, p := range n.Params() { // no layer starts at zero
			for i := range p.Data {
				p.Data[i] += 0.02 * float32(r.NormFloat64())
			}
		}
		x := tensor.New(2, 16, 16, 3)
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
		run := func(n *Net) (y, dx []float32) {
			tape := tensor.NewTape(x)
			out := n.Forward(tape, x, []float32{0.3, -0.7}, Inputs{})
			seed := make([]float32, out.Len())
			for i := range seed {
				seed[i] = float32(i%5) - 2
			}
			tape.Seed(out, seed)
			tape.Backward()
			return out.Data, tape.Grad(x)
		}
		wantY, wantX := run(n)
		// The bound of bf16 is the for a whole network of 36 M parameters, that of bf16x3 too.
		for p, most := range map[tensor.Precision]float64{tensor.Float32: 0, tensor.BFloat16x3: 5e-5, tensor.BFloat16: 2e-2} {
			m := n.WithPrecision(p)
			y, dx := run(m)
			for what, pair := range map[string][2][]float32{"y": {y, wantY}, "dx": {dx, wantX}} {
				if d := distance(pair[0], pair[1]); !(d <= most) {
					t.Errorf("%s in %v: %s is %.2g from float32, at most %.2g", name, p, what, d, most)
				}
			}
			if p == tensor.BFloat16 && distance(y, wantY) < 1e-5 {
				t.Errorf("%s in %v: as close to float32 as %.2g, as if nothing were rounded", name, p, distance(y, wantY))
			}
			if m.Precision() != p || m.Clone().Precision() != p || n.Precision() != tensor.Float32 {
				t.Errorf("%s: precisions %v, %v, %v", name, m.Precision(), m.Clone().Precision(), n.Precision())
			}
			packed := m.Clone().Packed().Forward(nil, x, []float32{0.3, -0.7}, Inputs{})
			if fmt.Sprint(packed.Data) != fmt.Sprint(y) {
				t.Errorf("%s in %v: packed weights change the result", name, p)
			}
		}
		if y, _ := run(n); fmt.Sprint(y) != fmt.Sprint(wantY) {
			t.Errorf("%s: the network has changed", name)
		}
	}
}

// TestPackedRefuses: what has given its weights to the kernels says so, instead of failing where they are missing, and still draws.
func TestPackedRefuses(t *testing.T) {
	c := DefaultConfig("song")
	c.Resolution, c.InChannels, c.OutChannels, c.ModelChannels, c.ChannelMult, c.NumBlocks = 16, 1, 1, 32, []int{1, 2}, 1
	n, err := New(c, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	n = n.WithPrecision(tensor.BestPrecision())
	files, err := n.Export(checkpoint.F32)
	if err != nil {
		t.Fatal(err)
	}
	x := tensor.New(1, 16, 16, 1)
	for i := range x.Data {
		x.Data[i] = float32(i%7) - 3
	}
	want := n.Forward(nil, x, []float32{0.3}, Inputs{})
	packed := n.Packed()
	if packed.bare() == nil {
		t.Skip("the kernels of this machine read weights as they are")
	}
	if _, err := packed.Export(checkpoint.F32); err == nil || !strings.Contains(err.Error(), "packed for inference") {
		t.Errorf("Export: %v", err)
	}
	if err := packed.Import(files); err == nil || !strings.Contains(err.Error(), "packed for inference") {
		t.Errorf("Import: %v", err)
	}
	again := packed.Packed().WithPrecision(packed.Precision()).Forward(nil, x, []float32{0.3}, Inputs{})
	if fmt.Sprint(again.Data) != fmt.Sprint(want.Data) {
		t.Error("packing twice changes the result")
	}
	for what, f := range map[string]func(){"Clone": func() { packed.Clone() }, "WithPrecision": func() { packed.WithPrecision(tensor.BFloat16) }} {
		func() {
			defer func() {
				if r := recover(); !strings.Contains(fmt.Sprint(r), "packed for inference") {
					t.Errorf("%s: %v", what, r)
				}
			}()
			f()
		}()
	}
	outline, err := Outline(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := outline.Import(files); err == nil {
		t.Error("an outline took weights")
	}
}

// distance is the L2 norm of a-b over that of b.
func distance(a, b []float32) float64 {
	var d, s float64
	for i, v := range b {
		e := float64(a[i]) - float64(v)
		d, s = d+e*e, s+float64(v)*float64(v)
	}
	return math.Sqrt(d / s)
}
