package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"diffuse/checkpoint"
	"diffuse/internal/kernel"
)

// InceptionSize is the height and width in pixels of the pictures that the Inception network reads.
const InceptionSize = 299

const (
	inceptionClasses = 1008 // of which the network of 2015 was trained on 1000
	inceptionEps     = 1e-3 // of its batch norms
)

// An InceptionLayer is a place where features are read from the Inception network.
type InceptionLayer int

// The layers, from shallow to deep: the means over the picture after the first and the second max pool, after Mixed_6e and after
// Mixed_7c; then the class logits without and with their bias. torch-fidelity's Inception Score takes them without.
const (
	Inception64 InceptionLayer = iota
	Inception192
	Inception768
	Inception2048
	InceptionLogitsUnbiased
	InceptionLogits
)

// inceptionLayers holds the layers' names, which are torch-fidelity's, and numbers of features.
var inceptionLayers = [...]struct {
	name string
	dim  int
}{
	{"64", 64}, {"192", 192}, {"768", 768}, {"2048", 2048}, {"logits_unbiased", inceptionClasses}, {"logits", inceptionClasses},
}

// String returns the layer's name: "64", "192", "768", "2048", "logits_unbiased" or "logits".
func (l InceptionLayer) String() string {
	if l < 0 || int(l) >= len(inceptionLayers) {
		return fmt.Sprintf("InceptionLayer(%d)", int(l))
	}
	return inceptionLayers[l].name
}

// Dim returns the number of features of the layer.
func (l InceptionLayer) Dim() int { return inceptionLayers[l].dim }

// An Inception is the Inception-v3 of 2015 in the form that FID is defined by (Szegedy et al. 2015, arXiv 1512.00567; weights
// as ported from TensorFlow's graph of 2015-12-05). It differs from torchvision's Inception-v3 in its pool branches. It is
// for inference only, does not change, and may serve several goroutines.
type Inception struct {
	stages []stage
	fc     []float32 // classes × 2048
	bias   []float64
	spaces sync.Pool // of *workspace
}

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

// Layers returns, for each of the layers asked for, the n×Dim matrix of the features of n pictures; x holds them as a [FrontDoor]
// prepares them, n×299×299×3. It goes no deeper than it must. A row does not depend on the other pictures of the batch, nor on
// the number of threads. Layers panics if x is too short.
func (net *Inception) Layers(x []float32, n int, layers ...InceptionLayer) [][]float64 {
	means := make(map[InceptionLayer][]float64)
	if n > 0 && len(layers) > 0 {
		deepest := min(slices.Max(layers), Inception2048)
		net.forward(x, n, func(s *stage, y activations) bool {
			if s.layer >= 0 && (slices.Contains(layers, s.layer) || s.layer == deepest) {
				means[s.layer] = y.means()
			}
			return s.layer < deepest
		})
	}
	out := make([][]float64, len(layers))
	for i, l := range layers {
		switch {
		case l >= InceptionLogitsUnbiased:
			out[i] = net.Logits(means[Inception2048], l == InceptionLogits)
		default:
			out[i] = means[l]
		}
	}
	return out
}

// Logits returns the n×1008 class logits of n rows of features of layer Inception2048, with the bias or without.
func (net *Inception) Logits(features []float64, biased bool) []float64 {
	in := Inception2048.Dim()
	n := len(features) / in
	if n*in != len(features) {
		panic(fmt.Sprintf("metric: Logits of %d values, want rows of %d", len(features), in))
	}
	x, y := make([]float32, len(features)), make([]float32, n*inceptionClasses)
	for i, v := range features {
		x[i] = float32(v)
	}
	kernel.Gemm(y, x, net.fc, n, inceptionClasses, in, in, in, inceptionClasses, false, true, false)
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = float64(v)
		if biased {
			out[i] += net.bias[i%inceptionClasses]
		}
	}
	return out
}

// forward runs the stages on n pictures and shows each one's output, until visit returns false. The output is valid during the call.
func (net *Inception) forward(x []float32, n int, visit func(s *stage, y activations) bool) {
	if want := n * InceptionSize * InceptionSize * 3; len(x) < want {
		panic(fmt.Sprintf("metric: %d values for %d pictures, want %d", len(x), n, want))
	}
	ws := net.spaces.Get().(*workspace)
	defer net.spaces.Put(ws)
	h := activations{n, InceptionSize, InceptionSize, 3, x}
	for i := range net.stages {
		s := &net.stages[i]
		y := s.run(h, ws)
		if i > 0 {
			ws.give(h)
		}
		h = y
		if !visit(s, y) {
			break
		}
	}
	ws.give(h)
}
