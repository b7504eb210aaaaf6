package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"diffuse/unet"
)

// A levelCost is what one resolution of a network has and costs.
type levelCost struct {
	Level      string  `json:"level"` // height and width, "28x28", or "embedding"
	Channels   int     `json:"channels"`
	Encoder    int     `json:"encoder_blocks"`
	Middle     int     `json:"middle_blocks"`
	Decoder    int     `json:"decoder_blocks"`
	Parameters int     `json:"parameters"`
	GFLOP      float64 `json:"gflop"`          // per picture and evaluation, a multiply-add counted as two
	TrainBytes int     `json:"training_bytes"` // activations kept for the gradients, per picture, about
	BlockBytes int     `json:"block_bytes"`    // those that --checkpoint-blocks keeps
	Shift      float64 `json:"logsnr_shift"`   // 2 ln(full size / this size): what averaging the picture to this size adds to logSNR
}

// A modelCost estimates what one evaluation of a network costs, per picture.
type modelCost struct {
	Parameters  int         `json:"parameters"`
	GFLOP       float64     `json:"gflop"`
	SampleBytes int         `json:"sampling_bytes"` // most activations alive at once when sampling, about
	TrainBytes  int         `json:"training_bytes"` // activations kept for the gradients, about
	BlockBytes  int         `json:"block_bytes"`    // likewise with --checkpoint-blocks, with the inside of the largest block
	Levels      []levelCost `json:"levels"`         // first the embedding
}

// levelName finds the resolution in a parameter's name, such as enc.16x16_block0.conv0.weight.
var levelName = regexp.MustCompile(`^(enc|dec)\.(\d+)x\d+_([a-z]+)`)

// networkCost adds up the layers of a network for pictures of h×w. The network may be an outline.
func networkCost(n *unet.Net, h, w int) modelCost {
	walk := newCostWalk(n, h, w)
	for name, p := range n.Params() {
		walk.parameter(name, p.Shape)
	}
	walk.end()
	c := walk.cost
	for i := range c.Levels {
		l := &c.Levels[i]
		c.Parameters += l.Parameters
		c.GFLOP += l.GFLOP
		c.TrainBytes += l.TrainBytes
		c.BlockBytes += l.BlockBytes
	}
	c.BlockBytes += 4 * walk.largest
	c.SampleBytes = 4 * walk.peak
	return c
}

// A costWalk follows an evaluation from layer to layer, in the order of parameters.
type costWalk struct {
	net        *unet.Net
	h, w       int                       // of pictures
	joins      map[string]bool           // stages that begin with a concatenation
	skips      map[string]bool           // encoder stages whose results wait for one
	attentions map[string]unet.Attention // by stage
	level      map[string]int            // places in cost.Levels
	cost       modelCost

	stage *stageCost
	stack []int // floats of each waiting skip
	alive int   // sum of stack
	peak  int   // most floats at once without a tape

	largest int // most floats that a tape keeps of one stage
}

// A stageCost is a block, or another part of the encoder or decoder.
type stageCost struct {
	name, role  string
	decoder     bool
	side        int // what the level is called after; 0 in the embedding
	pixels      int // of the result
	before      int // pixels of the input
	in, out     int // channels
	wide        int // most channels inside
	kept        int // floats that a tape keeps
	attention   unet.Attention
	transformer bool
	dropout     bool
}

func newCostWalk(n *unet.Net, h, w int) *costWalk {
	c := &costWalk{net: n, h: h, w: w, joins: map[string]bool{}, skips: map[string]bool{}, attentions: n.Attentions(), level: map[string]int{}}
	joined := map[int]int{} // by side
	for _, j := range n.Joins() {
		c.joins[j.Block] = true
		joined[j.Side]++
	}
	stages := map[int][]string{}
	for name := range n.Params() {
		m := levelName.FindStringSubmatch(name)
		if m == nil || m[1] != "enc" || m[3] == "aux" {
			continue
		}
		side, _ := strconv.Atoi(m[2])
		stage, _ := stageOf(name)
		if s := stages[side]; len(s) == 0 || s[len(s)-1] != stage {
			stages[side] = append(s, stage)
		}
	}
	for side, list := range stages { // the last ones of a level are joined
		for _, stage := range list[max(0, len(list)-joined[side]):] {
			c.skips[stage] = true
		}
	}
	return c
}

