package unet

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"diffuse/checkpoint"
)

// Names of a UNet2DModel's parts.
var (
	unet2DBlock  = regexp.MustCompile(`^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$`)
	unet2DMiddle = regexp.MustCompile(`^mid_block\.(resnets|attentions)\.(\d+)\.(.+)$`)
	unet2DPlain  = map[string]string{"time_embedding.linear_1": "map_layer0", "time_embedding.linear_2": "map_layer1", "class_embedding": "map_label",
		"conv_norm_out": "out_norm", "conv_out": "out_conv"}
	unet2DParts = map[string]string{"norm1": "norm0", "conv1": "conv0", "time_emb_proj": "affine", "norm2": "norm1", "conv2": "conv1", "conv_shortcut": "skip",
		"group_norm": "norm2", "to_q": "qkv.0", "to_k": "qkv.1", "to_v": "qkv.2", "to_out.0": "proj",
		"query": "qkv.0", "key": "qkv.1", "value": "qkv.2", "proj_attn": "proj", "conv": ""}
)

// unet2DName translates the name of a tensor into ours; query, key and value come as parts "qkv.0" to "qkv.2". Unknown names stay.
func (c Config) unet2DName(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name
	}
	path, end := name[:dot], name[dot:]
	levels := len(c.ChannelMult)
	at := func(side string, level int, what string) string {
		r := c.Resolution >> level
		return fmt.Sprintf("%s.%dx%d_%s", side, r, r, what)
	}
	join := func(block, part string) string {
		ours, ok := unet2DParts[part]
		switch {
		case !ok:
			return name
		case ours == "":
			return block + end
		}
		return block + "." + ours + end
	}
	if path == "conv_in" {
		return at("enc", 0, "conv") + end
	}
	if ours, ok := unet2DPlain[path]; ok {
		return ours + end
	}
	if m := unet2DMiddle.FindStringSubmatch(path); m != nil {
		return join(at("dec", levels-1, "in"+m[2]), m[3])
	}
	m := unet2DBlock.FindStringSubmatch(path)
	if m == nil {
		return name
	}
	level, err := strconv.Atoi(m[2])
	if err != nil || level >= levels {
		return name
	}
	switch m[1] + " " + m[3] {
	case "down resnets", "down attentions":
		return join(at("enc", level, "block"+m[4]), m[5])
	case "down downsamplers":
		return join(at("enc", level+1, "down"), m[5])
	case "up resnets", "up attentions":
		return join(at("dec", levels-1-level, "block"+m[4]), m[5])
	case "up upsamplers":
		if level == levels-1 { // the finest level has none
			return name
		}
		return join(at("dec", levels-2-level, "up"), m[5])
	}
	return name
}

// fromUNet2D renames a UNet2DModel's tensors into ours, and weaves query, key and
// value into one, row by row, which is EDM's order for any number of heads.
func (c Config) fromUNet2D(tensors map[string]*checkpoint.Tensor) (map[string]*checkpoint.Tensor, error) {
	out := map[string]*checkpoint.Tensor{}
	parts := map[string]*[3]*checkpoint.Tensor{}
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		x, ours := tensors[name], c.unet2DName(name)
		before, after, isPart := strings.Cut(ours, ".qkv.")
		switch {
		case isPart:
			key := before + ".qkv" + after[1:]
			if parts[key] == nil {
				parts[key] = new([3]*checkpoint.Tensor)
			}
			parts[key][after[0]-'0'] = x
		case out[ours] != nil:
			return nil, fmt.Errorf("tensor %q is there under another name too", name)
		case ours == "map_label.weight":
			t, err := transposed(x)
			if err != nil {
				return nil, fmt.Errorf("tensor %q: %w", name, err)
			}
			out[ours] = t
		case strings.HasSuffix(ours, ".proj.weight"):
			out[ours] = reshaped(x, true)
		default:
			out[ours] = x
		}
	}
	for key, three := range parts {
		t, err := weave(three)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", key, err)
		}
		out[key] = reshaped(t, strings.HasSuffix(key, ".weight"))
	}
	return out, nil
}

// reshaped makes a matrix a convolution of one pixel; the first versions stored some so already.
func reshaped(x *checkpoint.Tensor, matrix bool) *checkpoint.Tensor {
	if !matrix || len(x.Shape) != 2 {
		return x
	}
	y := *x
	y.Shape = []int{x.Shape[0], x.Shape[1], 1, 1}
	return &y
}

// transposed turns a table, classes×width, into the matrix width×classes.
func transposed(x *checkpoint.Tensor) (*checkpoint.Tensor, error) {
	v, err := x.Float32()
	if err != nil {
		return nil, err
	}
	if len(x.Shape) != 2 {
		return nil, fmt.Errorf("shape %v, want two dimensions", x.Shape)
	}
	rows, cols := x.Shape[0], x.Shape[1]
	y := make([]float32, len(v))
	for i := range rows {
		for j := range cols {
			y[j*rows+i] = v[i*cols+j]
		}
	}
	return checkpoint.Float32([]int{cols, rows}, y), nil
}

// weave interleaves the rows of query, key and value.
func weave(parts *[3]*checkpoint.Tensor) (*checkpoint.Tensor, error) {
	var v [3][]float32
	for i, x := range parts {
		if x == nil {
			return nil, errors.New("query, key or value is missing")
		}
		if len(x.Shape) == 0 || !slices.Equal(x.Shape, parts[0].Shape) {
			return nil, fmt.Errorf("query, key and value have shapes %v and %v", parts[0].Shape, x.Shape)
		}
		var err error
		if v[i], err = x.Float32(); err != nil {
			return nil, err
		}
	}
	shape := slices.Clone(parts[0].Shape)
	width := len(v[0]) / max(1, shape[0])
	y := make([]float32, 0, 3*len(v[0]))
	for r := range shape[0] {
		for i := range v {
			y = append(y, v[i][r*width:(r+1)*width]...)
		}
	}
	shape[0] *= 3
	return checkpoint.Float32(shape, y), nil
}
