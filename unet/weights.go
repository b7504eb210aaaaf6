package unet

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
		files[freqsName] = checkpoint.Float32(n.freqs.Shape, slices.Clone(n.freqs.Data))
	}
	return files, nil
}

// Import replaces the weights by those of a file, in the layout and under
// the names of [Net.Export]. Every tensor must be known, every parameter
// present, every shape right and every type a float; otherwise the error
// lists what is wrong and the weights are untouched. A file that fails while
// its data are read leaves them partly replaced.
func (n *Net) Import(files map[string]*checkpoint.Tensor) error {
	if err := n.match(files); err != nil {
		return err
	}
	for _, p := range n.stored() {
		data, err := files[p.name].Float32()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", p.name, err)
		}
		switch s := p.Shape; len(s) {
		case 4:
			data = transpose(data, s[0]*s[1], s[2], s[3], false)
		case 2:
			data = transpose(data, 1, s[0], s[1], false)
		}
		copy(p.Data, data)
	}
	return nil
}

// stored returns the parameters and the Fourier frequencies.
func (n *Net) stored() []param {
	if n.freqs == nil {
		return n.params
	}
	return append(slices.Clip(n.params), param{freqsName, n.freqs})
}

// match reports how the names and shapes of files differ from the network's.
// It does not look at n's data.
func (n *Net) match(files map[string]*checkpoint.Tensor) error {
	var wrong []string
	claimed := make(map[string]bool, len(files))
	for _, p := range n.stored() {
		claimed[p.name] = true
		if f, ok := files[p.name]; !ok {
			wrong = append(wrong, fmt.Sprintf("tensor %q is missing", p.name))
		} else if want := fileShape(p.Shape); !slices.Equal(f.Shape, want) {
			wrong = append(wrong, fmt.Sprintf("tensor %q: shape %v, want %v", p.name, f.Shape, want))
		} else if !f.DType.Float() {
			wrong = append(wrong, fmt.Sprintf("tensor %q: type %s, want floats", p.name, f.DType))
		}
	}
	for name := range files {
		if !claimed[name] {
			wrong = append(wrong, fmt.Sprintf("tensor %q is not part of this network", name))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	if n := len(wrong); n > 5 {
		wrong = append(wrong[:5], fmt.Sprintf("and %d more", n-5))
	}
	return errors.New(strings.Join(wrong, "; "))
}

// fileShape returns the shape that a parameter has in a file.
func fileShape(s []int) []int {
	switch len(s) {
	case 4: // KH×KW×I×O → O×I×KH×KW
		return []int{s[3], s[2], s[0], s[1]}
	case 2:
		return []int{s[1], s[0]}
	}
	return s
}

// toFile returns shape and data of x in the layout of files: the output
// channel moves from the last dimension to the first, the input channel next.
func toFile(x *tensor.Tensor) ([]int, []float32) {
	switch s := x.Shape; len(s) {
	case 4:
		return fileShape(s), transpose(x.Data, s[0]*s[1], s[2], s[3], true)
	case 2:
		return fileShape(s), transpose(x.Data, 1, s[0], s[1], true)
	}
	return x.Shape, slices.Clone(x.Data)
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
	if n.freqs != nil {
		copy(m.freqs.Data, n.freqs.Data)
	}
	m.rho = slices.Clone(n.rho)
	return m
}
