package checkpoint

import (
	"errors"
	"fmt"
	"math/bits"
)

// A storage is a run of bytes in a file that tensors are views of. Its place in the file may become known after its tensors.
type storage struct {
	dtype DType
	size  int64 // in bytes
	data  span
	found bool
}

// newStorage makes the storage of an entry ("storage", class, key, device, elements, …).
func newStorage(id []any) (*storage, error) {
	class, ok1 := id[1].(*global)
	n, ok2 := id[4].(int64)
	if !ok1 || class.dtype == "" || !ok2 {
		return nil, errors.New("a storage of unknown type or size")
	}
	size, err := byteSize(class.dtype, []int{int(n)})
	if err != nil || n < 0 || int64(int(n)) != n {
		return nil, fmt.Errorf("a storage of %d elements", n)
	}
	return &storage{dtype: class.dtype, size: size}, nil
}

// place says where the bytes are.
func (s *storage) place(at span) error {
	if at.size != s.size {
		return fmt.Errorf("a storage of %d bytes holds %d", s.size, at.size)
	}
	s.data, s.found = at, true
	return nil
}

// view is the payload of a tensor over a storage: the element at index i, j, … is number offset + i·strides[0] + j·strides[1] + ….
type view struct {
	of           *storage
	shape        []int
	strides      []int64
	offset, last int64 // smallest and largest element number
	count        int
	width        int64 // bytes per element
	contiguous   bool
}

// newView checks a tensor against its storage. Elements may not be repeated: what decodes to more than the file holds is an attack.
func newView(of *storage, d DType, shape []int, strides []int64, offset int64) (*Tensor, error) {
	n, err := elements(shape)
	if err != nil {
		return nil, err
	}
	if d.Bits() < 8 {
		return nil, fmt.Errorf("a tensor of unknown type %q", string(d))
	}
	v := view{of: of, shape: shape, strides: strides, offset: offset, last: offset, count: n, width: int64(d.Bits() / 8), contiguous: true}
	have := of.size / v.width
	if len(shape) != len(strides) || offset < 0 || offset > have || int64(n) > have {
		return nil, fmt.Errorf("a tensor of shape %v, strides %v and offset %d over %d elements", shape, strides, offset, have)
	}
	step := int64(1)
	for i := len(shape) - 1; i >= 0 && n > 0; i-- {
		if shape[i] > 1 && strides[i] != step {
			v.contiguous = false
		}
		step *= int64(shape[i])
		hi, reach := bits.Mul64(uint64(shape[i]-1), uint64(strides[i]))
		if strides[i] < 0 || hi != 0 || reach > uint64(have) || v.last+int64(reach) >= have {
			return nil, fmt.Errorf("a tensor of shape %v, strides %v and offset %d leaves its %d elements", shape, strides, offset, have)
		}
		v.last += int64(reach)
	}
	if n > 0 && v.last >= have {
		return nil, fmt.Errorf("a tensor at offset %d leaves its %d elements", offset, have)
	}
	return &Tensor{DType: d, Shape: shape, data: v}, nil
}

func (v view) trusted() bool { return true }

// span is the part of the storage from the first element to the last.
func (v view) span() span {
	return span{v.of.data.src, v.of.data.off + v.offset*v.width, (v.last - v.offset + 1) * v.width}
}

func (v view) read(yield func([]byte) error) error {
	if v.count == 0 {
		return nil
	}
	from := v.span()
	if v.contiguous {
		return from.read(yield)
	}
	var all []byte
	err := from.read(func(b []byte) error {
		if int64(len(b)) == from.size {
			return v.gather(b, yield)
		}
		all = append(all, b...)
		return nil
	})
	if err != nil || all == nil {
		return err
	}
	return v.gather(all, yield)
}

// gather hands out elements in the order of indices; b starts at the first.
func (v view) gather(b []byte, yield func([]byte) error) error {
	index := make([]int, len(v.shape))
	buf := make([]byte, 0, min(chunkSize, v.count*int(v.width)))
	at := int64(0)
	for range v.count {
		buf = append(buf, b[at*v.width:(at+1)*v.width]...)
		if len(buf) == cap(buf) {
			if err := yield(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		for d := len(index) - 1; d >= 0; d-- {
			index[d]++
			at += v.strides[d]
			if index[d] < v.shape[d] {
				break
			}
			at -= v.strides[d] * int64(v.shape[d])
			index[d] = 0
		}
	}
	if len(buf) == 0 {
		return nil
	}
	return yield(buf)
}

// rebuildTensor makes a tensor of (storage, offset, shape, strides, …), with at least n arguments; the seventh of version 3 is the type.
func rebuildTensor(n int) func(*loader, []any) (any, error) {
	return func(l *loader, args []any) (any, error) {
		if len(args) < n {
			return nil, errArguments
		}
		of, ok1 := args[0].(*storage)
		offset, ok2 := args[1].(int64)
		shape, ok3 := integers[int](args[2])
		strides, ok4 := integers[int64](args[3])
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return nil, errArguments
		}
		d := of.dtype
		if n == 7 {
			g, ok := args[6].(*global)
			if !ok || g.dtype == "" {
				return nil, errArguments
			}
			d = g.dtype
		}
		if err := l.charge(256 + 16*int64(len(shape))); err != nil {
			return nil, err
		}
		return newView(of, d, shape, strides, offset)
	}
}

// integers reads a short list of whole numbers.
func integers[T int | int64](v any) ([]T, bool) {
	l, ok := v.(*List)
	if !ok || len(l.Items) > maxRank {
		return nil, false
	}
	out := make([]T, len(l.Items))
	for i, x := range l.Items {
		n, ok := x.(int64)
		if !ok || int64(T(n)) != n {
			return nil, false
		}
		out[i] = T(n)
	}
	return out, true
}

// rebuildParameter unwraps a tensor that gradients are wanted of.
func rebuildParameter(_ *loader, args []any) (any, error) {
	if len(args) < 3 {
		return nil, errArguments
	}
	t, ok := args[0].(*Tensor)
	if !ok {
		return nil, errArguments
	}
	return t, nil
}

// loadFromBytes reads a storage that was pickled outside of PyTorch's own files, as EDM's are: a whole file of the old format in a byte string.
func loadFromBytes(l *loader, args []any) (any, error) {
	if len(args) != 1 || l.nested {
		return nil, errArguments
	}
	b, ok := args[0].(byteString)
	if !ok {
		return nil, errArguments
	}
	inner := &loader{budget: l.budget, nested: true}
	if err := l.charge(1024); err != nil {
		return nil, err
	}
	r := &pickleReader{src: b.src, at: b.off, end: b.off + b.size}
	magic, err := inner.unpickle(r, nil)
	if err != nil {
		return nil, err
	}
	if !isLegacyMagic(magic) {
		return nil, errors.New("not a file of PyTorch's old format")
	}
	root, err := inner.legacy(r)
	if err != nil {
		return nil, err
	}
	if s, ok := root.(*storage); ok {
		return s, nil
	}
	return nil, fmt.Errorf("%s where a storage is expected", describe(root))
}
