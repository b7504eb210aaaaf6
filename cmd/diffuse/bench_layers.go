package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"diffuse/tensor"
	"diffuse/unet"
)

// A benchLayer is the shape of an operation of a network that multiplies matrices.
type benchLayer struct {
	op        string // "conv3x3", "linear", "attention"
	side      int    // height and width of its input in pixels; 1 for linear maps
	in, out   int    // channels
	size      int    // height and width of a convolution's kernel
	pad       int
	attention unet.Attention

	precision tensor.Precision
}

// name is the layer's part of a benchmark's name.
func (l benchLayer) name() string {
	switch l.op {
	case "linear":
		return fmt.Sprintf("op=linear/in=%d/out=%d", l.in, l.out)
	case "attention":
		name := fmt.Sprintf("op=attention/size=%dx%d/channels=%d/heads=%d", l.side, l.side, l.out, l.attention.Heads)
		if !l.attention.Softmax() {
			name += "/kind=" + l.attention.Kind
		}
		return name
	}
	return fmt.Sprintf("op=%s/size=%dx%d/in=%d/out=%d", l.op, l.side, l.side, l.in, l.out)
}

// flop is the arithmetic of a forward pass for one picture.
func (l benchLayer) flop() float64 {
	pixels := float64(l.side + 2*l.pad - l.size + 1)
	pixels *= pixels
	switch l.op {
	case "linear":
		return 2 * float64(l.in*l.out)
	case "attention":
		return l.attention.FLOP(l.side*l.side, l.out)
	}
	return 2 * pixels * float64(l.in*l.out*l.size*l.size)
}

// operands makes random inputs for a batch: the activation, then weights.
func (l benchLayer) operands(r *rand.Rand, batch int) []*tensor.Tensor {
	switch l.op {
	case "linear":
		return []*tensor.Tensor{normals(r, batch, l.in), normals(r, l.in, l.out), normals(r, l.out)}
	case "attention":
		return []*tensor.Tensor{normals(r, batch, l.side, l.side, l.in)}
	}
	return []*tensor.Tensor{normals(r, batch, l.side, l.side, l.in), normals(r, l.size, l.size, l.in, l.out), normals(r, l.out)}
}

// apply runs the operation on its operands.
func (l benchLayer) apply(t *tensor.Tape, x []*tensor.Tensor) *tensor.Tensor {
	switch l.op {
	case "linear":
		return tensor.Linear(t, x[0], x[1], x[2])
	case "attention":
		return l.attention.Apply(t, x[0], l.precision)
	}
	return tensor.Conv2D(t, x[0], x[1], x[2], tensor.ConvOptions{Pad: l.pad, Precision: l.precision})
}

// layersOf lists the distinct layers of a network in the order of its parameters, and how often each occurs.
func layersOf(n *unet.Net) (list []benchLayer, count map[benchLayer]int) {
	count = map[benchLayer]int{}
	add := func(l benchLayer) {
		if count[l] == 0 {
			list = append(list, l)
		}
		count[l]++
	}
	attentions := n.Attentions()
	for name, w := range n.Params() {
		side := n.Resolution / n.PatchSize
		if m := levelName.FindStringSubmatch(name); m != nil {
			side, _ = strconv.Atoi(m[2])
		}
		switch s := w.Shape; len(s) {
		case 2:
			add(benchLayer{op: "linear", side: 1, in: s[0], out: s[1]})
		case 4:
			l := benchLayer{op: fmt.Sprintf("conv%dx%d", s[0], s[1]), side: side, in: s[2], out: s[3], size: s[0], pad: s[0] / 2}
			if strings.Contains(name, ".aux_residual.") || strings.HasSuffix(name, "_aux_residual.weight") {
				l.side, l.pad = 2*side, l.pad+(len(n.ResampleFilter)-1)/2 // it convolves before it halves the picture
			}
			add(l)
			if strings.HasSuffix(name, ".qkv.weight") {
				stage, _ := stageOf(name)
				a := attentions[stage]
				a.RopeBase = 0 // turning is no product
				add(benchLayer{op: "attention", side: side, in: s[3], out: s[3] / 3, attention: a})
			}
		}
	}
	return list, count
}

// layers measures every distinct layer of a network by itself.
func (b *bencher) layers(n *unet.Net) {
	list, count := layersOf(n)
	for _, l := range list {
		times := figure{float64(count[l]), "layers"}
		l.precision = n.Precision()
		for _, batch := range []int{1, trainBatch} {
			name := fmt.Sprintf("Layer/%s/batch=%d/pass=", l.name(), batch)
			flop := l.flop() * float64(batch)
			if b.wants(name + "forward") {
				x := l.operands(rand.New(rand.NewPCG(4, 0)), batch)
				t := measure(b.time, nil, func() { tensor.Recycle(nil, l.apply(nil, x)) })
				b.report(name+"forward", t, append(b.work(flop, t), times)...)
			}
			if batch == trainBatch && b.wants(name+"backward") {
				t := l.backward(b, batch)
				b.report(name+"backward", t, append(b.work(2*flop, t), times)...)
			}
		}
	}
}

// backward times the gradients of all operands.
func (l benchLayer) backward(b *bencher, batch int) timing {
	x := l.operands(rand.New(rand.NewPCG(4, 0)), batch)
	var tape *tensor.Tape
	prepare := func() {
		tape.Free()
		tape = tensor.NewTape(x...)
		y := l.apply(tape, x)
		tape.Seed(y, y.Data)
	}
	return measure(b.time, prepare, func() { tape.Backward() })
}
