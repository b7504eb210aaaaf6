package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"diffuse/checkpoint"
	"diffuse/internal/kernel"
)

// inceptionEps is the epsilon of the network's batch norms.
const inceptionEps = 1e-3

// NewInception makes the network of its 472 tensors, convolutions Cout×Cin×KH×KW as PyTorch stores them. Batch norms are folded into
// the convolutions in float64. Names that end in "num_batches_tracked" are ignored; missing, unknown and misshapen tensors,
// and values that are no finite numbers, are errors that name the tensor. The tensors are not needed afterwards.
func NewInception(tensors map[string]*checkpoint.Tensor) (*Inception, error) {
	net := &Inception{stages: inceptionStages()}
	net.spaces.New = func() any { return new(workspace) }
	shapes, convs := net.inventory()
	if err := checkInventory(tensors, shapes); err != nil {
		return nil, fmt.Errorf("Inception weights: %w", err)
	}
	if err := net.load(tensors, convs); err != nil {
		return nil, fmt.Errorf("Inception weights: %w", err)
	}
	return net, nil
}

// load takes the weights over.
func (net *Inception) load(tensors map[string]*checkpoint.Tensor, convs []*op) (err error) {
	fc, err := finite(tensors, "fc.weight")
	if err != nil {
		return err
	}
	net.fc = make([]float32, len(fc))
	for i, v := range fc {
		net.fc[i] = float32(v)
	}
	if net.bias, err = finite(tensors, "fc.bias"); err != nil {
		return err
	}
	errs := make([]error, len(convs))
	kernel.For(len(convs), 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			errs[i] = convs[i].load(tensors)
		}
	})
	return cmp.Or(errs...)
}

// inventory returns the shapes that the tensors must have, and all convolutions.
func (net *Inception) inventory() (map[string][]int, []*op) {
	shapes := map[string][]int{"fc.weight": {inceptionClasses, 2048}, "fc.bias": {inceptionClasses}}
	var convs []*op
	for i := range net.stages {
		net.stages[i].eachOp(func(o *op) {
			if o.pool != noPool {
				return
			}
			convs = append(convs, o)
			shapes[o.name+".conv.weight"] = []int{o.cout, o.cin, o.kh, o.kw}
			for _, part := range [...]string{"weight", "bias", "running_mean", "running_var"} {
				shapes[o.name+".bn."+part] = []int{o.cout}
			}
		})
	}
	return shapes, convs
}

// checkInventory compares names and shapes.
func checkInventory(tensors map[string]*checkpoint.Tensor, shapes map[string][]int) error {
	var missing, unknown, misshapen []string
	for name, want := range shapes {
		switch t := tensors[name]; {
		case t == nil:
			missing = append(missing, name)
		case !slices.Equal(t.Shape, want):
			misshapen = append(misshapen, fmt.Sprintf("%s (is %v, must be %v)", name, t.Shape, want))
		}
	}
	for name := range tensors {
		if shapes[name] == nil && !strings.HasSuffix(name, ".num_batches_tracked") {
			unknown = append(unknown, name)
		}
	}
	var faults []string
	for _, f := range []struct {
		what  string
		names []string
	}{{"missing", missing}, {"unknown", unknown}, {"of the wrong shape", misshapen}} {
		if len(f.names) == 0 {
			continue
		}
		slices.Sort(f.names)
		some := strings.Join(f.names[:min(3, len(f.names))], ", ")
		if more := len(f.names) - 3; more > 0 {
			some += fmt.Sprintf(" and %d more", more)
		}
		faults = append(faults, f.what+": "+some)
	}
	if tensors["AuxLogits.fc.weight"] != nil {
		faults = append(faults, "they are torchvision's, of another training; FID is defined on pt_inception-2015-12-05")
	}
	if len(faults) > 0 {
		return fmt.Errorf("not the %d tensors of the network of 2015; %s", len(shapes), strings.Join(faults, "; "))
	}
	return nil
}

// load folds the batch norm y = (conv(x) − mean)·weight/√(var + eps) + bias into o's weights, KH×KW×Cin×Cout, and bias.
func (o *op) load(tensors map[string]*checkpoint.Tensor) error {
	var p [5][]float64
	for i, part := range [...]string{"conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"} {
		var err error
		if p[i], err = finite(tensors, o.name+"."+part); err != nil {
			return err
		}
	}
	o.weights, o.bias = make([]float32, len(p[0])), make([]float32, o.cout)
	taps := o.kh * o.kw
	for out := range o.cout {
		if !(p[4][out] >= 0) {
			return fmt.Errorf("%s.bn.running_var: value %d is %g, a variance is not negative", o.name, out, p[4][out])
		}
		scale := p[1][out] / math.Sqrt(p[4][out]+inceptionEps)
		o.bias[out] = float32(p[2][out] - p[3][out]*scale)
		for in := range o.cin {
			for tap := range taps {
				o.weights[(tap*o.cin+in)*o.cout+out] = float32(p[0][(out*o.cin+in)*taps+tap] * scale)
			}
		}
	}
	return nil
}

// finite returns the values of a tensor.
func finite(tensors map[string]*checkpoint.Tensor, name string) ([]float64, error) {
	v, err := tensors[name].Float64()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%s: value %d is %g", name, i, x)
		}
	}
	return v, nil
}
