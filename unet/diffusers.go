package unet

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"diffuse/checkpoint"
)

// unet2D is the config.json of a UNet2DModel. Absent keys take the constructor's
// defaults, set before decoding.
type unet2D struct {
	Class           string   `json:"_class_name"`
	SampleSize      any      `json:"sample_size"`
	InChannels      int      `json:"in_channels"`
	OutChannels     int      `json:"out_channels"`
	CenterInput     bool     `json:"center_input_sample"`
	TimeEmbedding   string   `json:"time_embedding_type"`
	TimeDim         int      `json:"time_embedding_dim"`
	FreqShift       float64  `json:"freq_shift"`
	FlipSinToCos    bool     `json:"flip_sin_to_cos"`
	DownBlocks      []string `json:"down_block_types"`
	MidBlock        *string  `json:"mid_block_type"` // null = none
	UpBlocks        []string `json:"up_block_types"`
	Channels        []int    `json:"block_out_channels"`
	LayersPerBlock  int      `json:"layers_per_block"`
	MidScale        float64  `json:"mid_block_scale_factor"`
	DownPadding     int      `json:"downsample_padding"`
	DownType        string   `json:"downsample_type"`
	UpType          string   `json:"upsample_type"`
	Dropout         float64  `json:"dropout"`
	Activation      string   `json:"act_fn"`
	HeadDim         *int     `json:"attention_head_dim"` // absent 8, null one head
	NormGroups      *int     `json:"norm_num_groups"`
	MidNormGroups   *int     `json:"attn_norm_num_groups"`
	NormEps         float64  `json:"norm_eps"`
	TimeScaleShift  string   `json:"resnet_time_scale_shift"`
	AddAttention    bool     `json:"add_attention"`
	ClassEmbedding  string   `json:"class_embed_type"`
	NumClasses      int      `json:"num_class_embeds"`
	NumTrainingTime int      `json:"num_train_timesteps"`
}

