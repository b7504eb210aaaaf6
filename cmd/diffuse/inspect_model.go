package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"diffuse/checkpoint"
	"diffuse/tensor"
	"diffuse/unet"
)

// A levelCost is what one resolution of a network costs.
type levelCost struct {
	Level      string  `json:"level"` // "28x28", or "embedding"
	Parameters int     `json:"parameters"`
	GFLOP      float64 `json:"gflop"` // per picture and evaluation, a multiply-add counted as two
}

// A modelCost estimates what one evaluation of a network costs, per picture.
type modelCost struct {
	Parameters  int         `json:"parameters"`
	GFLOP       float64     `json:"gflop"`
	SampleBytes int         `json:"sampling_bytes"` // most activations alive at once when sampling, about
	TrainBytes  int         `json:"training_bytes"` // activations kept for the gradients, about
	Levels      []levelCost `json:"levels"`
}

// describeModelFile describes one of our model files without decoding its weights twice.
func describeModelFile(c *checkpoint.File) (*finding, error) {
	m, err := unet.ReadModel(c)
	if err != nil {
		return nil, err
	}
	return describeModel("diffuse model", m, c.Tensors), nil
}

// describeModel describes a network whose weights are stored as tensors.
func describeModel(kind string, m *unet.Model, tensors map[string]*checkpoint.Tensor) *finding {
	cfg, cost := m.Net.Config, networkCost(m.Net)
	types := map[string]int{}
	for _, t := range tensors {
		types[string(t.DType)]++
	}
	f := &finding{Kind: kind}
	h, w := cfg.PictureSize()
	f.fact("network", "%s, %d×%d, %d channels, height and width multiples of %d", cfg.ModelType, h, w, cfg.InChannels, cfg.Multiple())
	if cfg.LabelDim > 0 && len(m.Classes) == 0 {
		f.fact("classes", "%d, without names", cfg.LabelDim)
	} else if cfg.LabelDim > 0 {
		f.fact("classes", "%d: %s", cfg.LabelDim, strings.Join(m.Classes, ", "))
	}
	if d := m.Discrete; d != nil {
		f.fact("preconditioning", "%s, %d steps, %s betas, the network returns %s", m.Precond, d.NumTrainTimesteps, d.BetaSchedule, d.PredictionType)
	} else {
		f.fact("preconditioning", "%s, sigma_data %g", m.Precond, m.SigmaData)
	}
	f.fact("parameters", "%d in %d tensors, stored as %s", cost.Parameters, len(tensors), strings.Join(sortedKeys(types), " and "))
	f.fact("arithmetic", "%.3f GFLOP per picture and evaluation", cost.GFLOP)
	f.fact("memory", "%.1f MB for the weights", 4*float64(cost.Parameters)/1e6)
	f.fact("activations", "about %.1f MB per picture to sample, %.1f MB to train", float64(cost.SampleBytes)/1e6, float64(cost.TrainBytes)/1e6)
	broken, first := m.Net.NotFinite()
	if broken > 0 {
		f.fact("not usable", "%d weights are infinite or no numbers, the first in %s", broken, first)
	}
	f.fact("skip connections", "%d", m.Net.Skips())
	f.fact("config", "%s", cfg.JSON())
	if m.Description != "" {
		f.fact("description", "%s", m.Description)
	}
	if m.License != "" {
		f.fact("license", "%s", m.License)
	}
	if m.ImagesTrained > 0 {
		f.fact("trained on", "%s images", count(float64(m.ImagesTrained)))
	}
	if len(m.Training) > 0 {
		f.fact("training", "%s", string(m.Training))
	}
	f.table = [][]string{{"level", "parameters", "share", "GFLOP", "share"}}
	for _, l := range cost.Levels {
		f.table = append(f.table, []string{l.Level, strconv.Itoa(l.Parameters), percent(float64(l.Parameters), float64(cost.Parameters)),
			fmt.Sprintf("%.4f", l.GFLOP), percent(l.GFLOP, cost.GFLOP)})
	}
	f.list, f.arrays, _ = tensorTable(sortedKeys(tensors), tensors)
	f.value = map[string]any{"card": m.Card, "cost": cost, "skips": m.Net.Skips(), "weights_not_finite": broken, "stored_as": sortedKeys(types)}
	return f
}

