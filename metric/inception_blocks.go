package metric

// A stage is one block of the network: its branches all read its input, and their outputs lie side by side, channel by channel.
type stage struct {
	name     string
	branches []branch
	cout     int
	layer    InceptionLayer // what its means over the picture are, or −1
}

// A branch applies the operations of chain, which keep the picture's size, one after the other, then each of ends to the result; what
// the ends make lies side by side.
type branch struct{ chain, ends []op }

// An op is a convolution with batch norm and ReLU, or a pool.
type op struct {
	name           string // of its tensors, without ".conv.weight"
	pool           poolKind
	cin, cout      int
	kh, kw, stride int
	padH, padW     int
	weights, bias  []float32 // KH×KW×Cin×Cout and Cout, the batch norm folded in
}

type poolKind int

const (
	noPool      poolKind = iota
	maxPool              // the largest value of those inside the picture
	averagePool          // the mean of those inside the picture (count_include_pad False)
)

// same is a convolution that keeps the picture's size.
func same(name string, cout, kh, kw int) op {
	return op{name: name, cout: cout, kh: kh, kw: kw, stride: 1, padH: kh / 2, padW: kw / 2}
}

// valid is a 3×3 convolution without padding.
func valid(name string, cout, stride int) op {
	return op{name: name, cout: cout, kh: 3, kw: 3, stride: stride}
}

// around is a 3×3 pool that keeps the picture's size, halve one with stride 2 and no padding.
func around(kind poolKind) op { return op{pool: kind, kh: 3, kw: 3, stride: 1, padH: 1, padW: 1} }
func halve() op               { return op{pool: maxPool, kh: 3, kw: 3, stride: 2} }

// line makes a branch whose last operation is the end.
func line(ops ...op) branch { return branch{ops[:len(ops)-1], ops[len(ops)-1:]} }

// alone makes a stage of one operation.
func alone(name string, o op) stage { return stage{name: name, branches: []branch{line(o)}} }

// inceptionStages returns the network without weights, with every convolution's names and shapes. Pictures are 299 pixels wide, then
// 149, 147, 147, 73, 73, 71, 35 (to Mixed_5d), 17 (Mixed_6…), 8 (Mixed_7…).
func inceptionStages() []stage {
	stages := []stage{
		alone("Conv2d_1a_3x3", valid("", 32, 2)),
		alone("Conv2d_2a_3x3", valid("", 32, 1)),
		alone("Conv2d_2b_3x3", same("", 64, 3, 3)),
		alone("MaxPool_1", halve()),
		alone("Conv2d_3b_1x1", same("", 80, 1, 1)),
		alone("Conv2d_4a_3x3", valid("", 192, 1)),
		alone("MaxPool_2", halve()),
		{name: "Mixed_5b", branches: wide(32)},
		{name: "Mixed_5c", branches: wide(64)},
		{name: "Mixed_5d", branches: wide(64)},
		{name: "Mixed_6a", branches: []branch{
			line(valid("branch3x3", 384, 2)),
			line(same("branch3x3dbl_1", 64, 1, 1), same("branch3x3dbl_2", 96, 3, 3), valid("branch3x3dbl_3", 96, 2)),
			line(halve()),
		}},
		{name: "Mixed_6b", branches: factored(128)},
		{name: "Mixed_6c", branches: factored(160)},
		{name: "Mixed_6d", branches: factored(160)},
		{name: "Mixed_6e", branches: factored(192)},
		{name: "Mixed_7a", branches: []branch{
			line(same("branch3x3_1", 192, 1, 1), valid("branch3x3_2", 320, 2)),
			line(same("branch7x7x3_1", 192, 1, 1), same("branch7x7x3_2", 192, 1, 7), same("branch7x7x3_3", 192, 7, 1),
				valid("branch7x7x3_4", 192, 2)),
			line(halve()),
		}},
		{name: "Mixed_7b", branches: forked(averagePool)},
		{name: "Mixed_7c", branches: forked(maxPool)}, // a maximum, where torchvision's has a mean
	}
	read := map[string]InceptionLayer{"MaxPool_1": Inception64, "MaxPool_2": Inception192, "Mixed_6e": Inception768, "Mixed_7c": Inception2048}
	cin := 3
	for i := range stages {
		s := &stages[i]
		s.link(cin)
		cin = s.cout
		s.layer = -1
		if l, ok := read[s.name]; ok {
			s.layer = l
		}
	}
	return stages
}

// wide is Mixed_5b, 5c and 5d.
func wide(pool int) []branch {
	return []branch{
		line(same("branch1x1", 64, 1, 1)),
		line(same("branch5x5_1", 48, 1, 1), same("branch5x5_2", 64, 5, 5)),
		line(same("branch3x3dbl_1", 64, 1, 1), same("branch3x3dbl_2", 96, 3, 3), same("branch3x3dbl_3", 96, 3, 3)),
		line(around(averagePool), same("branch_pool", pool, 1, 1)),
	}
}

// factored is Mixed_6b to 6e, 7×7 convolutions in rows and columns of c channels.
func factored(c int) []branch {
	return []branch{
		line(same("branch1x1", 192, 1, 1)),
		line(same("branch7x7_1", c, 1, 1), same("branch7x7_2", c, 1, 7), same("branch7x7_3", 192, 7, 1)),
		line(same("branch7x7dbl_1", c, 1, 1), same("branch7x7dbl_2", c, 7, 1), same("branch7x7dbl_3", c, 1, 7),
			same("branch7x7dbl_4", c, 7, 1), same("branch7x7dbl_5", 192, 1, 7)),
		line(around(averagePool), same("branch_pool", 192, 1, 1)),
	}
}

// forked is Mixed_7b and 7c.
func forked(pool poolKind) []branch {
	return []branch{
		line(same("branch1x1", 320, 1, 1)),
		{[]op{same("branch3x3_1", 384, 1, 1)},
			[]op{same("branch3x3_2a", 384, 1, 3), same("branch3x3_2b", 384, 3, 1)}},
		{[]op{same("branch3x3dbl_1", 448, 1, 1), same("branch3x3dbl_2", 384, 3, 3)},
			[]op{same("branch3x3dbl_3a", 384, 1, 3), same("branch3x3dbl_3b", 384, 3, 1)}},
		line(around(pool), same("branch_pool", 192, 1, 1)),
	}
}

// link sets the input channels of every operation, the output channels of pools and of the stage, and whole names.
func (s *stage) link(cin int) {
	place := func(o *op, c int) int {
		o.cin = c
		if o.pool != noPool {
			o.cout = c
		} else if o.name = s.name + "." + o.name; o.name == s.name+"." {
			o.name = s.name
		}
		return o.cout
	}
	for _, b := range s.branches {
		c := cin
		for i := range b.chain {
			c = place(&b.chain[i], c)
		}
		for i := range b.ends {
			s.cout += place(&b.ends[i], c)
		}
	}
}

// eachOp calls f with every operation.
func (s *stage) eachOp(f func(o *op)) {
	for _, b := range s.branches {
		for i := range b.chain {
			f(&b.chain[i])
		}
		for i := range b.ends {
			f(&b.ends[i])
		}
	}
}
