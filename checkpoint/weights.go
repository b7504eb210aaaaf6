package checkpoint

import (
	"fmt"
	"strconv"
)

// OpenWeights opens a file of named tensors, told apart by content: safetensors, npz, or any file of [OpenPickle], whose tensors are
// named as [Pickle.File] names them. The file must be closed after the last use of its tensors.
func OpenWeights(path string) (*File, error) {
	f, err := Open(path)
	if err == nil {
		return f, nil
	}
	if !IsPickle(path) {
		return nil, err
	}
	p, err := OpenPickle(path)
	if err != nil {
		if npz, npzErr := OpenNPZ(path); npzErr == nil && len(npz.Names) > 0 {
			return npz, nil
		}
		return nil, err
	}
	if f, err = p.File(); err != nil {
		p.Close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return f, nil
}

// File lists all tensors below Root by the keys, indices and attributes on the way to them, joined by dots. Modules appear as in their state
// dict: "_parameters", "_buffers" and "_modules" are left out, and so are all other attributes of a module. Closing the File closes p. It is an
// error if the tensors take more than twice the bytes of the file, which only repetition can bring about.
func (p *Pickle) File() (*File, error) {
	f, err := p.Tensors(p.Root)
	if err != nil {
		return nil, err
	}
	f.src = p.src
	return f, nil
}

// Tensors is File for a part of the pickle, such as an [*Object]; closing what it returns does nothing.
func (p *Pickle) Tensors(v any) (*File, error) {
	w := &walk{file: &File{Meta: map[string]string{}, Tensors: map[string]*Tensor{}}, left: 2*p.size + 4096, steps: maxStack}
	return w.file, w.visit("", v, 0)
}

// walk collects tensors.
type walk struct {
	file  *File
	left  int64 // bytes that tensors may still have
	steps int   // shared parts are walked once for every reference to them
}

func (w *walk) visit(name string, v any, depth int) error {
	if w.steps--; w.steps < 0 || depth > maxDepth {
		return fmt.Errorf("refused: more than %d objects, or deeper than %d, at %.80q", maxStack, maxDepth, name)
	}
	switch v := v.(type) {
	case *Tensor:
		return w.add(name, v)
	case *Dict:
		for i, key := range v.Keys {
			if err := w.visit(join(name, key), v.Values[i], depth+1); err != nil {
				return err
			}
		}
	case *List:
		for i, x := range v.Items {
			if err := w.visit(join(name, int64(i)), x, depth+1); err != nil {
				return err
			}
		}
	case *Object:
		parts := modulePartsOf(v)
		if parts == nil {
			return w.visit(name, orEmpty(v.State), depth+1)
		}
		for _, part := range parts {
			if err := w.visit(name, part, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// modulePartsOf returns the parameters, buffers and modules of an nn.Module, nil for other objects.
func modulePartsOf(o *Object) (parts []*Dict) {
	for _, key := range [...]string{"_parameters", "_buffers", "_modules"} {
		if d, ok := o.State.Get(key).(*Dict); ok {
			parts = append(parts, d)
		}
	}
	return parts
}

func orEmpty(d *Dict) *Dict {
	if d == nil {
		return &Dict{}
	}
	return d
}

func (w *walk) add(name string, t *Tensor) error {
	if w.file.Tensors[name] != nil {
		return fmt.Errorf("two tensors are called %.80q", name)
	}
	size, err := byteSize(t.DType, t.Shape)
	if err != nil {
		return fmt.Errorf("tensor %.80q: %w", name, err)
	}
	if w.left -= size; w.left < 0 {
		return fmt.Errorf("refused: the tensors up to %.80q take more than twice the file's size", name)
	}
	w.file.Names = append(w.file.Names, name)
	w.file.Tensors[name] = t
	return nil
}

// join appends a key to a name; keys that are neither text nor a number show their kind.
func join(name string, key any) string {
	var s string
	switch k := key.(type) {
	case string:
		s = k
	case int64:
		s = strconv.FormatInt(k, 10)
	default:
		s = "(" + describe(key) + ")"
	}
	if name == "" {
		return s
	}
	return name + "." + s
}
