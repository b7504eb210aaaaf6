package unet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diffuse/checkpoint"
	"diffuse/tensor"
)

// diffusersVersion is written to exported configurations: the release that they were checked with.
const diffusersVersion = "0.42.1"

// DiffusersOrigin holds the configurations of the folder of diffusers that a
// model came from, word for word, so that it can be given back as it was.
type DiffusersOrigin struct {
	UNet      string `json:"unet"`                // config.json
	Scheduler string `json:"scheduler,omitempty"` // scheduler_config.json, if there was one; Python's JSON, which knows -Infinity
}

// ErrNotUNet2D is wrapped by the error of [Model.SaveUNet2D] for a model that a
// UNet2DModel with a scheduler of diffusers cannot express exactly.
var ErrNotUNet2D = errors.New("not expressible as a UNet2DModel of diffusers")

// SaveUNet2D writes the model to the new folder dir as diffusers loads it:
// unet/ with config.json and the weights, stored as d, scheduler/ with a scheduler
// that applies the model's preconditioning, and model_index.json. Networks of model
// type "unet2d", and of "adm" where their norms and heads are as diffusers has
// them, are exact; what cannot be is an error that names every obstacle and
// wraps [ErrNotUNet2D]. The folder appears complete or not at all; one that
// exists must be empty. Label -1, no class, has no counterpart there, and the
// weights for augmentation labels, which only training uses, are left out.
func (m *Model) SaveUNet2D(dir string, d checkpoint.DType) error {
	if err := m.saveUNet2D(dir, d); err != nil {
		return fmt.Errorf("writing %s: %w", dir, err)
	}
	return nil
}

func (m *Model) saveUNet2D(dir string, d checkpoint.DType) error {
	config, text, err := m.unet2DConfig()
	if err != nil {
		return err
	}
	class, scheduler, err := m.diffusersScheduler()
	if err != nil {
		return err
	}
	tensors, err := m.Net.exportUNet2D(config, d)
	if err != nil {
		return err
	}
	index, err := indented(map[string]any{"_class_name": pipelineFor(class, config.LabelDim), "_diffusers_version": diffusersVersion,
		"unet": []string{"diffusers", "UNet2DModel"}, "scheduler": []string{"diffusers", class}})
	if err != nil {
		return err
	}
	return newFolder(dir, func(tmp string) error {
		for name, b := range map[string][]byte{"unet/config.json": text, "scheduler/scheduler_config.json": scheduler, "model_index.json": index} {
			if err := os.WriteFile(filepath.Join(tmp, name), b, 0o666); err != nil {
				return err
			}
		}
		return checkpoint.WriteFile(filepath.Join(tmp, "unet", "diffusion_pytorch_model.safetensors"), &checkpoint.File{Tensors: tensors})
	})
}

// unet2DConfig returns the network as one of model type "unet2d", and its config.json.
func (m *Model) unet2DConfig() (Config, []byte, error) {
	c, err := m.Net.asUNet2D()
	if err != nil {
		return c, nil, err
	}
	if o := m.Diffusers; o != nil && c.parsedFrom(o.UNet) {
		return c, []byte(o.UNet), nil
	}
	text, err := indented(c.unet2DJSON())
	if err == nil && !c.parsedFrom(string(text)) {
		err = fmt.Errorf("%w: its options %s have no counterpart there", ErrNotUNet2D, c.JSON())
	}
	return c, text, err
}

// parsedFrom reports whether a config.json says the same as c.
func (c Config) parsedFrom(text string) bool {
	p, err := ParseUNet2D([]byte(text))
	return err == nil && p.JSON() == c.JSON()
}

// newFolder makes dir hold what fill puts into another folder beside it, or leaves it as it was.
func newFolder(dir string, fill func(tmp string) error) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return errors.New("the folder is not empty")
	}
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".diffusers-*.tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, sub := range []string{"unet", "scheduler"} {
		if err := os.Mkdir(filepath.Join(tmp, sub), 0o777); err != nil {
			return err
		}
	}
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(tmp, dir)
}

// indented is v as a file of JSON.
func indented(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}

