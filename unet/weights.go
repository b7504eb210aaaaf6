package unet

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"diffuse/checkpoint"
	"diffuse/tensor"
)

// freqsName is the buffer of random Fourier frequencies, EDM's name.
const freqsName = "map_noise.freqs"

// IsFrequencies reports whether a tensor of a file holds random Fourier frequencies, by EDM's name or those of diffusers, which are not trained.
func IsFrequencies(name string, t *checkpoint.Tensor) bool {
	return len(t.Shape) == 1 && (strings.HasSuffix(name, freqsName) || name == "time_proj.weight" || name == "time_proj.W")
}

// Export returns the weights under EDM's names in the layout of files
// (convolutions Cout×Cin×KH×KW, linear maps Out×In), stored as d. The Fourier
// frequencies, a buffer, are always float32. It is an error if n is [Net.Packed] or an [Outline].
func (n *Net) Export(d checkpoint.DType) (map[string]*checkpoint.Tensor, error) {
	if err := n.bare(); err != nil {
		return nil, err
	}
	files := make(map[string]*checkpoint.Tensor, len(n.params)+1)
	for name, x := range n.Params() {
		f, err := checkpoint.Float32(tensor.FileShape(x.Shape), tensor.ToFile(x)).As(d)
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
// its data are read leaves them partly replaced. It is an error, too, if n is [Net.Packed] or an [Outline].
func (n *Net) Import(files map[string]*checkpoint.Tensor) error {
	if err := cmp.Or(n.match(files), n.bare()); err != nil {
		return err
	}
	params := n.stored()
	errs := make([]error, len(params))
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(params)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(params)); i = next.Add(1) - 1 {
				p := params[i]
				err := files[p.name].UseFloat32(func(v []float32) error {
					tensor.FromFile(p.Tensor, v)
					return nil
				})
				if err != nil {
					errs[i] = fmt.Errorf("tensor %q: %w", p.name, err)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// NotFinite counts the weights that are infinite or no numbers, with which nothing can be computed, and names the first tensor that has any.
func (n *Net) NotFinite() (values int, first string) {
	for _, p := range n.stored() {
		for _, v := range p.Data {
			if v-v != 0 {
				if values++; first == "" {
					first = p.name
				}
			}
		}
	}
	return values, first
}

// stored returns the parameters and the Fourier frequencies.
func (n *Net) stored() []param {
	if n.freqs == nil {
		return n.params
	}
	return append(slices.Clip(n.params), param{freqsName, n.freqs, []string{"time_proj.weight"}})
}

// match reports how the names and shapes of files differ from the network's, as a [*MismatchError]. It does not look at n's data.
func (n *Net) match(files map[string]*checkpoint.Tensor) error {
	var wrong mismatches
	claimed := make(map[string]bool, len(files))
	for _, p := range n.stored() {
		claimed[p.name] = true
		wrong.check(p.name, files[p.name], tensor.FileShape(p.Shape))
	}
	wrong.unclaimed(files, claimed)
	return wrong.err()
}

// bare reports that n, which is [Net.Packed] or has been, or is an [Outline], has no values for some of its parameters.
func (n *Net) bare() error {
	for _, p := range n.params {
		if len(p.Data) == 0 {
			return fmt.Errorf("the network has no values for %q: it is packed for inference, or an outline", p.name)
		}
	}
	return nil
}

// Clone returns a network with its own copy of the weights. It panics if n is
// [Net.Packed] or has been, or is an [Outline].
func (n *Net) Clone() *Net {
	if err := n.bare(); err != nil {
		panic("unet.Net.Clone: " + err.Error())
	}
	m := empty(n.Config)
	for i, p := range n.params {
		copy(m.params[i].Data, p.Data)
	}
	if n.freqs != nil {
		copy(m.freqs.Data, n.freqs.Data)
	}
	m.rule = n.rule
	return m.WithPrecision(n.precision)
}
