package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// opProto starts every pickle of protocol 2 or more.
const opProto = 0x80

// step executes one instruction. Those of Python's extension registry and of buffers outside the file are refused. The letters are
// defined in the standard library's pickletools.
func (m *machine) step(op byte) error {
	switch op {
	case opProto:
		n, err := m.uint(1)
		if err == nil && n > 5 {
			err = fmt.Errorf("pickle protocol %d is unknown", n)
		}
		return err
	case 0x95: // FRAME: only a hint for readers that buffer
		_, err := m.next(8)
		return err
	case '.':
		m.done = true
		return nil
	case 'N':
		return m.push(nil)
	case 0x88:
		return m.push(true)
	case 0x89:
		return m.push(false)
	case 'K':
		return m.integer(1)
	case 'M':
		return m.integer(2)
	case 'J':
		return m.integer(4)
	case 0x8a:
		return m.long(1)
	case 0x8b:
		return m.long(4)
	case 'I', 'L', 'F', 'S', 'V', 'P':
		return m.textual(op)
	case 'G':
		b, err := m.next(8)
		if err != nil {
			return err
		}
		return m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case 'X':
		return m.text(4)
	case 0x8c:
		return m.text(1)
	case 0x8d:
		return m.text(8)
	case 'B', 'T':
		return m.bytes(4, op == 'T')
	case 'C', 'U':
		return m.bytes(1, op == 'U')
	case 0x8e, 0x96: // BINBYTES8, BYTEARRAY8
		return m.bytes(8, false)
	case 'p', 'q', 'r', 'g', 'h', 'j', 0x94:
		return m.remember(op)
	case 0x82, 0x83, 0x84:
		return errors.New("refused: it refers to Python's extension registry")
	case 0x97, 0x98:
		return errors.New("its data are in buffers outside the file")
	}
	return m.structure(op)
}

// structure executes the instructions that combine values of the stack.
func (m *machine) structure(op byte) error {
	switch op {
	case '(':
		return m.mark()
	case '0':
		if len(m.stack) == m.floor() && len(m.marks) > 0 {
			_, err := m.popMark()
			return err
		}
		_, err := m.pop(1)
		return err
	case '1':
		_, err := m.popMark()
		return err
	case '2':
		v, err := m.top()
		if err != nil {
			return err
		}
		return m.push(v)
	case ')', ']', 0x8f: // empty tuple, list, set
		return m.collect(0)
	case 0x85, 0x86, 0x87:
		return m.collect(int(op - 0x84))
	case 't', 'l', 0x91: // tuple, list, frozenset
		return m.collect(-1)
	case '}':
		if err := m.charge(96); err != nil {
			return err
		}
		return m.push(&Dict{})
	case 'd':
		items, err := m.popMark()
		if err != nil {
			return err
		}
		d := &Dict{}
		if err := m.update(d, items); err != nil {
			return err
		}
		return m.push(d)
	case 'a', 'e', 0x90, 's', 'u':
		return m.insert(op)
	}
	return m.construct(op)
}

// collect makes a list of n values, or of those above the mark.
func (m *machine) collect(n int) (err error) {
	var items []any
	if n < 0 {
		items, err = m.popMark()
	} else {
		items, err = m.pop(n)
	}
	if err != nil {
		return err
	}
	l, err := m.list(items)
	if err != nil {
		return err
	}
	return m.push(l)
}

// insert adds values to the container below them.
func (m *machine) insert(op byte) (err error) {
	var items []any
	switch op {
	case 'a':
		items, err = m.pop(1)
	case 's':
		items, err = m.pop(2)
	default:
		items, err = m.popMark()
	}
	if err != nil {
		return err
	}
	to, err := m.top()
	if err != nil {
		return err
	}
	l, isList := to.(*List)
	d, isDict := to.(*Dict)
	switch mapping := op == 's' || op == 'u'; {
	case isList && !mapping:
		return m.extend(l, items)
	case isDict && mapping:
		return m.update(d, items)
	}
	return fmt.Errorf("%s takes no items of this kind", describe(to))
}

// construct executes the instructions that make objects of named classes.
func (m *machine) construct(op byte) error {
	take := func(n int) (v [3]any, err error) {
		items, err := m.pop(n)
		copy(v[:], items)
		return v, err
	}
	switch op {
	case 'c', 0x93:
		return m.global(op)
	case 'R', 0x81: // REDUCE, NEWOBJ
		v, err := take(2)
		if err != nil {
			return err
		}
		return m.call(v[0], v[1])
	case 0x92: // NEWOBJ_EX
		v, err := take(3)
		if err != nil {
			return err
		}
		if d, ok := v[2].(*Dict); !ok || len(d.Keys) > 0 {
			return errors.New("refused: an object made with keyword arguments")
		}
		return m.call(v[0], v[1])
	case 'b':
		v, err := take(1)
		if err != nil {
			return err
		}
		o, err := m.top()
		if err != nil {
			return err
		}
		return m.build(o, v[0])
	case 'o':
		items, err := m.popMark()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return errStack
		}
		class, args := items[0], &List{Items: slices.Clone(items[1:])}
		return m.call(class, args)
	case 'i':
		g, err := m.namedGlobal()
		if err != nil {
			return err
		}
		items, err := m.popMark()
		if err != nil {
			return err
		}
		return m.call(g, &List{Items: slices.Clone(items)})
	case 'Q':
		v, err := take(1)
		if err != nil {
			return err
		}
		id, ok := v[0].(*List)
		if !ok || m.persistent == nil {
			return errors.New("it refers to objects outside the pickle")
		}
		o, err := m.persistent(id)
		if err != nil {
			return err
		}
		return m.push(o)
	}
	return fmt.Errorf("0x%02x is no instruction of a pickle", op)
}

// global pushes a name of the allow-list.
func (m *machine) global(op byte) error {
	var g *global
	if op == 'c' {
		var err error
		if g, err = m.namedGlobal(); err != nil {
			return err
		}
		return m.push(g)
	}
	names, err := m.pop(2)
	if err != nil {
		return err
	}
	module, ok1 := names[0].(string)
	name, ok2 := names[1].(string)
	if !ok1 || !ok2 {
		return errors.New("the name of a class is no text")
	}
	if g, err = lookup(module, name); err != nil {
		return err
	}
	return m.push(g)
}

// namedGlobal reads module and name from two lines.
func (m *machine) namedGlobal() (*global, error) {
	module, err := m.line(m.budget)
	if err != nil {
		return nil, err
	}
	name, err := m.line(m.budget)
	if err != nil {
		return nil, err
	}
	return lookup(string(module), string(name))
}

func (m *machine) remember(op byte) error {
	key, err := uint64(0), error(nil)
	switch op {
	case 0x94:
		key = uint64(len(m.memo))
	case 'q', 'h':
		key, err = m.uint(1)
	case 'r', 'j':
		key, err = m.uint(4)
	default:
		var b []byte
		if b, err = m.line(m.budget); err == nil {
			key, err = strconv.ParseUint(string(b), 10, 63)
		}
	}
	if err != nil {
		return err
	}
	if op == 'g' || op == 'h' || op == 'j' {
		return m.get(key)
	}
	return m.put(key)
}
