package unet

import (
	"fmt"
	"slices"
	"strings"

	"diffuse/checkpoint"
)

// exportUNet2D returns the weights under diffusers' names, stored as d. c is the
// network's configuration as one of model type "unet2d".
func (n *Net) exportUNet2D(c Config, d checkpoint.DType) (map[string]*checkpoint.Tensor, error) {
	ours, err := n.Export(checkpoint.F32)
	if err != nil {
		return nil, err
	}
	theirs := c.unet2DNames()
	out := make(map[string]*checkpoint.Tensor, len(ours))
	put := func(name string, x *checkpoint.Tensor) error {
		to, ok := theirs[name]
		if !ok {
			return fmt.Errorf("%w: tensor %q has no counterpart there", ErrNotUNet2D, name)
		}
		var err error
		if out[to], err = x.As(d); err != nil {
			return fmt.Errorf("tensor %q: %w", to, err)
		}
		return nil
	}
	for name, x := range ours {
		var err error
		before, end, isPart := strings.Cut(name, ".qkv.")
		switch {
		case name == "map_augment.weight": // of use in training only
		case isPart:
			var parts [3]*checkpoint.Tensor
			if parts, err = unweave(x); err != nil {
				break
			}
			for i, part := range parts {
				if err = put(fmt.Sprintf("%s.qkv.%d.%s", before, i, end), part); err != nil {
					break
				}
			}
		case name == "map_label.weight":
			if x, err = transposed(x); err == nil {
				err = put(name, x)
			}
		case strings.HasSuffix(name, ".proj.weight"):
			err = put(name, matrix(x))
		default:
			err = put(name, x)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unet2DNames maps our names of a network's tensors to diffusers', the inverse of unet2DName; query, key and
// value stand there as parts "qkv.0" to "qkv.2".
func (c Config) unet2DNames() map[string]string {
	names := map[string]string{}
	add := func(path string) {
		for _, end := range []string{".weight", ".bias"} {
			names[c.unet2DName(path+end)] = path + end
		}
	}
	addParts := func(prefix string, parts ...string) {
		for _, part := range parts {
			add(prefix + part)
		}
	}
	resnet := []string{"norm1", "conv1", "time_emb_proj", "norm2", "conv2", "conv_shortcut"}
	attention := []string{"group_norm", "to_q", "to_k", "to_v", "to_out.0"}
	add("conv_in")
	for path := range unet2DPlain {
		add(path)
	}
	addParts("mid_block.attentions.0.", attention...)
	addParts("mid_block.resnets.0.", resnet...)
	addParts("mid_block.resnets.1.", resnet...)
	for level := range c.ChannelMult {
		down, up := fmt.Sprintf("down_blocks.%d.", level), fmt.Sprintf("up_blocks.%d.", level)
		for j := range c.NumBlocks + 1 {
			for _, side := range []string{down, up} {
				addParts(fmt.Sprintf("%sresnets.%d.", side, j), resnet...)
				addParts(fmt.Sprintf("%sattentions.%d.", side, j), attention...)
			}
		}
		addParts(down+"downsamplers.0.", append(resnet, "conv")...)
		addParts(up+"upsamplers.0.", append(resnet, "conv")...)
	}
	return names
}

// unweave takes query, key and value apart, whose rows alternate in ours, as matrices or vectors.
func unweave(x *checkpoint.Tensor) (parts [3]*checkpoint.Tensor, err error) {
	v, err := x.Float32()
	if err != nil {
		return parts, err
	}
	rows := x.Shape[0] / 3
	width := len(v) / x.Shape[0]
	shape := []int{rows}
	if len(x.Shape) > 1 {
		shape = []int{rows, width}
	}
	for i := range parts {
		y := make([]float32, 0, rows*width)
		for r := range rows {
			y = append(y, v[(3*r+i)*width:][:width]...)
		}
		parts[i] = checkpoint.Float32(shape, y)
	}
	return parts, nil
}

// matrix makes a convolution of one pixel a matrix.
func matrix(x *checkpoint.Tensor) *checkpoint.Tensor {
	y := *x
	y.Shape = slices.Clone(x.Shape[:2])
	return &y
}