func percent(part, whole float64) string { return fmt.Sprintf("%.1f%%", 100*part/whole) }

// levelName finds the resolution in a parameter's name, such as enc.16x16_block0.conv0.weight.
var levelName = regexp.MustCompile(`^(enc|dec)\.(\d+)x\d+_([a-z]+)`)

// networkCost adds up the convolutions and matrices of a network, and follows its activations through one pass.
func networkCost(n *unet.Net) modelCost {
	var c modelCost
	index := map[string]int{}
	var walk activationWalk
	h, wide := n.PictureSize()
	aspect, top := float64(wide)/float64(h), n.Resolution/n.PatchSize
	for name, w := range n.Params() {
		level, side, role := "embedding", 1, ""
		if m := levelName.FindStringSubmatch(name); m != nil {
			side, _ = strconv.Atoi(m[2])
			level, role = m[2]+"x"+m[2], m[3]
		} else if strings.HasPrefix(name, "out_") {
			side, level = top, fmt.Sprintf("%dx%d", top, top)
		}
		i, ok := index[level]
		if !ok {
			i = len(c.Levels)
			index[level] = i
			c.Levels = append(c.Levels, levelCost{Level: level})
		}
		flop := parameterFLOP(name, w, side, aspect)
		if strings.HasPrefix(name, "enc.") && strings.Contains(name, "aux_residual") {
			flop *= 4 // this one convolves before it halves the picture
		}
		c.Levels[i].Parameters += w.Len()
		c.Levels[i].GFLOP += flop / 1e9
		c.Parameters += w.Len()
		c.GFLOP += flop / 1e9
		walk.parameter(name, w, side, role)
	}
	walk.end()
	c.SampleBytes, c.TrainBytes = 4*walk.peak, 4*walk.kept
	return c
}

// parameterFLOP is the arithmetic that one parameter stands for on features side pixels high and aspect·side wide.
func parameterFLOP(name string, w *tensor.Tensor, side int, aspect float64) float64 {
	pixels := float64(side) * float64(side) * aspect
	switch len(w.Shape) {
	case 2: // linear maps see one vector per picture
		return 2 * float64(w.Len())
	case 4:
		flop := 2 * float64(w.Len()) * pixels
		if strings.HasSuffix(name, ".qkv.weight") { // and the two products of attention
			flop += 4 * pixels * pixels * float64(w.Shape[3]/3)
		}
		return flop
	}
	return 0
}

// activationWalk follows the floats alive during a forward pass, block by block in the order of parameters.
type activationWalk struct {
	block     string
	in, out   int // channels
	attention bool
	side      int
	decoder   bool
	joins     bool

	stack []int // floats of each skip
	alive int   // sum of stack
	peak  int
	kept  int
}

// parameter notes one parameter; a new block closes the one before.
func (a *activationWalk) parameter(name string, w *tensor.Tensor, side int, role string) {
	parts := strings.SplitN(name, ".", 3)
	if len(parts) < 3 || role == "" {
		return
	}
	block := parts[0] + "." + parts[1]
	if block != a.block {
		a.end()
		a.block, a.side, a.decoder, a.in, a.out, a.attention = block, side, parts[0] == "dec", 0, 0, false
		a.joins = a.decoder && role == "block"
	}
	if len(w.Shape) == 4 {
		if a.in == 0 {
			a.in = w.Shape[2]
		}
		if !strings.HasPrefix(parts[2], "qkv") {
			a.out = w.Shape[3]
		} else {
			a.attention = true
		}
	}
}

// end accounts for the block that has been read: its own buffers beside the waiting skips.
func (a *activationWalk) end() {
	if a.block == "" || a.out == 0 {
		return
	}
	pixels := a.side * a.side
	work := pixels * (2*a.in + 3*a.out) // input, its norm, two convolutions, shortcut
	if a.attention {
		work += pixels * (5*a.out + pixels) // norm, queries, keys, values, result; weights
	}
	a.peak = max(a.peak, a.alive+work)
	a.kept += work
	switch {
	case !a.decoder && !strings.Contains(a.block, "aux"):
		a.stack = append(a.stack, pixels*a.out)
		a.alive += pixels * a.out
	case a.joins && len(a.stack) > 0:
		a.alive -= a.stack[len(a.stack)-1]
		a.stack = a.stack[:len(a.stack)-1]
	}
	a.out = 0
}