// asUNet2D returns the network's configuration as one of model type "unet2d"
// under which the same weights compute the same, or an error that names
// everything that stands against it.
func (n *Net) asUNet2D() (Config, error) {
	c := n.Config
	switch c.ModelType {
	case "unet2d":
		if h := c.UNet2D.Heads; h > 0 {
			return c, fmt.Errorf("%w: its attention has %d heads at levels of different widths, there all heads have one width", ErrNotUNet2D, h)
		}
		c.AttnResolutions, c.ChannelMultEmb, c.ChannelMultNoise = nil, 4, 1 // its blocks say the rest
		return c, nil
	case "song":
		return c, fmt.Errorf("%w: %s", ErrNotUNet2D, strings.Join(songObstacles(c), "; "))
	}
	var wrong []string
	if c.ChannelMult[0] != 1 {
		wrong = append(wrong, fmt.Sprintf("its finest level has %d times as many channels as its noise embedding, there they are equal", c.ChannelMult[0]))
	}
	if c.PatchSize > 1 {
		wrong = append(wrong, fmt.Sprintf("it sees patches of %d×%d pixels", c.PatchSize, c.PatchSize))
	}
	if !slices.Equal(c.ResampleFilter, []float32{1, 1}) {
		wrong = append(wrong, fmt.Sprintf("it resamples with the filter %v, there it is [1 1]", c.ResampleFilter))
	}
	u := &UNet2D{DownType: "resnet", UpType: "resnet", DownPadding: 1, NormEps: 1e-5, Middle: true, MidScale: 1, Adaptive: true,
		Activation: "silu", EmbChannels: c.ModelChannels * c.ChannelMultEmb}
	norms, heads := map[int]bool{}, map[int]bool{}
	attending := map[int]bool{}
	for _, s := range slices.Concat(n.encoder, n.decoder) {
		for _, l := range []norm{s.norm, s.block.norm0, s.block.norm1} {
			if l.groups > 0 {
				norms[l.groups], u.NormGroups = true, l.groups
			}
		}
		if s.block.heads == 0 {
			continue
		}
		heads[s.block.out/s.block.heads], u.HeadChannels = true, s.block.out/s.block.heads
		if strings.HasSuffix(s.name, "_in0") {
			u.MidAttention, u.MidNormGroups = true, s.block.norm2.groups
			continue
		}
		norms[s.block.norm2.groups] = true
		attending[levelSide(s.name)] = true
	}
	if len(norms) > 1 {
		wrong = append(wrong, "its norms have different numbers of groups, as those of widths below 128 do; there all have one")
	}
	if len(heads) > 1 {
		wrong = append(wrong, "its attention heads have different widths; there all have one")
	}
	if len(wrong) > 0 {
		return c, fmt.Errorf("%w: %s", ErrNotUNet2D, strings.Join(wrong, "; "))
	}
	if u.HeadChannels == 0 {
		u.HeadChannels = 8 // without attention it says nothing
	}
	for i := range c.ChannelMult {
		down, up := "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
		if attending[c.Resolution>>i] {
			down, up = "AttnDownBlock2D", "AttnUpBlock2D"
		}
		u.DownBlocks, u.UpBlocks = append(u.DownBlocks, down), slices.Insert(u.UpBlocks, 0, up)
	}
	c.ModelType, c.AugmentDim, c.ChannelMultEmb, c.ChannelMultNoise, c.AttnResolutions, c.UNet2D = "unet2d", 0, 4, 1, nil, u
	return c, nil
}

// levelSide reads the resolution in a stage's name, such as enc.16x16_block0.
func levelSide(name string) (side int) {
	fmt.Sscanf(name[strings.IndexByte(name, '.')+1:], "%d", &side)
	return side
}

// songObstacles lists what sets a network of model type "song" apart from a UNet2DModel.
func songObstacles(c Config) []string {
	wrong := []string{
		"its residual sums are scaled by √½, there they are not",
		"the shortcuts of its resampling blocks have convolutions, there they have none",
		"its decoder has attention in one block of a level, there in all or none",
	}
	if c.LabelDim > 0 {
		wrong = append(wrong, "the class goes through the embedding's layers, there it is added behind them")
	}
	if c.PatchSize > 1 {
		wrong = append(wrong, fmt.Sprintf("it sees patches of %d×%d pixels", c.PatchSize, c.PatchSize))
	}
	return wrong
}

// unet2DJSON is the config.json of a network of model type "unet2d".
func (c Config) unet2DJSON() map[string]any {
	u := c.UNet2D
	orNull := func(v int) any {
		if v == 0 {
			return nil
		}
		return v
	}
	h, w := c.PictureSize()
	var size any = []int{h, w}
	if h == w {
		size = h
	}
	widths := make([]int, len(c.ChannelMult))
	for i, m := range c.ChannelMult {
		widths[i] = m * c.ModelChannels
	}
	scaleShift, classes := "default", c.LabelDim
	if u.Adaptive {
		scaleShift = "scale_shift"
	}
	var middle, classEmbedding any
	if u.Middle {
		middle = "UNetMidBlock2D"
	}
	if u.ClassEmbedding != "" {
		classEmbedding = u.ClassEmbedding
	}
	if u.ClassEmbedding == "identity" {
		classes = 0
	}
	return map[string]any{
		"_class_name": "UNet2DModel", "_diffusers_version": diffusersVersion,
		"sample_size": size, "in_channels": c.InChannels, "out_channels": c.OutChannels, "center_input_sample": u.CenterInput,
		"time_embedding_type": c.EmbeddingType, "time_embedding_dim": u.EmbChannels, "freq_shift": u.FreqShift, "flip_sin_to_cos": !u.SinFirst,
		"down_block_types": u.DownBlocks, "mid_block_type": middle, "up_block_types": u.UpBlocks, "block_out_channels": widths,
		"layers_per_block": c.NumBlocks, "mid_block_scale_factor": u.MidScale, "downsample_padding": u.DownPadding,
		"downsample_type": u.DownType, "upsample_type": u.UpType, "dropout": c.Dropout, "act_fn": u.Activation,
		"attention_head_dim": orNull(u.HeadChannels), "norm_num_groups": orNull(u.NormGroups), "attn_norm_num_groups": orNull(u.MidNormGroups),
		"norm_eps": u.NormEps, "resnet_time_scale_shift": scaleShift, "add_attention": u.MidAttention,
		"class_embed_type": classEmbedding, "num_class_embeds": orNull(classes), "num_train_timesteps": orNull(u.Timesteps),
	}
}

// exportUNet2D returns the weights under diffusers' names, stored as d. c is the
// network's configuration as one of model type "unet2d"; layers are called alike there but for those
// that only training uses.
func (n *Net) exportUNet2D(c Config, d checkpoint.DType) (map[string]*checkpoint.Tensor, error) {
	ours := map[string]*tensor.Tensor{}
	for _, p := range n.stored() {
		ours[p.name] = p.Tensor
	}
	m := outline(c)
	for i, p := range m.params {
		x := ours[p.name]
		if x == nil || !slices.Equal(x.Shape, p.Shape) {
			return nil, fmt.Errorf("%w: tensor %q has no counterpart here", ErrNotUNet2D, p.peers[0])
		}
		m.params[i].Tensor = x
	}
	m.freqs = n.freqs
	return m.ExportUNet2D(d)
}
