package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A Pickle is what a Python pickle or a PyTorch file holds. Nothing of it is executed, imported or looked up: the few classes and
// functions that such files name are on a list (see pickle_globals.go), everything else is refused by name.
//
// Python's objects appear as nil, bool, int64, [*math/big.Int] beyond that, float64, string, [*List], [*Dict], [*Object] and, for PyTorch's
// tensors and numpy's arrays, [*Tensor]; byte strings and texts over 4 KiB as values of types that only this package looks into. Tensors stay in
// the file until they are decoded. Shared and even cyclic references are kept as they are: whoever walks from Root must bound the depth.
type Pickle struct {
	Root   any
	Format string // "Python pickle", "PyTorch zip archive" or "PyTorch file of before version 1.6"
	src    *source
	size   int64
}

// A List is a Python list, tuple or set.
type List struct {
	Items []any
	depth int
}

// A Dict is a Python dictionary of any class, in the order of insertion.
type Dict struct {
	Keys   []any
	Values []any
	index  map[any]int
	depth  int
}

// An Object is an instance of a class of which only the name and the attributes are known, such as an nn.Module.
type Object struct {
	Class string // without its module for EDM's persistent classes, as "torch.nn.modules.container.ModuleDict" for others
	State *Dict  // attributes; nil if it has none
}

// Limits of a pickle, on top of memory and work in proportion to the file (see budget).
const (
	maxDepth = 200     // of containers in containers
	maxStack = 1 << 20 // values waiting on the stack
	longText = 1 << 12 // bytes from which on a text stays in the file
)

// OpenPickle opens a Python pickle of protocol 0 to 5 or a PyTorch file, zip archive or of before version 1.6, told apart by content. It
// must be closed after the last use of its tensors. Files that name anything beyond tensors, arrays, containers and EDM's persistent classes
// are refused, as are those that lie about sizes or offsets, nest deeper than 200, or would unfold to more than their own size and 64 MiB;
// the error names path.
func OpenPickle(path string) (*Pickle, error) {
	src, size, err := openSource(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, bare(err, path))
	}
	p, err := loadPickle(src, size)
	if err != nil {
		src.close()
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return p, nil
}

// ReadPickle is OpenPickle for size bytes behind r; closing the Pickle does not close r.
func ReadPickle(r io.ReaderAt, size int64) (*Pickle, error) {
	return loadPickle(&source{reader: r}, size)
}

// Close releases the file; tensors can no longer be decoded.
func (p *Pickle) Close() error { return p.src.close() }

// loadPickle tells the three kinds of file apart.
func loadPickle(src *source, size int64) (*Pickle, error) {
	start := make([]byte, min(16, size))
	err := src.use(func() error { return src.fill(start, 0) })
	if err != nil {
		return nil, err
	}
	l := &loader{budget: newBudget(size)}
	p := &Pickle{src: src, size: size}
	if bytes.HasPrefix(start, []byte("PK\x03\x04")) {
		p.Format = "PyTorch zip archive"
		p.Root, err = l.zip(src, size)
		return p, err
	}
	r := &pickleReader{src: src, end: size}
	if p.Root, err = l.unpickle(r, nil); err != nil {
		if is := sniff(start); is != "" && is != "a Python pickle" {
			return nil, fmt.Errorf("not a Python pickle but %s", is)
		}
		return nil, fmt.Errorf("not a sound Python pickle: %w", err)
	}
	p.Format = "Python pickle"
	if isLegacyMagic(p.Root) {
		p.Format = "PyTorch file of before version 1.6"
		if p.Root, err = l.legacy(r); err != nil {
			return nil, fmt.Errorf("PyTorch file: %w", err)
		}
	}
	return p, nil
}

// IsPickle reports whether the file at path starts like one that [OpenPickle] reads. So does every zip archive.
func IsPickle(path string) bool {
	r, size, err := openRegular(path)
	if err != nil {
		return false
	}
	defer r.Close()
	b := make([]byte, min(4, size))
	if _, err := r.ReadAt(b, 0); err != nil || len(b) < 2 {
		return false
	}
	if b[0] == opProto {
		return b[1] >= 1 && b[1] <= 5
	}
	return string(b) == "PK\x03\x04" || strings.IndexByte("(}]c", b[0]) >= 0 // these four in protocols 0 and 1
}

// Get returns the value of a key, nil if there is none or d is nil.
func (d *Dict) Get(key string) any {
	if d == nil {
		return nil
	}
	if i, ok := d.index[key]; ok {
		return d.Values[i]
	}
	return nil
}

// set inserts or replaces, as Python does.
func (d *Dict) set(key, value any) {
	if i, ok := d.index[key]; ok {
		d.Values[i] = value
		return
	}
	if d.index == nil {
		d.index = map[any]int{}
	}
	d.index[key] = len(d.Keys)
	d.Keys = append(d.Keys, key)
	d.Values = append(d.Values, value)
}

// A budget bounds what a file may ask for. A pickle has no loops, so that every honest byte causes one step at most; what is read twice
// through the memo is what runs out of it.
type budget struct{ steps, memory int64 }

func newBudget(size int64) *budget { return &budget{steps: size + 1000, memory: size + 64<<20} }

var errBudget = errors.New("refused: it would unfold to more than the size of the file and 64 MiB")

// charge accounts for n bytes of memory, about.
func (b *budget) charge(n int64) error {
	if n < 0 || n > b.memory {
		return errBudget
	}
	b.memory -= n
	return nil
}
