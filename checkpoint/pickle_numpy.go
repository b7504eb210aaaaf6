package checkpoint

import (
	"errors"
	"fmt"
	"strings"
)

// numpyType is a numpy.dtype: its code, such as "f8", and byte order.
type numpyType struct {
	code  string
	dtype DType // "" if it is none of ours
	big   bool
}

func newNumpyType(l *loader, args []any) (any, error) {
	if len(args) == 0 {
		return nil, errArguments
	}
	code, ok := args[0].(string)
	if !ok {
		return nil, errArguments
	}
	t := &numpyType{code: code, big: strings.HasPrefix(code, ">")}
	code = strings.TrimLeft(code, "<>=|")
	for d, c := range npyTypes {
		if c == code {
			t.dtype = d
		}
	}
	return t, l.charge(128)
}

// build takes over the state (version, byte order, …).
func (t *numpyType) build(state any) error {
	s, ok := state.(*List)
	if !ok || len(s.Items) < 2 {
		return errors.New("a numpy type without a byte order")
	}
	order, ok := s.Items[1].(string)
	t.big = order == ">"
	if !ok || !strings.Contains("<>=|", order) {
		return errors.New("a numpy type without a byte order")
	}
	return nil
}

// usable returns the element type.
func (t *numpyType) usable() (DType, error) {
	if t.dtype == "" || t.big && t.dtype.Bits() > 8 {
		return "", fmt.Errorf("a numpy array of type %.20q (big-endian: %t), which is not read", t.code, t.big)
	}
	return t.dtype, nil
}

// newArray makes a tensor of elements that lie in data, last index fastest, or first if fortran.
func newArray(t *numpyType, shape []int, data any, fortran bool) (*Tensor, error) {
	d, err := t.usable()
	if err != nil {
		return nil, err
	}
	at, ok := data.(byteString)
	if s, isText := data.(string); isText { // Python 2's byte string, if short
		at, ok = byteString{&source{bytes: []byte(s)}, 0, int64(len(s))}, true
	}
	if !ok {
		return nil, fmt.Errorf("a numpy array whose elements are %s", describe(data))
	}
	size, err := byteSize(d, shape)
	if err != nil {
		return nil, err
	}
	s := &storage{dtype: d, size: size}
	if err := s.place(span(at)); err != nil {
		return nil, err
	}
	strides, step := make([]int64, len(shape)), int64(1)
	for i := range shape {
		if !fortran {
			i = len(shape) - 1 - i
		}
		strides[i] = step
		step *= int64(shape[i])
	}
	return newView(s, d, shape, strides, 0)
}

// reconstructArray makes an empty array, which its state then fills.
func reconstructArray(l *loader, args []any) (any, error) {
	if len(args) != 3 || describe(args[0]) != "numpy.ndarray" {
		return nil, errArguments
	}
	return &Tensor{Shape: []int{0}}, l.charge(512)
}

// buildArray fills an array of reconstructArray with the state (version, shape, type, fortran order, elements).
func buildArray(t *Tensor, state any) error {
	s, ok := state.(*List)
	if !ok || len(s.Items) != 5 || t.data != nil {
		return errors.New("a numpy array with a state of the wrong kind")
	}
	shape, ok1 := integers[int](s.Items[1])
	kind, ok2 := s.Items[2].(*numpyType)
	fortran, ok3 := truth(s.Items[3])
	if !ok1 || !ok2 || !ok3 {
		return errors.New("a numpy array with a state of the wrong kind")
	}
	full, err := newArray(kind, shape, s.Items[4], fortran)
	if err == nil {
		*t = *full
	}
	return err
}

// arrayFromBuffer makes an array of protocol 5: (elements, type, shape, order "C" or "F").
func arrayFromBuffer(l *loader, args []any) (any, error) {
	if len(args) != 4 {
		return nil, errArguments
	}
	kind, ok1 := args[1].(*numpyType)
	shape, ok2 := integers[int](args[2])
	order, ok3 := args[3].(string)
	if !ok1 || !ok2 || !ok3 || order != "C" && order != "F" {
		return nil, errArguments
	}
	if err := l.charge(512); err != nil {
		return nil, err
	}
	return newArray(kind, shape, args[0], order == "F")
}

// newScalar returns numpy's number (type, bytes) as an ordinary one.
func newScalar(l *loader, args []any) (any, error) {
	if len(args) != 2 {
		return nil, errArguments
	}
	kind, ok := args[0].(*numpyType)
	if !ok {
		return nil, errArguments
	}
	t, err := newArray(kind, []int{}, args[1], false)
	if err != nil {
		return nil, err
	}
	if err := l.charge(64); err != nil {
		return nil, err
	}
	if t.DType.Float() {
		v, err := t.Float64()
		if err != nil {
			return nil, err
		}
		return v[0], nil
	}
	v, err := t.Int64()
	if err != nil {
		return nil, err
	}
	if t.DType == Bool {
		return v[0] == 1, nil
	}
	return v[0], nil
}

// truth reads a truth value, which old protocols write as a number.
func truth(v any) (is, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case int64:
		return v == 1, v == 0 || v == 1
	}
	return false, false
}
