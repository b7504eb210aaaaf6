package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"math/big"
)

// loader reads the pickles of one file under one budget.
type loader struct {
	*budget
	nested bool // inside a storage's own stream
}

// A machine is Python's pickle machine: a stack, positions of marks on it, and the memo of values that are referred to again.
type machine struct {
	*loader
	*pickleReader
	stack      []any
	marks      []int
	memo       map[uint64]any
	persistent func(id *List) (any, error) // what a persistent id stands for; nil: none is expected
	done       bool
}

// Values that never leave the package: a byte string, a text of more than longText bytes, and a name of the allow-list.
type (
	byteString span
	textSpan   span
	global     struct {
		name  string
		dtype DType                                    // of a storage class or a torch.dtype
		call  func(l *loader, args []any) (any, error) // nil: a name that is only passed on
	}
)

// unpickle reads one pickle and leaves r after it.
func (l *loader) unpickle(r *pickleReader, persistent func(id *List) (any, error)) (any, error) {
	m := &machine{loader: l, pickleReader: r, persistent: persistent, memo: map[uint64]any{}}
	for !m.done {
		at := r.at
		op, err := r.uint(1)
		if l.steps--; l.steps < 0 {
			return nil, errBudget
		}
		if err == nil {
			err = m.step(byte(op))
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("cut short in what starts at byte %d: %w", at, err)
		}
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", at, err)
		}
	}
	if len(m.stack) != 1 || len(m.marks) > 0 {
		return nil, fmt.Errorf("ends with %d values on the stack instead of one", len(m.stack))
	}
	return m.stack[0], nil
}

var errStack = errors.New("takes more from the stack than is there")

func (m *machine) push(v any) error {
	if len(m.stack) >= maxStack {
		return fmt.Errorf("refused: more than %d values on the stack", maxStack)
	}
	m.stack = append(m.stack, v)
	return nil
}

// floor is the height below which the stack belongs to whoever set the last mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// top returns the value on top of the stack.
func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, errStack
	}
	return m.stack[len(m.stack)-1], nil
}

// pop takes the n values on top, lowest first; they are valid until the next push.
func (m *machine) pop(n int) ([]any, error) {
	at := len(m.stack) - n
	if at < m.floor() {
		return nil, errStack
	}
	v := m.stack[at:]
	m.stack = m.stack[:at]
	return v, nil
}

// popMark takes all values above the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, errors.New("no mark on the stack")
	}
	v, err := m.pop(len(m.stack) - m.floor())
	m.marks = m.marks[:len(m.marks)-1]
	return v, err
}

func (m *machine) mark() error {
	if len(m.marks) >= 4*maxDepth {
		return fmt.Errorf("refused: more than %d marks on the stack", 4*maxDepth)
	}
	m.marks = append(m.marks, len(m.stack))
	return nil
}

func (m *machine) put(key uint64) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	m.memo[key] = v
	return m.charge(64)
}

func (m *machine) get(key uint64) error {
	v, ok := m.memo[key]
	if !ok {
		return fmt.Errorf("nothing is stored under %d", key)
	}
	return m.push(v)
}

// list makes a new list of copies of items.
func (b *budget) list(items []any) (*List, error) {
	l := &List{}
	return l, b.extend(l, items)
}

func (b *budget) extend(l *List, items []any) error {
	if err := b.charge(64 + 32*int64(len(items))); err != nil {
		return err
	}
	l.Items = append(l.Items, items...)
	return deepen(&l.depth, items)
}

// update inserts keys and values, which alternate in items.
func (b *budget) update(d *Dict, items []any) error {
	if len(items)%2 != 0 {
		return errors.New("a key without a value")
	}
	if err := b.charge(64 + 64*int64(len(items))); err != nil {
		return err
	}
	for i := 0; i < len(items); i += 2 {
		d.set(items[i], items[i+1])
	}
	return deepen(&d.depth, items)
}

// deepen raises the depth of a container to one more than that of its items.
func deepen(depth *int, items []any) error {
	for _, v := range items {
		*depth = max(*depth, 1+depthOf(v))
	}
	if *depth > maxDepth {
		return fmt.Errorf("refused: containers in containers more than %d deep", maxDepth)
	}
	return nil
}

func depthOf(v any) int {
	switch v := v.(type) {
	case *List:
		return v.depth
	case *Dict:
		return v.depth
	case *Object:
		if v.State != nil {
			return 1 + v.State.depth
		}
	}
	return 0
}

// call applies one of the listed names.
func (m *machine) call(f any, args any) error {
	g, ok := f.(*global)
	if !ok || g.call == nil {
		return fmt.Errorf("refused: %s is not something to call", describe(f))
	}
	a, ok := args.(*List)
	if !ok {
		return fmt.Errorf("%s gets %s for its arguments", g.name, describe(args))
	}
	v, err := g.call(m.loader, a.Items)
	if err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	return m.push(v)
}

// build gives an object its attributes.
func (m *machine) build(object, state any) error {
	if pair, ok := state.(*List); ok && len(pair.Items) == 2 && pair.Items[1] == nil {
		state = pair.Items[0] // attributes and no slots
	}
	d, attributes := state.(*Dict)
	switch o := object.(type) {
	case *Object:
		if !attributes {
			return fmt.Errorf("%s gets %s for its attributes", o.Class, describe(state))
		}
		o.State = d
		return nil
	case *Dict:
		if !attributes {
			return fmt.Errorf("a dictionary gets %s for its attributes", describe(state))
		}
		return nil // such as _metadata of a state dict: no part of the content
	case *numpyType:
		return o.build(state)
	case *Tensor:
		return buildArray(o, state)
	}
	return fmt.Errorf("%s takes no attributes", describe(object))
}

// describe says what a value is, for errors.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case *global:
		return v.name
	case string, textSpan:
		return "a text"
	case byteString:
		return "a byte string"
	case int64, *big.Int:
		return "a whole number"
	case float64:
		return "a number"
	case bool:
		return "a truth value"
	case *List:
		return "a list"
	case *Dict:
		return "a dictionary"
	case *Object:
		return v.Class
	case *Tensor:
		return "a tensor"
	case *storage:
		return "a storage"
	case *numpyType:
		return "a numpy type"
	}
	return fmt.Sprintf("%T", v)
}
