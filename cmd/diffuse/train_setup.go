package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/train"
	"diffuse/unet"
)

// The presets of "diffuse train": one JSON file each, of the same form as a run's settings.
//
//go:embed presets/*.json
var presetFiles embed.FS

// trainSettings are everything that a run's result depends on, and how it is measured. A preset is a partial one; flags change single fields.
type trainSettings struct {
	About       string           `json:"about,omitempty"`       // of a preset
	Options     train.Options    `json:"options"`               // stored by package train itself
	Network     unet.Config      `json:"network"`               // size, channels and classes come from the data
	Data        string           `json:"data,omitempty"`        // where the pictures are
	Split       string           `json:"split,omitempty"`       // train or test
	Resolution  int              `json:"resolution,omitempty"`  // scale and crop to this; 0 = as they are
	Grey        bool             `json:"grey,omitempty"`        // convert to grey
	Unlabelled  bool             `json:"unlabelled,omitempty"`  // ignore the classes
	SkipBad     bool             `json:"skip_bad,omitempty"`    // leave out unreadable pictures
	Precision   precisionName    `json:"precision,omitempty"`   // how the network computes; "" = auto
	Snapshot    checkpoint.DType `json:"snapshot_type"`         // how snapshots store weights
	Description string           `json:"description,omitempty"` // goes into the model file
	License     string           `json:"license,omitempty"`     // goes into the model file
	trainValidation
	Transfer *transfer `json:"transfer,omitempty"` // where the initial weights come from; nil: at random
	Eval     trainEval `json:"eval"`               // how the run is measured; stored by package train itself

	reading           // how pictures become those of a set
	height, width int // of the pictures, once they are known
}

// defaultSettings are those of a run without a preset. ChannelMult nil means that the picture's size decides.
func defaultSettings() trainSettings {
	s := trainSettings{Options: train.DefaultOptions(), Network: unet.DefaultConfig("song"), Snapshot: checkpoint.F32, Eval: defaultTrainEval()}
	s.Network.ModelChannels, s.Network.ChannelMult, s.Network.NumBlocks = 64, nil, 2
	return s
}

// presetNames lists the presets of "diffuse train".
func presetNames() []string { return namesIn(presetFiles, "presets") }

// namesIn lists the JSON files in a folder of embedded files, without their extension.
func namesIn(files embed.FS, dir string) []string {
	entries, err := files.ReadDir(dir)
	if err != nil { // embedded, so this cannot happen
		panic(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// readPreset lays a preset over the default settings.
func readPreset(name string) (trainSettings, error) {
	b, err := presetFiles.ReadFile("presets/" + name + ".json")
	if err != nil {
		return trainSettings{}, unknownName("preset", name, presetNames())
	}
	s := defaultSettings()
	if err := decodeStrict(b, &s); err != nil {
		return s, fmt.Errorf("preset %s: %w", name, err)
	}
	return s, nil
}

// readNetwork lays the network configuration in a JSON file over c.
func readNetwork(path string, c *unet.Config) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := decodeStrict(b, c); err != nil {
		return fmt.Errorf("network configuration %s: %w", path, err)
	}
	return nil
}

// decodeStrict decodes one JSON value over v and refuses fields it does not know.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more text after the JSON value")
	}
	return nil
}

