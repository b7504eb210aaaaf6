package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/unet"
	"diffuse/zoo"
)

// convertTypes are the values of --dtype.
var convertTypes = []string{"same", "f32", "bf16", "f16"}

// convertFormats are the values of --to; the first leaves the choice to OUT's name.
var convertFormats = []string{"auto", "safetensors", "npz", "diffusers"}

func convertCommand(u *ui) *cobra.Command {
	dtype, to, arch := convertTypes[0], convertFormats[0], ""
	c := &cobra.Command{
		Use:   "convert IN OUT",
		Short: "Write a model or a file of weights in another format",
		Long: `Write a model or a file of weights in another format. Nothing in IN is executed.

IN is a model as "diffuse sample" takes it: OUT.safetensors then is a model file of diffuse,
one file with everything in it, and OUT.npz holds the weights under their names. With --to
diffusers OUT is a new folder that diffusers loads as a pipeline, a UNet2DModel with a scheduler
that applies the model's preconditioning: possible for models that came from diffusers and for
networks that are built alike; what stands against it is named. Or IN is any
file of named tensors - safetensors, npz, PyTorch's .pt, .pth and .bin, pickles of tensors -
such as the Inception network's weights: then the same tensors are written under the same names.

Weights keep their numbers (--dtype same) or are rounded to f32, bf16 or f16. Values that the
type cannot hold are an error; NaN and infinity are counted and named.`,
		Example: `  diffuse convert edm-cifar10-32x32-cond-vp.pkl cifar10.safetensors
  diffuse convert ddpm-cifar10-32/ ddpm.safetensors --dtype bf16
  diffuse convert edm-imagenet-64x64-cond-adm.pkl imagenet64/ --to diffusers
  diffuse convert ema_0.9999_100000.pt mine.safetensors --arch "--image_size 64 --num_heads 4 --noise_schedule cosine"
  diffuse convert pt_inception-2015-12-05-6726825d.pth inception.safetensors
  diffuse convert runs/mine weights.npz`,
		Args: between(2, 2, "what to read and what to write"),
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains(convertTypes, dtype) {
				return unknownName("type", dtype, convertTypes)
			}
			if !slices.Contains(convertFormats, to) {
				return unknownName("format", to, convertFormats)
			}
			d := checkpoint.DType(strings.ToUpper(dtype))
			if to == "diffusers" {
				return exportDiffusers(u, args[0], args[1], arch, d)
			}
			return runConvert(u, args[0], args[1], to, arch, d)
		},
	}
	archFlag(c, &arch)
	c.Flags().StringVar(&to, "to", to, "format of OUT: auto (by its ending), safetensors, npz or diffusers (a folder)")
	c.RegisterFlagCompletionFunc("to", completeWith(convertFormats))
	c.Flags().StringVar(&dtype, "dtype", dtype, "type of weights in OUT: "+strings.Join(convertTypes, ", "))
	c.RegisterFlagCompletionFunc("dtype", completeWith(convertTypes))
	return c
}

// A converted file, for the summary.
type convertReport struct {
	In        string           `json:"in"`
	Out       string           `json:"out"`
	Kind      string           `json:"kind"` // "model" or "tensors"
	Tensors   int              `json:"tensors"`
	Values    int              `json:"values"`
	DType     checkpoint.DType `json:"dtype,omitempty"` // absent: each tensor's own
	Bytes     int64            `json:"bytes"`
	NotFinite int              `json:"not_finite,omitempty"`
}

// sameType stands for --dtype same.
const sameType checkpoint.DType = "SAME"

func runConvert(u *ui, in, out, to, arch string, d checkpoint.DType) error {
	ext := strings.ToLower(filepath.Ext(out))
	if to != "auto" {
		ext = "." + to
	}
	if ext != ".safetensors" && ext != ".npz" {
		return withHint(usagef("%s ends neither in .safetensors nor in .npz", out), "--to diffusers writes a folder, --to safetensors or npz a file of any name")
	}
	if err := checkOutput("OUT", out); err != nil {
		return err
	}
	f, kind, err := convertible(in, arch, d, ext)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := distinct([][2]string{{"IN", in}}, [2]string{"OUT", out}); err != nil {
		return err
	}
	r := convertReport{In: in, Out: out, Kind: kind, Tensors: len(f.Tensors)}
	if d != sameType {
		r.DType = d
	}
	if ext == ".npz" {
		err = writeArrays(out, f)
	} else {
		err = checkpoint.WriteFile(out, f)
	}
	if err != nil {
		return err
	}
	return r.finish(u, f, out)
}

