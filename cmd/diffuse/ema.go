package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/train"
	"diffuse/unet"
)

// emaOptions are the flags of "diffuse ema".
type emaOptions struct {
	stds   []float64
	images int64
	out    string
	dtype  checkpoint.DType
}

func emaCommand(u *ui) *cobra.Command {
	var o emaOptions
	c := &cobra.Command{
		Use:   "ema RUN --std S --out MODEL.safetensors",
		Short: "Make a model from another average of a run's weights",
		Long: `Put averages of a training run's weights together after the run: EDM2's post-hoc
EMA. The run must have been started with --ema-stds; what it stored at every
snapshot is combined, by least squares, to the average whose width is the share S
of the run (0.05: the last 5 %, roughly; at most 0.288).

Several widths make several files: MODEL-0.05.safetensors, MODEL-0.1.safetensors, …
Which is best is a question for diffuse eval. "left over" is how much of the average's
shape the stored ones cannot express: the more snapshots, the less.`,
		Example: `  diffuse train --preset small --data photos --ema-stds 0.05,0.1 --snapshot-ticks 1 --out runs/photos
  diffuse ema runs/photos --std 0.08 --out wide.safetensors
  diffuse ema runs/photos --std 0.03,0.05,0.1,0.15 --images 2M --out try.safetensors`,
		Args: between(1, 1, "one run folder"),
		RunE: func(c *cobra.Command, args []string) error { return runEMA(u, o, args[0]) },
	}
	f := c.Flags()
	f.Float64SliceVar(&o.stds, "std", nil, "`LIST` of relative standard deviations of the average")
	f.Lookup("std").DefValue = "" // cobra's []
	f.Var((*countValue)(&o.images), "images", "average up to here (0 = up to the latest that is stored)")
	f.StringVarP(&o.out, "out", "o", "", "`FILE.safetensors` to write")
	f.Var((*dtypeValue)(&o.dtype), "type", "numbers in the file: F32, F16 or BF16 (default: the run's --snapshot-type)")
	return c
}

func runEMA(u *ui, o emaOptions, dir string) error {
	switch {
	case len(o.stds) == 0:
		return withHint(usagef("ema needs --std"), "0.05 to 0.15 suit most runs")
	case o.out == "":
		return usagef("ema needs --out")
	case filepath.Ext(o.out) != ".safetensors":
		return usagef("--out: %s does not end in .safetensors", o.out)
	case o.images < 0:
		return usagef("--images is %d", o.images)
	}
	_, setup, err := train.ReadOptions(dir)
	if err != nil {
		return err
	}
	s := defaultSettings()
	if err := decodeStrict(setup, &s); err != nil {
		return fmt.Errorf("reading the setup of %s: %w", dir, err)
	}
	if o.dtype == "" {
		o.dtype = s.Snapshot
	}
	path, err := newestSnapshot(dir)
	if err != nil {
		return err
	}
	m, err := unet.LoadModel(path)
	if err != nil {
		return err
	}
	var made []emaResult
	for _, std := range o.stds {
		r, err := o.make(m, dir, std)
		if err != nil {
			return withHint(err, "diffuse train --ema-stds 0.05,0.1 keeps the averages that ema needs, at every --snapshot-ticks")
		}
		u.summary("%s: average of width %v after %d images, from %d stored ones, %.2g %% left over", r.File, std, r.Images, r.Averages, 100*r.Residual)
		made = append(made, *r)
	}
	if u.json {
		return u.result(made)
	}
	return nil
}

// An emaResult says what a reconstruction has come to.
type emaResult struct {
	File     string  `json:"file"`
	Std      float64 `json:"std"`
	Images   int64   `json:"images"`
	Averages int     `json:"averages"` // it was put together from
	Residual float64 `json:"residual"` // share of the profile's norm that they cannot express
}

// make writes the model with the average of one width; m brings everything but the weights.
func (o *emaOptions) make(m *unet.Model, dir string, std float64) (*emaResult, error) {
	r, err := train.ReconstructEMA(dir, std, o.images)
	if err != nil {
		return nil, err
	}
	for name, w := range m.Net.Params() {
		v := r.Weights[name]
		if len(v) != len(w.Data) {
			return nil, fmt.Errorf("the averages in %s have %d values of %s, its snapshot %d", dir, len(v), name, len(w.Data))
		}
		for i, x := range v {
			w.Data[i] = float32(x)
		}
	}
	var card trainingCard
	if err := json.Unmarshal(m.Training, &card); err != nil {
		return nil, fmt.Errorf("the snapshot's card: %w", err)
	}
	card.EMAStd, m.ImagesTrained = std, r.Images
	if m.Training, err = json.Marshal(card); err != nil {
		return nil, err
	}
	path := o.out
	if len(o.stds) > 1 {
		path = strings.TrimSuffix(path, ".safetensors") + "-" + strconv.FormatFloat(std, 'g', -1, 64) + ".safetensors"
	}
	return &emaResult{path, std, r.Images, r.Averages, r.Residual}, m.Save(path, o.dtype)
}

// A stdsValue is a flag for the widths of a run's further averages; "none" is the zero value.
type stdsValue [2]float64

func (v *stdsValue) Set(s string) error {
	*v = stdsValue{}
	if s == "none" {
		return nil
	}
	a, b, _ := strings.Cut(s, ",")
	x, err1 := strconv.ParseFloat(strings.TrimSpace(a), 64)
	y, err2 := strconv.ParseFloat(strings.TrimSpace(b), 64)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("%q is not two numbers such as 0.05,0.1", s)
	}
	*v = stdsValue{x, y}
	return nil
}

func (v *stdsValue) String() string {
	if v == nil || *v == (stdsValue{}) {
		return "none"
	}
	return fmt.Sprintf("%v,%v", v[0], v[1])
}

func (v *stdsValue) Type() string { return "S,S" }