// bind adds a flag for every setting; the flags change s.
func (s *trainSettings) bind(f *pflag.FlagSet) {
	o, n := &s.Options, &s.Network
	images := func(p *int64, name, usage string) { f.Var((*countValue)(p), name, usage) }
	images(&o.Duration, "duration", "images to show in all, such as 200k or 5M")
	f.IntVar(&o.Batch, "batch", o.Batch, "images per step")
	f.IntVar(&o.Microbatch, "microbatch", o.Microbatch, "images that one processor computes at a time (0 = at most 16, for the cache)")
	f.BoolVar(&o.CheckpointBlocks, "checkpoint-blocks", o.CheckpointBlocks, "much less memory for a third more time: keep what blocks return, compute what is inside them again")
	f.Float64Var(&o.LR, "lr", o.LR, "learning rate")
	images(&o.LRRampup, "lr-rampup", "images over which the learning rate rises from 0")
	f.StringVar(&o.LRDecay, "lr-decay", o.LRDecay, "how the learning rate ends: none, cosine or linear")
	f.Float64Var(&o.LRDecayFraction, "lr-decay-fraction", o.LRDecayFraction, "last part of the duration in which it falls to 0")
	f.Float64Var(&o.Beta1, "beta1", o.Beta1, "Adam's decay of the mean gradient")
	f.Float64Var(&o.Beta2, "beta2", o.Beta2, "Adam's decay of the squared gradient")
	f.Float64Var(&o.Eps, "eps", o.Eps, "Adam's guard against division by zero")
	f.Float64Var(&o.Clip, "clip", o.Clip, "largest norm of the gradient (0 = no limit)")
	images(&o.EMAHalfLife, "ema-halflife", "half-life of the weights' average, in images")
	f.Float64Var(&o.EMARampup, "ema-rampup", o.EMARampup, "half-life at most this share of the images seen (negative = no limit)")
	f.Var((*stdsValue)(&o.EMAStds), "ema-stds", "relative widths of two more averages, from which diffuse ema makes others, such as 0.05,0.1; none = keep no more")
	bindObjective(f, &o.Objective)
	f.Float64Var(&o.PMean, "p-mean", o.PMean, "mean of ln sigma in training, with --noise lognormal")
	f.Float64Var(&o.PStd, "p-std", o.PStd, "standard deviation of ln sigma in training, with --noise lognormal")
	f.Float64Var(&o.SigmaData, "sigma-data", o.SigmaData, "standard deviation of the pictures on the scale -1 to 1")
	f.BoolVar(&o.Flip, "flip", o.Flip, "mirror pictures at random; pictures drawn later will be mirrored too")
	f.Float64Var(&o.ClassDropout, "class-dropout", o.ClassDropout, "share of pictures shown without their class (for guidance)")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "of weights, order and noise")
	images(&o.Tick, "tick", "images per line of statistics")
	f.IntVar(&o.CheckpointTicks, "checkpoint-ticks", o.CheckpointTicks, "ticks between checkpoints")
	f.IntVar(&o.PictureTicks, "picture-ticks", o.PictureTicks, "ticks between grids of pictures (0 = only at the end)")
	f.IntVar(&o.SnapshotTicks, "snapshot-ticks", o.SnapshotTicks, "ticks between snapshots, the files to sample from (0 = only at the end)")

	f.StringVar(&n.ModelType, "model-type", n.ModelType, "network: song (DDPM++, NCSN++), adm or uvit (a transformer at the lowest level)")
	f.IntVar(&n.ModelChannels, "model-channels", n.ModelChannels, "channels that channel-mult multiplies")
	f.Var((*intList)(&n.ChannelMult), "channel-mult", "`LIST`: one factor per level, finest first (default: by the pictures' size)")
	f.IntVar(&n.NumBlocks, "num-blocks", n.NumBlocks, "residual blocks per level")
	f.Var((*intList)(&n.AttnResolutions), "attn-resolutions", "`LIST` of level resolutions with self-attention")
	f.Float64Var(&n.Dropout, "dropout", n.Dropout, "dropout probability in every block")
	f.StringVar(&n.EmbeddingType, "embedding-type", n.EmbeddingType, "noise embedding: positional or fourier")
	f.StringVar(&n.EncoderType, "encoder-type", n.EncoderType, "encoder: standard, skip or residual")
	f.StringVar(&n.DecoderType, "decoder-type", n.DecoderType, "decoder: standard or skip")
	f.IntVar(&n.PatchSize, "patch-size", n.PatchSize, "side of the patch that becomes one pixel of the finest level")
	f.Var(&firstOp{n}, "first-op", "`OP` that shrinks the picture before all else: patch:2 (as --patch-size 2), wavelet (5/3, halves it), wavelet:4, … or none")
	f.Var((*intList)(&n.EncoderBlocks), "encoder-blocks", "`LIST` of residual blocks per convolutional level on the way down, in place of num-blocks")
	f.Var((*intList)(&n.DecoderBlocks), "decoder-blocks", "`LIST` on the way up (default: one more than down)")
	f.IntVar(&n.MiddleBlocks, "middle-blocks", n.MiddleBlocks, "blocks between the ways down and up, at the lowest level (0 = 2; uvit: 8 of a transformer)")
	f.StringVar(&n.SkipPer, "skip-per", n.SkipPer, "skip connections: one per block or per level (default block)")
	f.IntVar(&n.DropoutResolution, "dropout-resolution", n.DropoutResolution, "no dropout in levels of higher resolution (0 = in all)")
	f.StringVar(&n.UViT.Positions, "positions", n.UViT.Positions, "how a uvit's attention knows places: rope-2d, learned or none (default rope-2d)")
	f.StringVar(&n.UViT.Attention, "attention", n.UViT.Attention, "how a uvit weighs what a pixel attends to: softmax, relu2, sigmoid or linear, whose time grows with the pixels, not their square (default softmax)")
	f.Var((*ropeBase)(&n.UViT.RopeBase), "rope-base", "base of the rotary angles: a `NUMBER`, or auto: the smallest that keeps alike keys ahead at every distance")

	f.StringVar(&s.Split, "split", s.Split, "part of the data set: train or test")
	f.IntVar(&s.Resolution, "resolution", s.Resolution, "bring pictures to this size by --transform (0 = they must agree)")
	s.reading.bind(f)
	f.BoolVar(&s.Grey, "grey", s.Grey, "convert pictures to grey")
	f.BoolVar(&s.Unlabelled, "unlabelled", s.Unlabelled, "ignore the classes of the data set")
	precisionFlag(f, &s.Precision)
	f.BoolVar(&s.SkipBad, "skip-bad", s.SkipBad, "leave out unreadable pictures instead of stopping")
	f.Var((*dtypeValue)(&s.Snapshot), "snapshot-type", "numbers in snapshots: F32, F16 or BF16")
	f.StringVar(&s.Description, "description", s.Description, "a sentence about the model, kept in its file")
	s.trainValidation.bind(f)
	s.Eval.bind(f)
	f.StringVar(&s.License, "license", s.License, "of weights and data, kept in the model's file")
}

