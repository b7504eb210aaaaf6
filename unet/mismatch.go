package unet

import (
	"fmt"
	"slices"
	"strings"

	"diffuse/checkpoint"
)

// A MismatchError says how the tensors of a file differ from those of a network.
type MismatchError struct {
	Tensors []string // one sentence about each that is missing, misshapen or too many, sorted
}

// listed is how many tensors the text of a MismatchError names.
const listed = 10

// Error names the first ten.
func (e *MismatchError) Error() string {
	list := e.Tensors
	if n := len(list); n > listed {
		list = append(slices.Clone(list[:listed]), fmt.Sprintf("and %d more", n-listed))
	}
	return strings.Join(list, "; ")
}

// mismatches collects what a MismatchError lists.
type mismatches []string

// check notes what is wrong with a tensor, nil if it is missing, and says whether it is as wanted.
func (m *mismatches) check(name string, x *checkpoint.Tensor, shape []int) bool {
	switch {
	case x == nil:
		*m = append(*m, fmt.Sprintf("tensor %q is missing", name))
	case !slices.Equal(x.Shape, shape):
		*m = append(*m, fmt.Sprintf("tensor %q: shape %v, want %v", name, x.Shape, shape))
	case !x.DType.Float():
		*m = append(*m, fmt.Sprintf("tensor %q: type %s, want floats", name, x.DType))
	default:
		return true
	}
	return false
}

// unclaimed notes the tensors that no part of the network has asked for.
func (m *mismatches) unclaimed(files map[string]*checkpoint.Tensor, claimed map[string]bool) {
	for name := range files {
		if !claimed[name] {
			*m = append(*m, fmt.Sprintf("tensor %.200q is not part of this network", name))
		}
	}
}

func (m mismatches) err() error {
	if len(m) == 0 {
		return nil
	}
	slices.Sort(m)
	return &MismatchError{m}
}
