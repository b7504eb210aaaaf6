package unet

import (
	"fmt"
	"strings"

	"diffuse/checkpoint"
	"diffuse/schedule"
)

// openAINetwork is a tensor that the networks of improved-diffusion, guided-diffusion and consistency_models have, and no others.
const openAINetwork = "input_blocks.0.0.weight"

// IsOpenAI reports whether f holds a network as improved-diffusion, guided-diffusion and consistency_models save it.
func IsOpenAI(f *checkpoint.File) bool { return f.Tensors[openAINetwork] != nil }

// ReadOpenAI builds a model from the weights of improved-diffusion (Nichol & Dhariwal 2021), guided-diffusion (Dhariwal & Nichol 2021) or
// consistency_models (Song et al. 2023). Widths, depth, attention and classes follow from the tensors' shapes. What they do not
// show - heads, the order of query, key and value, the noise schedule, the size of the pictures - arch says: a name of
// [OpenAIArchitectures], or flags as those programs take them ("--image_size 64 --num_heads 4 …"); if it is "", the
// published network of these shapes is taken, and it is an error if there is none or several. Networks that return a variance
// too keep it in the second half of their channels.
func ReadOpenAI(f *checkpoint.File, arch string) (*Model, error) {
	s, err := openAIShapes(f.Tensors)
	if err != nil {
		return nil, err
	}
	flags, name, err := s.flags(arch)
	if err != nil {
		return nil, err
	}
	c, err := s.config(flags)
	if err != nil {
		return nil, err
	}
	tensors, err := s.rename(f.Tensors, flags)
	if err != nil {
		return nil, err
	}
	if tensors, err = outline(c).fromUNet2D(tensors); err != nil {
		return nil, err
	}
	m := &Model{Net: empty(c), Card: flags.card(c)}
	if name != "" {
		m.Description = openAIPublished[name].about
	}
	if _, err := m.Preconditioning(); err != nil {
		return nil, err
	}
	return m, m.Net.Import(tensors)
}

// An openAIShape is what the shapes of the tensors show.
type openAIShape struct {
	in, out   int
	channels  int    // of the noise embedding
	embedding int    // width behind its layers
	classes   int    // 0 = unconditional
	blocks    int    // per level
	widths    []int  // finest level first
	attention []bool // by level
	adaptive  bool   // scale-shift norm
	resnet    bool   // resampling in residual blocks
}

// String is the architecture in a line, by which published ones are found.
func (s openAIShape) String() string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "%d channels, levels of", s.channels)
	for i, w := range s.widths {
		fmt.Fprintf(b, " %d", w)
		if s.attention[i] {
			b.WriteByte('a')
		}
	}
	fmt.Fprintf(b, " with %d blocks, %d classes, %d to %d", s.blocks, s.classes, s.in, s.out)
	if s.adaptive {
		b.WriteString(", scale-shift")
	}
	if s.resnet {
		b.WriteString(", resampling in blocks")
	}
	return b.String()
}

// openAIShapes reads the architecture from the tensors' shapes. Only those that it asks for are looked at; the rest is checked on import.
func openAIShapes(tensors map[string]*checkpoint.Tensor) (openAIShape, error) {
	var s openAIShape
	var missing string
	dim := func(i int, format string, args ...any) int {
		name := fmt.Sprintf(format, args...)
		t := tensors[name]
		if t == nil || len(t.Shape) <= i || t.Shape[i] < 1 || t.Shape[i] > maxChannels {
			if missing == "" {
				missing = name
			}
			return 1
		}
		return t.Shape[i]
	}
	has := func(format string, args ...any) bool { return tensors[fmt.Sprintf(format, args...)] != nil }
	s.in, s.out = dim(1, openAINetwork), dim(0, "out.2.weight")
	s.embedding, s.channels = dim(0, "time_embed.0.weight"), dim(1, "time_embed.0.weight")
	if has("label_emb.weight") {
		s.classes = dim(0, "label_emb.weight")
	}
	s.adaptive = dim(0, "middle_block.0.emb_layers.1.weight") == 2*dim(0, "middle_block.0.out_layers.3.weight")
	for k := 0; has("output_blocks.%d.0.in_layers.0.weight", k); k++ {
		level := len(s.widths)
		if k == 0 || s.blocks > 0 && k%(s.blocks+1) == 0 {
			s.widths = append([]int{dim(0, "output_blocks.%d.0.out_layers.3.weight", k)}, s.widths...)
			s.attention = append([]bool{has("output_blocks.%d.1.qkv.weight", k)}, s.attention...)
		}
		if level > 16 {
			break
		}
		up := false
		for part := 1; part <= 2; part++ {
			block := has("output_blocks.%d.%d.in_layers.0.weight", k, part)
			s.resnet = s.resnet || block
			up = up || block || has("output_blocks.%d.%d.conv.weight", k, part)
		}
		if up && s.blocks == 0 {
			s.blocks = k
		}
	}
	if missing != "" {
		return s, fmt.Errorf("a network of improved-diffusion, guided-diffusion or consistency_models without tensor %q", missing)
	}
	if len(s.widths) < 2 || s.blocks < 1 || len(s.widths) > 16 {
		return s, fmt.Errorf("a network of improved-diffusion, guided-diffusion or consistency_models with %d levels of %d blocks", len(s.widths), s.blocks)
	}
	if s.widths[0] != s.channels {
		return s, fmt.Errorf("a network of guided-diffusion whose finest level has %d channels and its noise embedding %d, which is not built in", s.widths[0], s.channels)
	}
	return s, nil
}

