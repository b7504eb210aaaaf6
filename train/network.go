package train

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"diffuse/tensor"
)

// A Network is all that training asks of a preconditioned denoising network.
type Network interface {
	// Denoise returns D(x; sigma), the estimate of the clean images, of x's shape N×H×W×C. sigma holds one noise level
	// per image. labels holds one class per image, -1 for none, or is nil. dropout holds one generator per image
	// for the network's dropout, or is nil: no dropout. Operations are recorded on t, which may be nil.
	Denoise(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor

	Weighted
}

// Weighted is a network as an [Optimizer] sees it.
type Weighted interface {
	// Params yields the names and values of the weights, always in the same order. The tensors are the network's own:
	// training writes to them between passes.
	Params() iter.Seq2[string, *tensor.Tensor]
}

// params collects a network's weights.
func params(n Weighted) (names []string, values []*tensor.Tensor) {
	for name, w := range n.Params() {
		names, values = append(names, name), append(values, w)
	}
	return names, values
}

// sameParams says how the weights of b differ in name, order or shape from those of a, or returns nil.
func sameParams(names []string, a []*tensor.Tensor, otherNames []string, b []*tensor.Tensor) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d parameters and %d", len(a), len(b))
	}
	for i, w := range a {
		if names[i] != otherNames[i] {
			return fmt.Errorf("parameter %d is called %q and %q", i, names[i], otherNames[i])
		}
		if !slices.Equal(w.Shape, b[i].Shape) {
			return fmt.Errorf("parameter %q has shapes %v and %v", names[i], w.Shape, b[i].Shape)
		}
		if len(w.Data) > 0 && &w.Data[0] == &b[i].Data[0] {
			return fmt.Errorf("parameter %q is one and the same tensor in both", names[i])
		}
	}
	return nil
}
