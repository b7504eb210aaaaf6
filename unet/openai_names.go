package unet

import (
	"fmt"

	"diffuse/checkpoint"
)

// openAIResnet and openAIAttention are parts of blocks: diffusers' names by OpenAI's.
var (
	openAIResnet = map[string]string{"in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
		"out_layers.3": "conv2", "skip_connection": "conv_shortcut"}
	openAIAttention = map[string]string{"norm": "group_norm", "proj_out": "to_out.0"}
)

// rename gives the tensors diffusers' names and takes query, key and value apart. Tensors without a place keep their names.
func (s openAIShape) rename(tensors map[string]*checkpoint.Tensor, f openAIFlags) (map[string]*checkpoint.Tensor, error) {
	names := s.names()
	out := make(map[string]*checkpoint.Tensor, len(tensors))
	for name, t := range tensors {
		layer, end := cutLast(name)
		theirs, known := names[layer]
		attention, isQKV := names[layer+".attention"]
		switch {
		case isQKV:
			parts, err := splitQKV(t, f)
			if err != nil {
				return nil, fmt.Errorf("tensor %q: %w", name, err)
			}
			for i, part := range [...]string{"to_q", "to_k", "to_v"} {
				out[attention+"."+part+end] = parts[i]
			}
		case known && len(t.Shape) >= 3 && t.Shape[len(t.Shape)-1] == 1 && (len(t.Shape) == 3 || t.Shape[2] == 1) && isProjection(layer):
			y := *t
			y.Shape = t.Shape[:2]
			out[theirs+end] = &y
		case known:
			out[theirs+end] = t
		default:
			out[name] = t
		}
	}
	return out, nil
}

// isProjection says whether a layer is the one behind attention, a convolution of one pixel there.
func isProjection(layer string) bool {
	const part = ".proj_out"
	return len(layer) > len(part) && layer[len(layer)-len(part):] == part
}

// names maps the layers to diffusers' names; attention's query, key and value stand under their layer with ".attention" behind it.
func (s openAIShape) names() map[string]string {
	names := map[string]string{"time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2", "label_emb": "class_embedding",
		"input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out"}
	resnet := func(ours, theirs string) {
		for a, b := range openAIResnet {
			names[ours+"."+a] = theirs + "." + b
		}
	}
	attention := func(ours, theirs string) {
		for a, b := range openAIAttention {
			names[ours+"."+a] = theirs + "." + b
		}
		names[ours+".qkv.attention"] = theirs
	}
	last := len(s.widths) - 1
	k := 1
	for level := range s.widths {
		theirs := fmt.Sprintf("down_blocks.%d.", level)
		for j := range s.blocks {
			resnet(fmt.Sprintf("input_blocks.%d.0", k), fmt.Sprintf("%sresnets.%d", theirs, j))
			attention(fmt.Sprintf("input_blocks.%d.1", k), fmt.Sprintf("%sattentions.%d", theirs, j))
			k++
		}
		if level < last {
			resnet(fmt.Sprintf("input_blocks.%d.0", k), theirs+"downsamplers.0")
			names[fmt.Sprintf("input_blocks.%d.0.op", k)] = theirs + "downsamplers.0.conv"
			k++
		}
	}
	resnet("middle_block.0", "mid_block.resnets.0")
	attention("middle_block.1", "mid_block.attentions.0")
	resnet("middle_block.2", "mid_block.resnets.1")
	for i := range s.widths {
		theirs := fmt.Sprintf("up_blocks.%d.", i)
		for j := range s.blocks + 1 {
			k := i*(s.blocks+1) + j
			ours := fmt.Sprintf("output_blocks.%d.", k)
			resnet(ours+"0", fmt.Sprintf("%sresnets.%d", theirs, j))
			up := ours + "1"
			if s.attention[last-i] {
				attention(up, fmt.Sprintf("%sattentions.%d", theirs, j))
				up = ours + "2"
			}
			if j == s.blocks && i < last {
				resnet(up, theirs+"upsamplers.0")
				names[up+".conv"] = theirs + "upsamplers.0.conv"
			}
		}
	}
	return names
}

// splitQKV takes query, key and value out of one matrix or vector: one behind the other, or, in the first order, so for every head.
func splitQKV(t *checkpoint.Tensor, f openAIFlags) (parts [3]*checkpoint.Tensor, err error) {
	if len(t.Shape) == 0 || t.Shape[0] == 0 || t.Shape[0]%3 != 0 {
		return parts, fmt.Errorf("shape %v is not that of query, key and value", t.Shape)
	}
	v, err := t.Float32()
	if err != nil {
		return parts, err
	}
	channels := t.Shape[0] / 3
	width := len(v) / t.Shape[0]
	head := channels // rows of a part that stand together
	if !f.newOrder {
		if head = f.headChannels; head == 0 {
			head = channels / max(1, f.heads)
		}
		if head == 0 || channels%head != 0 {
			return parts, fmt.Errorf("%d channels do not divide into heads as the flags say", channels)
		}
	}
	shape := []int{channels, width}
	if len(t.Shape) == 1 {
		shape = shape[:1]
	}
	for i := range parts {
		y := make([]float32, 0, channels*width)
		for at := i * head; at < 3*channels; at += 3 * head {
			y = append(y, v[at*width:(at+head)*width]...)
		}
		parts[i] = checkpoint.Float32(shape, y)
	}
	return parts, nil
}