// stageOf splits a parameter's name: enc.16x16_block0 and conv0.weight.
func stageOf(name string) (stage, layer string) {
	if m := levelName.FindString(name); m != "" {
		end := strings.IndexByte(name[len(m):], '.') + len(m)
		return name[:end], name[end+1:]
	}
	stage, layer, _ = strings.Cut(name, ".")
	return stage, layer
}

// parameter adds one parameter, and what is computed with it.
func (c *costWalk) parameter(name string, shape []int) {
	stage, layer := stageOf(name)
	if c.stage == nil || c.stage.name != stage {
		c.end()
		c.stage = c.begin(name, stage)
	}
	size := 1
	for _, d := range shape {
		size *= d
	}
	s, l := c.stage, c.row()
	l.Parameters += size
	l.GFLOP += s.flop(layer, shape, size) / 1e9
	s.kept += s.floats(layer, shape, c.joins[stage])
	if len(shape) == 4 {
		if s.in == 0 {
			s.in = shape[2]
		}
		if layer != "qkv.weight" {
			s.out, s.wide = shape[3], max(s.wide, shape[3])
		}
	}
}

// begin makes the stage that a parameter is the first of.
func (c *costWalk) begin(name, stage string) *stageCost {
	cfg := c.net.Config
	s := &stageCost{name: stage, pixels: 1, before: 1}
	switch m := levelName.FindStringSubmatch(name); {
	case m != nil:
		s.side, _ = strconv.Atoi(m[2])
		s.decoder, s.role = m[1] == "dec", m[3]
	case strings.HasPrefix(name, "out_"):
		s.side = cfg.Resolution / cfg.PatchSize
	default: // the embedding
		return s
	}
	s.pixels = c.h * s.side / cfg.Resolution * (c.w * s.side / cfg.Resolution)
	s.before = s.pixels
	switch s.role {
	case "down":
		s.before *= 4
	case "up":
		s.before /= 4
	}
	s.transformer = cfg.ModelType == "uvit" && s.role == "in"
	s.dropout = cfg.DropoutAt(s.side) > 0
	s.attention = c.attentions[stage]
	return s
}

// row returns the level of the current stage.
func (c *costWalk) row() *levelCost {
	cfg, s := c.net.Config, c.stage
	name, shift := "embedding", 0.0
	if s.side > 0 {
		name = fmt.Sprintf("%dx%d", c.h*s.side/cfg.Resolution, c.w*s.side/cfg.Resolution)
		shift = 2 * math.Log(float64(cfg.Resolution)/float64(s.side))
	}
	i, ok := c.level[name]
	if !ok {
		i = len(c.cost.Levels)
		c.level[name] = i
		c.cost.Levels = append(c.cost.Levels, levelCost{Level: name, Shift: shift})
		if i == 1 { // the pictures, before and after all
			c.cost.Levels[i].TrainBytes = 4 * c.pictureFloats()
			c.cost.Levels[i].BlockBytes = c.cost.Levels[i].TrainBytes
		}
	}
	return &c.cost.Levels[i]
}

// pictureFloats counts what a tape keeps outside the levels: the scaled input, the result, and what the first and the last
// operation return.
func (c *costWalk) pictureFloats() int {
	size, turns := c.h*c.w*c.net.InChannels, 0
	switch {
	case c.net.FirstOp == unet.FirstWavelet:
		turns = 2
	case c.net.PatchSize > 1:
		turns = 1
	}
	return 2*size + turns*(size+c.h*c.w*c.net.OutChannels)
}