// finish counts the values of what was written, whose weights are in the file at path, and reports it.
func (r *convertReport) finish(u *ui, f *checkpoint.File, path string) error {
	if err := r.inspect(u, f); err != nil {
		return fmt.Errorf("%s: %w", r.In, err)
	}
	if info, err := os.Stat(path); err == nil {
		r.Bytes = info.Size()
	}
	if u.json {
		return u.result(r)
	}
	what := plural(r.Tensors, "tensor")
	if r.Kind != "tensors" {
		what = r.Kind + " of " + what
	}
	u.summary("%s: %s, %s values, %.1f MB", r.Out, what, count(float64(r.Values)), float64(r.Bytes)/1e6)
	return nil
}

// convertible opens what convert can write: a network as a model file of type d, or else any tensors, converted.
func convertible(in, arch string, d checkpoint.DType, ext string) (f *checkpoint.File, kind string, err error) {
	m, modelErr := openModelAs(in, arch)
	switch {
	case modelErr == nil && m.net == nil:
		return nil, "", usagef("%s is a formula, not weights", in)
	case modelErr == nil:
		if d == sameType {
			d = storedType(in)
		}
		f, err := m.net.File(d)
		if err == nil && ext == ".npz" {
			f.Meta = nil
		}
		return f, "model", err
	}
	if _, embedded := zoo.Entries()[in]; embedded || unet.IsUNet2D(in) {
		return nil, "", modelErr
	}
	if info, err := os.Stat(in); err != nil || info.IsDir() || errors.Is(modelErr, unet.ErrArchitecture) {
		return nil, "", modelErr
	}
	if f, err = checkpoint.OpenWeights(in); err != nil || len(f.Tensors) == 0 {
		return nil, "", modelErr // the reader of models has said more
	}
	for name, t := range f.Tensors {
		if d == sameType || !t.DType.Float() {
			continue
		}
		if f.Tensors[name], err = t.As(d); err != nil {
			f.Close()
			return nil, "", fmt.Errorf("tensor %q: %w", name, err)
		}
	}
	return f, "tensors", nil
}

// storedType is the narrowest type that keeps all numbers of a model's file or folder: its own if all weights share one, else float32. Fourier
// frequencies, which are written as float32 always, do not count.
func storedType(in string) checkpoint.DType {
	open := checkpoint.OpenWeights
	if _, weights, err := unet.UNet2DWeights(in); err == nil && weights != "" {
		open = func(string) (*checkpoint.File, error) { return checkpoint.OpenShards(weights) }
	}
	f, err := open(in)
	if err != nil {
		return checkpoint.F32
	}
	defer f.Close()
	var d checkpoint.DType
	for name, t := range f.Tensors {
		if unet.IsFrequencies(name, t) {
			continue
		}
		if d != "" && t.DType != d {
			return checkpoint.F32
		}
		d = t.DType
	}
	if d == checkpoint.BF16 || d == checkpoint.F16 {
		return d
	}
	return checkpoint.F32
}

// inspect counts values and warns of those that are not finite.
func (r *convertReport) inspect(u *ui, f *checkpoint.File) error {
	first := ""
	for _, name := range sortedKeys(f.Tensors) {
		t := f.Tensors[name]
		r.Values += t.Len()
		if !t.DType.Float() {
			continue
		}
		v, err := t.Float64()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				if r.NotFinite++; first == "" {
					first = name
				}
			}
		}
	}
	if r.NotFinite > 0 {
		u.warn("%s: %d of %d values are NaN or infinite, the first in tensor %s", r.In, r.NotFinite, r.Values, first)
	}
	return nil
}

// writeArrays writes tensors as npz, sorted by name. numpy has no bfloat16.
func writeArrays(path string, f *checkpoint.File) error {
	var arrays []checkpoint.Array
	for _, name := range sortedKeys(f.Tensors) {
		t := f.Tensors[name]
		if t.DType == checkpoint.BF16 {
			var err error
			if t, err = t.As(checkpoint.F32); err != nil {
				return fmt.Errorf("tensor %q: %w", name, err)
			}
		}
		arrays = append(arrays, checkpoint.Array{Name: name, Tensor: t})
	}
	return checkpoint.WriteNPZ(path, arrays...)
}
