package metric

import (
	"fmt"
	"slices"
	"sync"

	"diffuse/internal/kernel"
)

// InceptionSize is the height and width in pixels of the pictures that the Inception network reads.
const InceptionSize = 299

// inceptionClasses is the number of logits, of which the network of 2015 was trained on 1000.
const inceptionClasses = 1008

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
