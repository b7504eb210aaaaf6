package main

import (
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

func convertCommand(u *ui) *cobra.Command {
	dtype := convertTypes[0]
	c := &cobra.Command{
		Use:   "convert IN OUT",
		Short: "Write a model or a file of weights in another format",
		Long: `Write a model or a file of weights in another format. Nothing in IN is executed.

IN is a model as "diffuse sample" takes it: OUT.safetensors then is a model file of diffuse,
one file with everything in it, and OUT.npz holds the weights under their names. Or IN is any
file of named tensors - safetensors, npz, PyTorch's .pt, .pth and .bin, pickles of tensors -
such as the Inception network's weights: then the same tensors are written under the same names.

Weights keep their numbers (--dtype same) or are rounded to f32, bf16 or f16. Values that the
type cannot hold are an error; NaN and infinity are counted and named.`,
		Example: `  diffuse convert edm-cifar10-32x32-cond-vp.pkl cifar10.safetensors
  diffuse convert ddpm-cifar10-32/ ddpm.safetensors --dtype bf16
  diffuse convert pt_inception-2015-12-05-6726825d.pth inception.safetensors
  diffuse convert runs/mine weights.npz`,
		Args: between(2, 2, "what to read and what to write"),
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains(convertTypes, dtype) {
				return unknownName("type", dtype, convertTypes)
			}
			return runConvert(u, args[0], args[1], dtype)
		},
	}
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

func runConvert(u *ui, in, out, dtype string) error {
	ext := strings.ToLower(filepath.Ext(out))
	if ext != ".safetensors" && ext != ".npz" {
		return usagef("%s ends neither in .safetensors nor in .npz", out)
	}
	if err := checkOutput("OUT", out); err != nil {
		return err
	}
	f, kind, err := convertible(in, checkpoint.DType(strings.ToUpper(dtype)), ext)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := distinct([][2]string{{"IN", in}}, [2]string{"OUT", out}); err != nil {
		return err
	}
	r := convertReport{In: in, Out: out, Kind: kind, Tensors: len(f.Tensors)}
	if dtype != "same" {
		r.DType = checkpoint.DType(strings.ToUpper(dtype))
	}
	if err := r.inspect(u, f); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if ext == ".npz" {
		err = writeArrays(out, f)
	} else {
		err = checkpoint.WriteFile(out, f)
	}
	if err != nil {
		return err
	}
	if info, err := os.Stat(out); err == nil {
		r.Bytes = info.Size()
	}
	if u.json {
		return u.result(r)
	}
	u.summary("%s: %s of %d tensors, %s values, %.1f MB", out, kind, r.Tensors, count(float64(r.Values)), float64(r.Bytes)/1e6)
	return nil
}

// convertible opens what convert can write: a network as a model file of type d, or else any tensors, converted.
func convertible(in string, d checkpoint.DType, ext string) (f *checkpoint.File, kind string, err error) {
	m, modelErr := openModel(in)
	switch {
	case modelErr == nil && m.net == nil:
		return nil, "", usagef("%s is a formula, not weights", in)
	case modelErr == nil:
		if d == "SAME" {
			d = storedType(in)
		}
		f, err := m.net.File(d)
		if err == nil && ext == ".npz" {
			f.Meta = nil
		}
		return f, "model", err
	}
	if _, embedded := zoo.Entries()[in]; embedded || unet.UNet2DFolder(in) != "" {
		return nil, "", modelErr
	}
	if info, err := os.Stat(in); err != nil || info.IsDir() {
		return nil, "", modelErr
	}
	if f, err = checkpoint.OpenWeights(in); err != nil || len(f.Tensors) == 0 {
		return nil, "", modelErr // the reader of models has said more
	}
	for name, t := range f.Tensors {
		if d == "SAME" || !t.DType.Float() {
			continue
		}
		if f.Tensors[name], err = t.As(d); err != nil {
			f.Close()
			return nil, "", fmt.Errorf("tensor %q: %w", name, err)
		}
	}
	return f, "tensors", nil
}

// storedType is the narrowest type that keeps all numbers of a model's file: its own if all weights share one, else float32.
func storedType(in string) checkpoint.DType {
	f, err := checkpoint.Open(in)
	if err != nil {
		return checkpoint.F32
	}
	defer f.Close()
	var d checkpoint.DType
	for _, t := range f.Tensors {
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
