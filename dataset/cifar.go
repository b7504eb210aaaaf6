package dataset

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"diffuse/checkpoint"
)

// A cifarLayout is one of the four forms in which CIFAR-10 and CIFAR-100 are published (https://www.cs.toronto.edu/~kriz/cifar.html).
type cifarLayout struct {
	name        string
	train, test []string
	meta        string // file with the names of the classes
	folder      string // what the archive unpacks to
	head, class int    // binary: bytes before a picture, and which of them is its class; head 0: Python pickles
	labels      string // pickles: key of the classes of a batch
	labelNames  string // pickles: key of the names in meta
}

func cifarLayouts() []cifarLayout {
	batches := func(ending string) (names []string) {
		for i := range 5 {
			names = append(names, fmt.Sprintf("data_batch_%d%s", i+1, ending))
		}
		return names
	}
	return []cifarLayout{
		{name: "CIFAR-10, binary", train: batches(".bin"), test: []string{"test_batch.bin"}, meta: "batches.meta.txt", folder: "cifar-10-batches-bin", head: 1},
		{name: "CIFAR-10, Python", train: batches(""), test: []string{"test_batch"}, meta: "batches.meta", folder: "cifar-10-batches-py", labels: "labels", labelNames: "label_names"},
		{name: "CIFAR-100, binary", train: []string{"train.bin"}, test: []string{"test.bin"}, meta: "fine_label_names.txt", folder: "cifar-100-binary", head: 2, class: 1},
		{name: "CIFAR-100, Python", train: []string{"train"}, test: []string{"test"}, meta: "meta", folder: "cifar-100-python", labels: "fine_labels", labelNames: "fine_label_names"},
	}
}

// split lists the files of a part.
func (l cifarLayout) split(name string) []string {
	if name == "test" {
		return l.test
	}
	return l.train
}

// among reports whether the names of files are those of the layout: the class names and any batch. The batches of
// CIFAR-10 are known without class names, too.
func (l cifarLayout) among(has func(name string) bool) bool {
	return slices.ContainsFunc(slices.Concat(l.train, l.test), has) && (has(l.meta) || strings.HasPrefix(l.train[0], "data_batch"))
}

// findCIFAR returns the layout of the files in a folder, and the folder they are in: t or one of its folders.
func findCIFAR(t tree) (*cifarLayout, tree) {
	for _, l := range cifarLayouts() {
		for _, dir := range []string{".", l.folder} {
			if l.among(func(name string) bool {
				info, err := fs.Stat(t.FS, path.Join(dir, name))
				return err == nil && info.Mode().IsRegular()
			}) {
				if in, err := t.sub(dir); err == nil {
					return &l, in
				}
			}
		}
	}
	return nil, t
}

const (
	cifarSide   = 32
	cifarPixels = cifarSide * cifarSide
	cifarFile   = 1 << 28 // bytes from which on a file is none of CIFAR's: the largest has 184 MB
	cifarAll    = 1 << 30 // bytes from which on an archive is not, unpacked
)

