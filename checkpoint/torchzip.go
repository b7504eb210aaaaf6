package checkpoint

import (
	"archive/zip"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// maxDirectory bounds what is read of a zip archive's list of members, which is unpacked into memory. It is room for some 80,000 tensors.
const maxDirectory = 8 << 20

// torchArchive is a PyTorch zip archive: members NAME/data.pkl and NAME/data/KEY, one for each storage, all uncompressed. Names are
// compared and never used as paths.
type torchArchive struct {
	*loader
	src      *source
	size     int64
	prefix   string
	members  map[string]*zip.File
	storages map[string]*storage
	used     []usedMember
}

// usedMember is a member of which bytes are used.
type usedMember struct {
	name string
	at   span
}

// zip reads the object of a PyTorch zip archive of size bytes.
func (l *loader) zip(src *source, size int64) (any, error) {
	a := &torchArchive{loader: l, src: src, size: size, members: map[string]*zip.File{}, storages: map[string]*storage{}}
	limited := &limitedReader{src: src, size: size, left: maxDirectory}
	z, err := zip.NewReader(limited, size)
	if err != nil {
		return nil, fmt.Errorf("zip archive: %w", err)
	}
	limited.left = math.MaxInt64
	if err := a.index(z); err != nil {
		return nil, err
	}
	program, err := a.member("data.pkl")
	if err != nil {
		return nil, err
	}
	if err := a.checkByteOrder(); err != nil {
		return nil, err
	}
	root, err := l.unpickle(&pickleReader{src: src, at: program.off, end: program.off + program.size}, a.object)
	if err != nil {
		return nil, fmt.Errorf("%s/data.pkl: %w", a.prefix, err)
	}
	return root, a.checkOverlap()
}

// index lists the members and finds the folder that all of PyTorch's are in.
func (a *torchArchive) index(z *zip.Reader) error {
	found := false
	for _, f := range z.File {
		if a.members[f.Name] != nil {
			return fmt.Errorf("zip archive: %.80q is there twice", f.Name)
		}
		a.members[f.Name] = f
		prefix, ok := strings.CutSuffix(f.Name, "/data.pkl")
		if !ok || strings.Contains(prefix, "/") {
			continue
		}
		if found {
			return errors.New("zip archive with more than one data.pkl")
		}
		a.prefix, found = prefix, true
	}
	if !found {
		return errors.New("a zip archive without data.pkl: not a PyTorch file")
	}
	return nil
}

// member returns where the bytes of a member are, by its name in the folder.
func (a *torchArchive) member(name string) (span, error) {
	f := a.members[a.prefix+"/"+name]
	if f == nil {
		return span{}, fmt.Errorf("zip archive: no member %.80q", a.prefix+"/"+name)
	}
	if f.Method != zip.Store || f.Flags&1 != 0 || f.CompressedSize64 != f.UncompressedSize64 {
		return span{}, fmt.Errorf("zip archive: %.80q is compressed or encrypted, which PyTorch's members are not", f.Name)
	}
	off, err := f.DataOffset()
	if err != nil {
		return span{}, fmt.Errorf("zip archive: %.80q: %w", f.Name, err)
	}
	if off < 0 || off > a.size || f.UncompressedSize64 > uint64(a.size-off) {
		return span{}, fmt.Errorf("zip archive: %.80q is not inside the file", f.Name)
	}
	at := span{a.src, off, int64(f.UncompressedSize64)}
	a.used = append(a.used, usedMember{f.Name, at})
	return at, nil
}

// checkByteOrder refuses archives of big-endian machines; old ones do not say, and come from little-endian ones.
func (a *torchArchive) checkByteOrder() error {
	if a.members[a.prefix+"/byteorder"] == nil {
		return nil
	}
	at, err := a.member("byteorder")
	if err != nil {
		return err
	}
	order, err := at.all(64)
	if err == nil && string(order) != "little" {
		err = fmt.Errorf("the byte order of its elements is %.20q, want little", order)
	}
	return err
}

// object resolves a persistent id: ("storage", class, key, device, elements).
func (a *torchArchive) object(id *List) (any, error) {
	if len(id.Items) != 5 || id.Items[0] != "storage" {
		return nil, errors.New("a reference to something that is no storage")
	}
	key, ok := id.Items[2].(string)
	if !ok {
		return nil, errors.New("a storage whose key is no text")
	}
	if s := a.storages[key]; s != nil {
		return s, nil
	}
	if err := a.charge(512); err != nil {
		return nil, err
	}
	s, err := newStorage(id.Items)
	if err != nil {
		return nil, err
	}
	at, err := a.member("data/" + key)
	if err != nil {
		return nil, err
	}
	if err := s.place(at); err != nil {
		return nil, fmt.Errorf("%.80q: %w", key, err)
	}
	a.storages[key] = s
	return s, nil
}

// checkOverlap makes sure that no byte of the file is used by two members.
func (a *torchArchive) checkOverlap() error {
	slices.SortFunc(a.used, func(x, y usedMember) int {
		return cmp.Or(cmp.Compare(x.at.off, y.at.off), cmp.Compare(x.at.size, y.at.size))
	})
	for i := 1; i < len(a.used); i++ {
		if x, y := a.used[i-1], a.used[i]; x.at.off+x.at.size > y.at.off {
			return fmt.Errorf("zip archive: %.80q and %.80q overlap", x.name, y.name)
		}
	}
	return nil
}

// limitedReader reads from a source until it has read too much.
type limitedReader struct {
	src  *source
	size int64
	left int64 // MaxInt64 is no limit
}

func (r *limitedReader) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off >= r.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), r.size-off))
	if r.left != math.MaxInt64 { // else the list has been read, and members may be read by several at once
		if r.left -= int64(n); r.left < 0 {
			return 0, fmt.Errorf("refused: its list of members is longer than %d bytes", maxDirectory)
		}
	}
	if err := r.src.use(func() error { return r.src.fill(b[:n], off) }); err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
