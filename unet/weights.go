package unet

import (
	"errors"
	"fmt"
	"slices"

	"diffuse/checkpoint"
	"diffuse/tensor"
)

// freqsName is the buffer of random Fourier frequencies, EDM's name.
const freqsName = "map_noise.freqs"

// Export returns the weights under EDM's names in the layout of files
// (convolutions Cout×Cin×KH×KW, linear maps Out×In), stored as d. The Fourier
// frequencies, a buffer, are always float32.
func (n *Net) Export(d checkpoint.DType) (map[string]*checkpoint.Tensor, error) {
	files := make(map[string]*checkpoint.Tensor, len(n.params)+1)
	for name, x := range n.Params() {
		shape, data := toFile(x)
		f, err := checkpoint.Float32(shape, data).As(d)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		files[name] = f
	}
	if n.freqs != nil {
		files[freqsName] = checkpoint.Float32([]int{len(n.freqs)}, slices.Clone(n.freqs))
	}
	return files, nil
}

// Import replaces the weights by those of a file, in the layout and under
// the names of [Net.Export]. Every tensor must be known, every parameter
// present and every shape right; otherwise the error lists what is wrong and
// the weights are undefined.
func (n *Net) Import(files map[string]*checkpoint.Tensor) error {
	var errs []error
	claimed := make(map[string]bool, len(files))
	for name, x := range n.Params() {
		claimed[name] = true
		f, ok := files[name]
		if !ok {
			errs = append(errs, fmt.Errorf("tensor %q is missing", name))
			continue
		}
		if err := fromFile(x, f); err != nil {
			errs = append(errs, fmt.Errorf("tensor %q: %w", name, err))
		}
	}
	if n.freqs != nil {
		claimed[freqsName] = true
		if f, ok := files[freqsName]; !ok {
			errs = append(errs, fmt.Errorf("tensor %q is missing", freqsName))
		} else if err := fromFile(tensor.From(n.freqs, len(n.freqs)), f); err != nil {
			errs = append(errs, fmt.Errorf("tensor %q: %w", freqsName, err))
		}
	}
	for name := range files {
		if !claimed[name] {
			errs = append(errs, fmt.Errorf("tensor %q is not part of this network", name))
		}
	}
	slices.SortFunc(errs, func(a, b error) int {
		if a.Error() < b.Error() {
			return -1
		}
		return 1
	})
	if len(errs) > 5 {
		errs = append(errs[:5], fmt.Errorf("and %d more", len(errs)-5))
	}
	return errors.Join(errs...)
}

// toFile returns shape and data of x in the layout of files: the output
// channel moves from the last dimension to the first, the input channel next.
func toFile(x *tensor.Tensor) ([]int, []float32) {
	s := x.Shape
	switch len(s) {
	case 4: // KH×KW×I×O → O×I×KH×KW
		return []int{s[3], s[2], s[0], s[1]}, transpose(x.Data, s[0]*s[1], s[2], s[3], true)
	case 2:
		return []int{s[1], s[0]}, transpose(x.Data, 1, s[0], s[1], true)
	}
	return s, slices.Clone(x.Data)
}

func fromFile(x *tensor.Tensor, f *checkpoint.Tensor) error {
	s := x.Shape
	want := s
	switch len(s) {
	case 4:
		want = []int{s[3], s[2], s[0], s[1]}
	case 2:
		want = []int{s[1], s[0]}
	}
	if !slices.Equal(f.Shape, want) {
		return fmt.Errorf("shape %v, want %v", f.Shape, want)
	}
	data, err := f.Float32()
	if err != nil {
		return err
	}
	switch len(s) {
	case 4:
		data = transpose(data, s[0]*s[1], s[2], s[3], false)
	case 2:
		data = transpose(data, 1, s[0], s[1], false)
	}
	copy(x.Data, data)
	return nil
}

// transpose converts taps×in×out to out×in×taps, or back.
func transpose(data []float32, taps, in, out int, toFile bool) []float32 {
	y := make([]float32, len(data))
	for k := range taps {
		for i := range in {
			for o := range out {
				a, b := (k*in+i)*out+o, (o*in+i)*taps+k
				if toFile {
					y[b] = data[a]
				} else {
					y[a] = data[b]
				}
			}
		}
	}
	return y
}

// Clone returns a network with its own copy of the weights.
func (n *Net) Clone() *Net {
	m := empty(n.Config)
	for i, p := range n.params {
		copy(m.params[i].Data, p.Data)
	}
	copy(m.freqs, n.freqs)
	m.rho = slices.Clone(n.rho)
	return m
}
