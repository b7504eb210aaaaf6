package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"diffuse/imageio"
)

// findIDX returns the images file of a split in a folder; "" if the folder holds no idx files at all.
func findIDX(dir, split string) (string, error) {
	prefix, other := "train", "t10k"
	if split == "test" {
		prefix, other = other, prefix
	}
	if path := firstFile(dir, imagesNames(prefix)); path != "" {
		return path, nil
	}
	if path := firstFile(dir, imagesNames(other)); path != "" {
		return "", fmt.Errorf("holds %s, but no %s-images-idx3-ubyte for the %s split", filepath.Base(path), prefix, split)
	}
	return "", nil
}

func imagesNames(prefix string) []string {
	a, b := prefix+"-images-idx3-ubyte", prefix+"-images.idx3-ubyte"
	return []string{a, a + ".gz", b, b + ".gz"}
}

func firstFile(dir string, names []string) string {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// labelsPath returns the labels file beside an images file, or "".
func labelsPath(images string) string {
	dir, name := filepath.Split(images)
	name = strings.TrimSuffix(name, ".gz")
	labels := strings.Replace(strings.Replace(name, "images", "labels", 1), "idx3", "idx1", 1)
	if labels == name {
		return ""
	}
	return firstFile(dir, []string{labels, labels + ".gz"})
}

// openIDX reads an images file and the labels beside it.
func openIDX(path string, o Options) (Dataset, error) {
	images, err := readIDX(path, []int{-1, -1, -1}, o.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	s := info{n: images.dims[0], h: images.dims[1], w: images.dims[2], c: 1}
	if s.n == 0 || s.h == 0 || s.w == 0 {
		return nil, fmt.Errorf("%s: %d pictures of %d×%d: %w", filepath.Base(path), s.n, s.h, s.w, errEmpty)
	}
	if s.h > 1<<16 || s.w > 1<<16 || s.h*s.w > pixelLimit(o) {
		return nil, fmt.Errorf("%s: pictures of %d×%d are larger than %d pixels", filepath.Base(path), s.h, s.w, pixelLimit(o))
	}
	if beside := labelsPath(path); beside != "" {
		if s.labels, s.names, err = readLabels(beside, path, s, o.MaxBytes); err != nil {
			return nil, err
		}
	} else {
		o.Warn(fmt.Sprintf("%s: no labels file beside it, so the set has no classes", path))
	}
	var d Dataset = &idxSet{s, images}
	if images.pix != nil {
		d = &memory{s, images.pix}
	}
	return rescale(d, s, o)
}

func pixelLimit(o Options) int {
	if o.MaxPixels > 0 {
		return o.MaxPixels
	}
	return imageio.DefaultPixels
}

func readLabels(path, images string, s info, limit int64) ([]int, []string, error) {
	x, err := readIDX(path, []int{s.n}, max(limit, int64(s.n)))
	if err != nil {
		return nil, nil, fmt.Errorf("%s, for the %d pictures of %s: %w", filepath.Base(path), s.n, filepath.Base(images), err)
	}
	labels := make([]int, len(x.pix))
	for i, v := range x.pix {
		labels[i] = int(v)
	}
	if abs, err := filepath.Abs(images); err == nil {
		images = abs
	}
	return labels, classNames(images, slices.Max(labels)+1, s.h, s.w), nil
}

// idxFile is an array of bytes, in memory or, past the limit, in its file.
type idxFile struct {
	dims  []int
	pix   []uint8
	file  io.ReaderAt
	start int64
}

// idxSet reads pictures from the file one by one.
type idxSet struct {
	info
	idxFile
}

func (x *idxSet) Get(i int, dst []uint8) (int, error) {
	label, err := x.check(i, dst)
	if err == nil {
		_, err = x.file.ReadAt(dst, x.start+int64(i)*int64(len(dst)))
	}
	return label, err
}

// readIDX reads an idx file of bytes with the wanted dimensions, -1 for any; up to limit bytes are kept in memory.
func readIDX(path string, want []int, limit int64) (idxFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return idxFile{}, err.(*os.PathError).Err
	}
	x, err := parseIDX(f, want, limit)
	if err != nil || x.pix != nil {
		f.Close()
	}
	return x, err
}

func parseIDX(f *os.File, want []int, limit int64) (idxFile, error) {
	info, err := f.Stat()
	if err != nil {
		return idxFile{}, err
	}
	var magic [2]byte
	if n, _ := f.ReadAt(magic[:], 0); n == 2 && magic == [2]byte{0x1f, 0x8b} {
		return gunzipIDX(f, want, limit)
	}
	x, size, err := idxHeader(io.NewSectionReader(f, 0, info.Size()), want)
	if err != nil {
		return x, err
	}
	if have := info.Size() - x.start; have != size {
		return x, x.wrongSize(size, fmt.Sprint(have))
	}
	if size > limit {
		x.file = f
		return x, nil
	}
	x.pix = make([]uint8, size)
	_, err = f.ReadAt(x.pix, x.start)
	if err == io.EOF && size == 0 {
		err = nil
	}
	return x, err
}

func (x idxFile) wrongSize(want int64, have string) error {
	return fmt.Errorf("header says %v, %d bytes, but %s follow it", x.dims, want, have)
}

// gunzipIDX unpacks as it reads, so that a header cannot make it allocate what is not there.
func gunzipIDX(r io.Reader, want []int, limit int64) (idxFile, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return idxFile{}, err
	}
	x, size, err := idxHeader(z, want)
	if err != nil {
		return x, err
	}
	if size > limit {
		return x, fmt.Errorf("unpacks to %d bytes, more than %d: unpack it first", size, limit)
	}
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(z, size+1))
	switch {
	case err != nil && n < size:
		return x, fmt.Errorf("after %d of %d bytes: %w", n, size, err)
	case err != nil:
		return x, err
	case n > size:
		return x, x.wrongSize(size, "more")
	case n < size:
		return x, x.wrongSize(size, fmt.Sprint(n))
	}
	x.pix = b.Bytes()
	if x.pix == nil {
		x.pix = []uint8{}
	}
	return x, nil
}

// idxHeader reads the magic number (two zeros, the type, the rank) and the dimensions, and returns how many bytes should follow.
func idxHeader(r io.Reader, want []int) (x idxFile, size int64, err error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return x, 0, fmt.Errorf("not an idx file: %w", noEOF(err))
	}
	if b[0] != 0 || b[1] != 0 || b[2] < 8 || b[2] > 14 {
		return x, 0, fmt.Errorf("not an idx file: starts with % x", b)
	}
	if b[2] != 8 {
		return x, 0, fmt.Errorf("idx file of type %#02x: only bytes (0x08) are read", b[2])
	}
	if int(b[3]) != len(want) {
		return x, 0, fmt.Errorf("idx file of %d dimensions, want %d", b[3], len(want))
	}
	total := uint64(1)
	for i := range want {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return x, 0, fmt.Errorf("idx header ends in dimension %d: %w", i, noEOF(err))
		}
		n := binary.BigEndian.Uint32(b[:])
		if want[i] >= 0 && int64(n) != int64(want[i]) {
			return x, 0, fmt.Errorf("idx header says %d, want %d", n, want[i])
		}
		x.dims = append(x.dims, int(n))
		hi, lo := bits.Mul64(total, uint64(n))
		if hi != 0 || lo > uint64(^uint(0)>>1) || int(n) < 0 {
			return x, 0, fmt.Errorf("idx header: dimensions %v overflow", x.dims)
		}
		total = lo
	}
	x.start = int64(4 + 4*len(want))
	return x, int64(total), nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