// read is how the pictures are read, but for their part.
func (s *trainSettings) read() (dataset.Options, error) {
	o := dataset.Options{Height: s.Resolution, Width: s.Resolution, Grey: s.Grey, SkipBad: s.SkipBad}
	err := s.reading.into(&o)
	return o, err
}

// override sets the fields whose flags were typed in typed.
func (s *trainSettings) override(typed *pflag.FlagSet) error {
	mine := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	s.bind(mine)
	var err error
	typed.Visit(func(f *pflag.Flag) {
		if mine.Lookup(f.Name) != nil && err == nil {
			err = mine.Set(f.Name, f.Value.String())
		}
	})
	return err
}

// fit completes the network for pictures of h×w×c in the given number of classes and checks that they fit.
func (s *trainSettings) fit(h, w, c, labels int) error {
	n := &s.Network
	n.Resolution, n.InChannels, n.OutChannels, n.LabelDim = max(h, w), c, c, labels
	if len(n.ChannelMult) == 0 && n.PatchSize > 0 {
		n.ChannelMult = levelsFor(n, h, w)
	}
	*n = n.WithDefaults()
	if err := n.Validate(); err != nil {
		return usageError{err}
	}
	if err := n.CheckSize(h, w); err != nil {
		return withHint(usageError{err}, "--resolution scales the pictures; fewer --channel-mult levels ask for less")
	}
	s.height, s.width = h, w
	return nil
}

// warnNarrow tells of a first level that noise cannot pass. All but x0 return noise, with or without the picture, and a patch of it is as
// many independent numbers; a patch of a picture is far fewer. Pictures of such a network stay noisy (docs/results.md, High resolution).
func (s *trainSettings) warnNarrow(u *ui) {
	n := s.Network
	channels, numbers := n.ModelChannels*n.ChannelMult[0], n.InChannels*n.PatchSize*n.PatchSize
	if channels < numbers && s.Options.Precond != "x0" {
		u.warn("the first level has %d channels for the %d numbers of a patch, whose noise does not pass: pictures will stay noisy; "+
			"--precond x0 asks for no noise, or take a smaller --first-op or more --model-channels", channels, numbers)
	}
}