// flop is the arithmetic of a layer.
func (s *stageCost) flop(layer string, shape []int, size int) float64 {
	pixels := float64(s.pixels)
	switch len(shape) {
	case 2: // linear maps see one vector per picture
		return 2 * float64(size)
	case 4:
		flop := 2 * float64(size) * pixels
		if layer == "qkv.weight" { // and the two products of attention
			flop += s.attention.FLOP(s.pixels, shape[3]/3)
		}
		if s.role == "aux" && strings.HasSuffix(s.name, "_residual") {
			flop *= 4 // this one convolves before it halves the picture
		}
		return flop
	}
	return 0
}

// floats counts what a tape keeps of a layer, its result first, then those of the operations behind it that have no weights.
func (s *stageCost) floats(layer string, shape []int, joins bool) int {
	p, channels := s.pixels, shape[len(shape)-1]
	dropped := 1
	if s.dropout { // its result, beside a mask of a bit each
		dropped = 2
	}
	switch layer {
	case "norm0.weight":
		if joins { // the concatenation
			return 2 * s.before * channels
		}
		return s.before * channels
	case "conv0.weight":
		if s.before != p { // the resampled input, and that of the shortcut
			return p * (2*shape[2] + channels)
		}
		return p * channels
	case "affine.weight":
		if channels == s.out { // added to every pixel
			return (p + 1) * channels
		}
		return 2 * channels // whole, and in parts
	case "norm1.weight":
		if s.transformer {
			return p * channels
		}
		return dropped * p * channels
	case "qkv.weight":
		return s.attentionFloats(channels / 3)
	case "mlp0.weight":
		return (1 + dropped) * p * channels
	case "conv1.weight", "proj.weight", "mlp1.weight": // and the sum with the shortcut
		return 2 * p * channels
	case "skip.weight", "norm2.weight", "places.weight", "weight":
		return p * channels
	}
	return 0
}

// attentionFloats counts what a tape keeps of attention: queries, keys and values, as they are and turned; the softmax unless it is
// longer, or the states of linear attention; the result.
func (s *stageCost) attentionFloats(channels int) int {
	a, p := s.attention, s.pixels
	n := 4 * p * channels
	if a.Kind == unet.LinearAttention {
		return n + channels*(channels/a.Heads+1)
	}
	if a.RopeBase > 0 {
		n += 3 * p * channels
	}
	if a.Softmax() && a.Heads*p <= 3*channels {
		n += a.Heads * p * p
	}
	return n
}

// end accounts for the stage that has been read: its own buffers beside the waiting skips.
func (c *costWalk) end() {
	s := c.stage
	if s == nil {
		return
	}
	l := c.row()
	l.TrainBytes += 4 * s.kept
	if s.side == 0 {
		l.BlockBytes += 4 * s.kept
		return
	}
	l.BlockBytes += 4 * s.pixels * s.out
	c.largest = max(c.largest, s.kept)
	switch {
	case s.role == "in":
		l.Middle++
	case s.role == "block" && s.decoder:
		l.Decoder++
	case s.role == "block":
		l.Encoder++
	}
	if s.out == 0 {
		return
	}
	if s.role != "aux" && s.role != "" {
		l.Channels = s.out
	}
	work := s.pixels * (2*s.in + 3*s.out) // input, its norm, two convolutions, shortcut
	if s.transformer {
		work = s.pixels * (2*s.in + 2*s.wide) // input, norm, hidden values before and after SiLU
	}
	if s.attention.Heads > 0 {
		work += s.pixels * 5 * s.out // norm, queries, keys, values, result
		if s.attention.Softmax() {
			work += s.pixels * s.pixels
		}
	}
	c.peak = max(c.peak, c.alive+work)
	if c.skips[s.name] {
		c.stack = append(c.stack, s.pixels*s.out)
		c.alive += s.pixels * s.out
	}
	if n := len(c.stack); c.joins[s.name] && n > 0 {
		c.alive -= c.stack[n-1]
		c.stack = c.stack[:n-1]
	}
}