// ParseUNet2D translates the config.json of diffusers' UNet2DModel. What this
// package has no layer for is an error that names it: Skip blocks, Fourier and
// learned time embeddings, other activations, class embeddings other than a
// table, blocks with attention on the way down but not up, pictures that are not
// square.
func ParseUNet2D(config []byte) (Config, error) {
	eight, groups, middle := 8, 32, "UNetMidBlock2D"
	j := unet2D{InChannels: 3, OutChannels: 3, TimeEmbedding: "positional", FlipSinToCos: true, MidBlock: &middle, LayersPerBlock: 2, MidScale: 1,
		DownPadding: 1, DownType: "conv", UpType: "conv", Activation: "silu", HeadDim: &eight, NormGroups: &groups, NormEps: 1e-5,
		TimeScaleShift: "default", AddAttention: true,
		DownBlocks: []string{"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"},
		UpBlocks:   []string{"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"},
		Channels:   []int{224, 448, 672, 896}}
	if err := json.Unmarshal(config, &j); err != nil {
		return Config{}, fmt.Errorf("reading the configuration of a UNet2DModel: %w", err)
	}
	if err := j.unsupported(); err != nil {
		return Config{}, err
	}
	size, err := j.size()
	if err != nil {
		return Config{}, err
	}
	base := j.Channels[0]
	c := DefaultConfig("unet2d")
	c.Resolution, c.InChannels, c.OutChannels, c.LabelDim = size, j.InChannels, j.OutChannels, j.NumClasses
	c.ModelChannels, c.NumBlocks, c.Dropout, c.ChannelMult, c.AttnResolutions = base, j.LayersPerBlock, j.Dropout, nil, nil
	if j.TimeDim > 0 {
		c.ChannelMultEmb = j.TimeDim / base
	}
	u := &UNet2D{NormGroups: *j.NormGroups, MidNormGroups: *j.NormGroups, NormEps: j.NormEps, MidAttention: j.AddAttention,
		Adaptive: j.TimeScaleShift == "scale_shift", FreqShift: int(j.FreqShift), SinFirst: !j.FlipSinToCos}
	if j.MidNormGroups != nil {
		u.MidNormGroups = *j.MidNormGroups
	}
	if j.HeadDim != nil {
		u.HeadChannels = *j.HeadDim
	}
	c.UNet2D = u
	for i, ch := range j.Channels {
		c.ChannelMult = append(c.ChannelMult, ch/base)
		if attends(j.DownBlocks[i]) {
			c.AttnResolutions = append(c.AttnResolutions, size>>i)
		}
	}
	if u.Resampling, err = j.resampling(); err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// unsupported names the first thing that this package cannot express.
func (j *unet2D) unsupported() error {
	n := len(j.Channels)
	if j.Class != "UNet2DModel" {
		return fmt.Errorf("a %q of diffusers; only UNet2DModel is read", j.Class)
	}
	if n == 0 || n > 16 || len(j.DownBlocks) != n || len(j.UpBlocks) != n || j.Channels[0] < 1 {
		return fmt.Errorf("a UNet2DModel of %d widths, %d blocks down and %d up", n, len(j.DownBlocks), len(j.UpBlocks))
	}
	known := []string{"DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D", "UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"}
	for i := range n {
		for _, blocks := range []([]string){j.DownBlocks, j.UpBlocks} {
			blocks[i] = strings.TrimPrefix(blocks[i], "UNetRes") // as early versions wrote them
			if !slices.Contains(known, blocks[i]) {
				return fmt.Errorf("a UNet2DModel with blocks of type %q, which are not built in; known are %q", blocks[i], known)
			}
		}
		if attends(j.DownBlocks[i]) != attends(j.UpBlocks[n-1-i]) {
			return fmt.Errorf("a UNet2DModel with attention on one side of level %d only", i)
		}
		if j.Channels[i]%j.Channels[0] != 0 {
			return fmt.Errorf("a UNet2DModel of widths %v, which are no multiples of the first", j.Channels)
		}
	}
	for _, f := range []struct {
		is   bool
		what string
	}{
		{j.CenterInput, "center_input_sample"},
		{j.TimeEmbedding != "positional", "a time embedding of type " + j.TimeEmbedding},
		{j.TimeDim%j.Channels[0] != 0, fmt.Sprintf("a time embedding of %d values", j.TimeDim)},
		{j.FreqShift != 0 && j.FreqShift != 1, fmt.Sprintf("freq_shift %g", j.FreqShift)},
		{j.MidBlock == nil || *j.MidBlock != "UNetMidBlock2D", "another middle than UNetMidBlock2D, or none"},
		{j.MidScale != 1, fmt.Sprintf("mid_block_scale_factor %g", j.MidScale)},
		{j.Activation != "silu" && j.Activation != "swish", "activation " + j.Activation},
		{j.NormGroups == nil, "norm_num_groups null"},
		{j.TimeScaleShift != "default" && j.TimeScaleShift != "scale_shift", "resnet_time_scale_shift " + j.TimeScaleShift},
		{j.TimeScaleShift == "scale_shift" && j.MidNormGroups == nil && j.AddAttention, "a middle whose attention has no norm"},
		{j.ClassEmbedding != "", "a class embedding of type " + j.ClassEmbedding},
		{j.HeadDim != nil && *j.HeadDim < 1, "attention heads without channels"},
	} {
		if f.is {
			return fmt.Errorf("a UNet2DModel with %s, which is not built in", f.what)
		}
	}
	return nil
}

func attends(block string) bool { return strings.HasPrefix(block, "Attn") }

// size reads sample_size, a number or two equal ones.
func (j *unet2D) size() (int, error) {
	list, ok := j.SampleSize.([]any)
	if ok && len(list) == 2 && list[0] == list[1] {
		j.SampleSize = list[0]
	}
	v, ok := j.SampleSize.(float64)
	if !ok || v < 1 || v > maxResolution || v != float64(int(v)) {
		return 0, fmt.Errorf("a UNet2DModel with sample_size %v; wanted is the side of square pictures", j.SampleSize)
	}
	return int(v), nil
}

// resampling finds what changes the picture's size; all levels must do it in one way.
func (j *unet2D) resampling() (string, error) {
	kinds := map[string]bool{}
	for i := range len(j.Channels) - 1 { // the last of each does not resample
		kind := func(block, setting string) string {
			switch {
			case strings.HasPrefix(block, "Resnet"), attends(block) && setting == "resnet":
				return "block"
			}
			return "conv"
		}
		kinds[kind(j.DownBlocks[i], j.DownType)] = true
		kinds[kind(j.UpBlocks[i], j.UpType)] = true
	}
	switch {
	case len(kinds) > 1:
		return "", errors.New("a UNet2DModel that resamples by convolutions in some blocks and by residual blocks in others, which is not built in")
	case kinds["block"]:
		return "block", nil
	case j.DownPadding == 0:
		return "conv-end", nil
	case j.DownPadding == 1:
		return "conv", nil
	}
	return "", fmt.Errorf("a UNet2DModel with downsample_padding %d, which is not built in", j.DownPadding)
}

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