// levelsFor chooses the levels of a network for pictures of h×w: down to 8 pixels, with twice the channels below the first level; a
// U-ViT's down to 16, each with twice the channels of the one above, up to four times those of the first.
func levelsFor(n *unet.Config, h, w int) []int {
	mult, low, widest, limit := []int{1}, 8, 2, 5
	if n.ModelType == "uvit" {
		low, widest, limit = 16, 4, 8
	}
	fits := func(multiple int) bool { return h%multiple == 0 && w%multiple == 0 }
	for levels := 1; levels < limit && max(h, w)/n.PatchSize>>(levels-1) > low && fits(n.PatchSize<<levels); levels++ {
		mult = append(mult, min(widest, 2*mult[levels-1]))
	}
	return mult
}

// A firstOp is a flag for what shrinks the picture: a kind and a factor.
type firstOp struct{ *unet.Config }

func (o *firstOp) Set(s string) error {
	kind, factor, given := strings.Cut(s, ":")
	k := 2
	if given {
		var err error
		if k, err = strconv.Atoi(factor); err != nil {
			return fmt.Errorf("%q: want a whole number behind the colon", s)
		}
	}
	switch {
	case s == "none":
		o.Config.FirstOp, o.PatchSize = "", 1
	case kind == unet.FirstPatch:
		o.Config.FirstOp, o.PatchSize = "", k
	case kind == unet.FirstWavelet:
		o.Config.FirstOp, o.PatchSize = unet.FirstWavelet, k
	default:
		return fmt.Errorf("unknown first operation %q; known: patch:K, wavelet, wavelet:K, none", s)
	}
	return nil
}

func (o *firstOp) String() string {
	switch {
	case o.Config == nil || o.PatchSize == 1 && o.Config.FirstOp == "":
		return "none"
	case o.Config.FirstOp == "":
		return fmt.Sprintf("%s:%d", unet.FirstPatch, o.PatchSize)
	}
	return fmt.Sprintf("%s:%d", o.Config.FirstOp, o.PatchSize)
}

func (o *firstOp) Type() string { return "op" }

// A ropeBase is a flag for the base of rotary angles; 0 is "auto", which [unet.Config.WithDefaults] turns into a number.
type ropeBase float64

func (b *ropeBase) Set(s string) error {
	if s == "auto" {
		*b = 0
		return nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) {
		return fmt.Errorf("%q: want a positive number or auto", s)
	}
	*b = ropeBase(v)
	return nil
}

func (b *ropeBase) String() string {
	if *b == 0 {
		return "auto"
	}
	return strconv.FormatFloat(float64(*b), 'g', -1, 64)
}

func (b *ropeBase) Type() string { return "base" }

// An intList is a flag for whole numbers separated by commas; "none" is the empty list.
type intList []int

func (l *intList) Set(s string) error {
	*l = []int{}
	if s == "none" {
		return nil
	}
	for _, part := range strings.Split(s, ",") {
		v, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("%q is not a list of whole numbers such as 1,2,2", s)
		}
		*l = append(*l, v)
	}
	return nil
}

func (l *intList) String() string {
	if l == nil || *l == nil {
		return ""
	}
	if len(*l) == 0 {
		return "none"
	}
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint([]int(*l))), ","), "[]")
}

func (l *intList) Type() string { return "list" }

// A dtypeValue is a flag for the type of stored weights.
type dtypeValue checkpoint.DType

func (d *dtypeValue) Set(s string) error {
	switch t := checkpoint.DType(strings.ToUpper(s)); t {
	case checkpoint.F32, checkpoint.F16, checkpoint.BF16:
		*d = dtypeValue(t)
		return nil
	}
	return fmt.Errorf("unknown type %q; known types: F32, F16, BF16", s)
}

func (d *dtypeValue) String() string { return string(*d) }
func (d *dtypeValue) Type() string   { return "type" }