// config is the network as one of model type "unet2d".
func (s openAIShape) config(f openAIFlags) (Config, error) {
	c := DefaultConfig("unet2d")
	c.Resolution, c.InChannels, c.OutChannels, c.LabelDim, c.NumBlocks, c.Dropout, c.AttnResolutions = f.size, s.in, s.out, s.classes, s.blocks, 0, nil
	c.ModelChannels, c.ChannelMult = multiples(s.widths)
	kind, down, up := "conv", "DownBlock2D", "UpBlock2D"
	if s.resnet {
		kind, down, up = "resnet", "ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"
	}
	u := &UNet2D{DownType: kind, UpType: kind, DownPadding: 1, NormGroups: 32, MidNormGroups: 32, NormEps: 1e-5, Middle: true, MidAttention: true, MidScale: 1,
		Adaptive: s.adaptive, Activation: "silu", EmbChannels: s.embedding, HeadChannels: f.headChannels}
	heads := map[int]bool{s.widths[len(s.widths)-1] / max(1, f.heads): true}
	for i, attention := range s.attention {
		d, v := down, up
		if attention {
			d, v = "AttnDownBlock2D", "AttnUpBlock2D"
			heads[s.widths[i]/max(1, f.heads)] = true
		}
		u.DownBlocks, u.UpBlocks = append(u.DownBlocks, d), append([]string{v}, u.UpBlocks...)
	}
	switch {
	case f.headChannels > 0 || f.heads == 1: // one head of all channels is what 0 says
	case len(heads) == 1:
		for width := range heads {
			u.HeadChannels = width
		}
	default:
		u.Heads = f.heads
	}
	c.UNet2D = u
	return c, c.Validate()
}

// card describes the network, whose preconditioning follows from the flags.
func (f openAIFlags) card(c Config) Card {
	card := Card{Config: c, SigmaData: 0.5, ImageRange: [2]float64{-1, 1}}
	switch f.mode {
	case "":
		card.Precond, card.Discrete, card.Description = "discrete", f.schedule(), "network of improved-diffusion or guided-diffusion"
	case "edm":
		card.Precond, card.SigmaRange, card.Description = "consistency", &[2]float64{0, 80}, "EDM of consistency_models"
	default:
		card.Precond, card.SigmaRange, card.Description = "consistency", &[2]float64{0.002, 80}, "consistency model of consistency_models"
	}
	return card
}

// schedule is the process that the network was trained on.
func (f openAIFlags) schedule() *schedule.Trained {
	d := schedule.DefaultTrained()
	d.NumTrainTimesteps = f.steps
	d.BetaStart, d.BetaEnd = 0.1/float64(f.steps), 20/float64(f.steps) // so that a run of any length ends at the same level
	if f.noise == "cosine" {
		d.BetaSchedule, d.BetaStart, d.BetaEnd = "squaredcos_cap_v2", schedule.DefaultTrained().BetaStart, schedule.DefaultTrained().BetaEnd
	}
	if f.rescale {
		d.TimestepScale = 1000 / float64(f.steps)
	}
	if f.predictX {
		d.PredictionType = "sample"
	}
	return &d
}