// openCIFAR reads the files of a layout.
func openCIFAR(l *cifarLayout, read func(name string) ([]byte, error), o Options) (Dataset, error) {
	m := &memory{info: info{h: cifarSide, w: cifarSide, c: 3}}
	for _, name := range l.split(o.Split) {
		b, err := read(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		if l.head > 0 {
			err = m.cifarBinary(l, b)
		} else {
			err = m.cifarPickle(l, b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", l.name, name, err)
		}
	}
	if m.n = len(m.labels); m.n == 0 {
		return nil, errEmpty
	}
	b, err := read(l.meta)
	if err == nil {
		m.names, err = l.classes(b)
	} else if errors.Is(err, fs.ErrNotExist) {
		m.names, err = classNames("", slices.Max(m.labels)+1, cifarSide, cifarSide), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", l.name, l.meta, err)
	}
	if top := slices.Max(m.labels); top >= len(m.names) {
		return nil, fmt.Errorf("%s: a picture is of class %d, but %s names %d", l.name, top, l.meta, len(m.names))
	}
	return rescale(m, m.info, o)
}

// append adds a picture stored as three planes.
func (m *memory) append(planes []byte, label int) {
	for i := range cifarPixels {
		m.pix = append(m.pix, planes[i], planes[i+cifarPixels], planes[i+2*cifarPixels])
	}
	m.labels = append(m.labels, label)
}

func (m *memory) cifarBinary(l *cifarLayout, b []byte) error {
	record := l.head + 3*cifarPixels
	if len(b)%record != 0 {
		return fmt.Errorf("%d bytes are no multiple of %d", len(b), record)
	}
	m.pix = slices.Grow(m.pix, len(b))
	for ; len(b) > 0; b = b[record:] {
		m.append(b[l.head:record], int(b[l.class]))
	}
	return nil
}

func (m *memory) cifarPickle(l *cifarLayout, b []byte) error {
	d, err := unpickle(b)
	if err != nil {
		return err
	}
	t, ok := d.Get("data").(*checkpoint.Tensor)
	if !ok || len(t.Shape) != 2 || t.Shape[1] != 3*cifarPixels || t.DType != checkpoint.U8 {
		return fmt.Errorf("data is not an array of bytes, N×%d", 3*cifarPixels)
	}
	labels, ok := d.Get(l.labels).(*checkpoint.List)
	if !ok || len(labels.Items) != t.Shape[0] {
		return fmt.Errorf("%s is not a list of %d class numbers", l.labels, t.Shape[0])
	}
	pix, err := t.Uint8()
	if err != nil {
		return err
	}
	m.pix = slices.Grow(m.pix, len(pix))
	for i, v := range labels.Items {
		label, ok := v.(int64)
		if !ok || label < 0 || label >= maxLabels {
			return fmt.Errorf("%s: element %d is %v, not a class number", l.labels, i, v)
		}
		m.append(pix[3*cifarPixels*i:3*cifarPixels*(i+1)], int(label))
	}
	return nil
}

// unpickle reads a dictionary; nothing of it is executed.
func unpickle(b []byte) (*checkpoint.Dict, error) {
	p, err := checkpoint.ReadPickle(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	d, ok := p.Root.(*checkpoint.Dict)
	if !ok {
		return nil, errors.New("does not hold a dictionary")
	}
	return d, nil
}

// classes reads the names of the classes.
func (l cifarLayout) classes(b []byte) (names []string, err error) {
	if l.head > 0 {
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" {
				names = append(names, line)
			}
		}
		return names, nil
	}
	d, err := unpickle(b)
	if err != nil {
		return nil, err
	}
	list, ok := d.Get(l.labelNames).(*checkpoint.List)
	if !ok {
		return nil, fmt.Errorf("%s is not a list", l.labelNames)
	}
	for i, v := range list.Items {
		name, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("%s: element %d is no name", l.labelNames, i)
		}
		names = append(names, name)
	}
	return names, nil
}

// openTar reads an archive of CIFAR, gzipped or not.
func openTar(path string, o Options) (Dataset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err.(*os.PathError).Err
	}
	defer f.Close()
	files, err := untar(f)
	if err != nil {
		return nil, err
	}
	for _, l := range cifarLayouts() {
		if l.among(func(name string) bool { return files[name] != nil }) {
			return openCIFAR(&l, func(name string) ([]byte, error) {
				if b, ok := files[name]; ok {
					return b, nil
				}
				return nil, fmt.Errorf("no %s: %w", name, fs.ErrNotExist)
			}, o)
		}
	}
	return nil, errors.New("a tar archive that is none of CIFAR-10's and CIFAR-100's; unpack it, or pack its folder as zip")
}

// untar returns the files of an archive that may be CIFAR's, by the last part of their names.
func untar(r io.Reader) (map[string][]byte, error) {
	b := &bytes.Buffer{}
	var magic [2]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil {
		return nil, noEOF(err)
	}
	b.Write(magic[:])
	r = io.MultiReader(b, r)
	if magic == [2]byte{0x1f, 0x8b} {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = z
	}
	limited := &io.LimitedReader{R: r, N: cifarAll}
	wanted := map[string]bool{}
	for _, l := range cifarLayouts() {
		for _, name := range slices.Concat(l.train, l.test, []string{l.meta}) {
			wanted[name] = true
		}
	}
	files := map[string][]byte{}
	for t := tar.NewReader(limited); ; {
		h, err := t.Next()
		if err == io.EOF {
			return files, nil
		}
		if err == nil && limited.N == 0 {
			err = fmt.Errorf("unpacks to more than %d bytes", cifarAll)
		}
		if err != nil {
			return nil, fmt.Errorf("tar archive: %w", err)
		}
		name := path.Base(h.Name)
		if h.Typeflag != tar.TypeReg || !wanted[name] || h.Size > cifarFile {
			continue
		}
		if files[name], err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("tar archive: %s: %w", h.Name, noEOF(err))
		}
	}
}
