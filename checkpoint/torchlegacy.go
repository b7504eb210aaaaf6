package checkpoint

import (
	"errors"
	"fmt"
	"math/big"
)

// legacyMagic is the number that PyTorch's files of before version 1.6 start with, as a pickle.
var legacyMagic, _ = new(big.Int).SetString("1950a86a20f9469cfc6c", 16)

func isLegacyMagic(v any) bool {
	n, ok := v.(*big.Int)
	return ok && n.Cmp(legacyMagic) == 0
}

// legacy reads on after the magic number: a version, facts about the machine that wrote the file, the object itself, the keys of the
// storages in the order of the file, and for each its number of elements in 8 bytes and the elements.
func (l *loader) legacy(r *pickleReader) (any, error) {
	version, err := l.unpickle(r, nil)
	if err != nil {
		return nil, err
	}
	if version != int64(1001) {
		return nil, fmt.Errorf("its protocol is %v, want 1001", version)
	}
	machine, err := l.unpickle(r, nil)
	if err != nil {
		return nil, err
	}
	if d, _ := machine.(*Dict); d.Get("little_endian") != true {
		return nil, errors.New("its elements are not little-endian")
	}
	storages := map[string]*storage{}
	root, err := l.unpickle(r, func(id *List) (any, error) { return l.legacyObject(storages, id.Items) })
	if err != nil {
		return nil, err
	}
	list, err := l.unpickle(r, nil)
	if err != nil {
		return nil, err
	}
	keys, ok := list.(*List)
	if !ok || len(keys.Items) != len(storages) {
		return nil, fmt.Errorf("its %d storages are not those in its list of keys", len(storages))
	}
	for _, key := range keys.Items {
		name, _ := key.(string)
		s := storages[name]
		if s == nil || s.found {
			return nil, fmt.Errorf("storage %.40q is not referred to, or twice in the list", name)
		}
		if err := s.readLegacy(r); err != nil {
			return nil, fmt.Errorf("storage %.40q: %w", name, err)
		}
	}
	return root, nil
}

// legacyObject resolves a persistent id: ("storage", class, key, device, elements, view), or ("module", class, file, source text).
func (l *loader) legacyObject(storages map[string]*storage, id []any) (any, error) {
	if len(id) == 4 && id[0] == "module" {
		return id[1], nil
	}
	if len(id) != 6 || id[0] != "storage" {
		return nil, errors.New("a reference to something that is no storage")
	}
	if id[5] != nil {
		return nil, errors.New("views of storages, as PyTorch before version 0.4 wrote them, are not read")
	}
	key, ok := id[2].(string)
	if !ok {
		return nil, errors.New("a storage whose key is no text")
	}
	if s := storages[key]; s != nil {
		return s, nil
	}
	if err := l.charge(256); err != nil {
		return nil, err
	}
	s, err := newStorage(id)
	if err == nil {
		storages[key] = s
	}
	return s, err
}

// readLegacy steps over the storage's bytes.
func (s *storage) readLegacy(r *pickleReader) error {
	n, err := r.uint(8)
	if err != nil {
		return err
	}
	if width := uint64(s.dtype.Bits() / 8); n > uint64(s.size) || n*width != uint64(s.size) {
		return fmt.Errorf("of %d bytes says that it has %d elements", s.size, n)
	}
	at, err := r.span(uint64(s.size))
	if err != nil {
		return fmt.Errorf("%w; is the file truncated?", err)
	}
	return s.place(at)
}
