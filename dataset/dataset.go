// Package dataset reads sets of pictures of one size, with or without class labels, for training and for reference statistics.
//
// [Open] takes a folder of pictures whose sub-folders are the classes, on disk or in a zip archive, also in EDM's layout (dataset.json) or
// Hugging Face's (metadata.jsonl, parquet files); CIFAR as it is published; idx files (the format of MNIST and Fashion-MNIST,
// https://yann.lecun.com/exdb/mnist, gzipped or not); and npz archives. The result is a [Dataset]: pictures by index as
// height × width × channels of bytes, and a label each. Up to [Options].MaxBytes of pictures are decoded at once, on all processors,
// and kept; larger sets are decoded picture by picture when asked for, or ahead of that, once [Prefetch] has said which come next. Either
// way the order is fixed: that of the file, or sorted by path. [Measure] counts and averages a set, [Pack] writes one in EDM's layout.
//
// Nothing in a file is believed before it is checked: counts against sizes, labels against images, pictures against each other. An error names
// the file and both numbers. Pictures are refused by the size in their headers, before anything of that size is allocated; names inside archives
// are never used as paths; pickles are read and not executed. [Options].SkipBad leaves pictures that cannot be decoded out, and says so.
//
// [Permutation] is the order in which an epoch visits a set; it depends on its arguments and on nothing else.
package dataset

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"diffuse/imageio"
)

// A Dataset is a sequence of pictures of one size. Its methods may be called by several goroutines at once.
type Dataset interface {
	Len() int                                      // how many pictures
	Size() (h, w, c int)                           // of each picture; c is 1 (grey) or 3 (RGB)
	Labels() int                                   // how many classes; 0 = unlabelled
	ClassNames() []string                          // one for each class; nil if unlabelled. The caller must not change it
	Get(i int, dst []uint8) (label int, err error) // fills dst, h×w×c bytes, with picture i; the label is -1 if unlabelled
}

// Options says how Open reads a set. The zero value is DefaultOptions.
type Options struct {
	Split         string                       // of sets in parts: "train" (or "", the default) or "test"
	Height, Width int                          // bring pictures to this size by Transform; 0 and 0: all pictures must agree; one 0: square
	Transform     imageio.Transform            // how; "": imageio.CentreCrop
	Background    *[3]uint8                    // colour behind pictures with opacity and around padded ones; nil: white
	Grey          bool                         // convert to grey; otherwise a set is grey only if every picture is
	SkipBad       bool                         // leave out pictures that cannot be decoded, or are larger than MaxPixels, instead of failing
	Warn          func(string)                 // told what was skipped, a line at a time, from the goroutine that called Open; may be nil
	Skipped       func(name string, err error) // told of each picture that SkipBad leaves out; nil: Warn is
	Progress      func(done, total int)        // told how many pictures are read, or files of a table, from the goroutine that called Open; may be nil
	MaxBytes      int64                        // keep up to this many bytes of decoded pictures in memory; 0: DefaultMaxBytes
	MaxPixels     int                          // refuse larger pictures; 0: imageio.DefaultPixels
}

// DefaultMaxBytes is how much of a set is kept decoded in memory: 1 GiB, 5461 pictures of 256×256 or all of CIFAR-10 and MNIST.
const DefaultMaxBytes = 1 << 30

// DefaultOptions returns the options of a training set as it is.
func DefaultOptions() Options { return Options{Split: "train", MaxBytes: DefaultMaxBytes} }

func (o *Options) complete() error {
	switch o.Split {
	case "":
		o.Split = "train"
	case "train", "test":
	default:
		return fmt.Errorf("split %q is unknown: train or test", o.Split)
	}
	const widest = 1 << 16
	if o.Height < 0 || o.Width < 0 || o.Height > widest || o.Width > widest {
		return fmt.Errorf("pictures of %d×%d (height×width) are out of range: at most %d pixels a side", o.Height, o.Width, widest)
	}
	if o.MaxBytes < 0 || o.MaxPixels < 0 {
		return fmt.Errorf("limits of %d bytes and %d pixels a picture are out of range", o.MaxBytes, o.MaxPixels)
	}
	if o.Height == 0 {
		o.Height = o.Width
	}
	if o.Width == 0 {
		o.Width = o.Height
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Transform == "" {
		o.Transform = imageio.CentreCrop
	}
	if !slices.Contains(imageio.Transforms(), o.Transform) {
		return fmt.Errorf("transform %q is unknown: %v", o.Transform, imageio.Transforms())
	}
	if o.Background == nil {
		o.Background = &[3]uint8{255, 255, 255}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if warn := o.Warn; o.Skipped == nil {
		o.Skipped = func(_ string, err error) { warn("skipping " + err.Error()) }
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	return nil
}

// Open reads the set at path, which may be (told apart by content, not by name)
//
//   - a folder with train-images-idx3-ubyte or t10k-images-idx3-ubyte (with .gz or not) and the labels that go with it, or one such
//     images file, with its labels if they lie beside it;
//   - the files of CIFAR-10 or CIFAR-100, binary or pickled for Python, in a folder or in the tar archive they are published as;
//   - parquet files with a column of pictures as Hugging Face stores them (groups of bytes and path) and perhaps a column of labels;
//   - an npz archive of pictures (arr_0) and perhaps labels (arr_1);
//   - a folder of pictures, also in a zip archive. The first folder below path is the class, deeper ones do not matter, and pictures without
//     sub-folders are unlabelled. A dataset.json as EDM's dataset_tool writes it overrules that, and so do the labels of a metadata.jsonl as
//     Hugging Face's imagefolder has it. Names that start with a dot and files that are no pictures by their ending are passed over.
//
// A set that is not kept in memory and lies in an archive, or in tables of more than MaxBytes, holds a file open, which the garbage collector closes with it.
//
// Sets in train and test parts keep these in files or folders of those names; Options.Split chooses.
func Open(path string, o Options) (Dataset, error) {
	d, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("opening data set %s: %w", path, err)
	}
	return d, nil
}

func open(path string, o Options) (Dataset, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err.(*os.PathError).Err
	}
	if !info.IsDir() {
		return openFile(path, o)
	}
	images, err := findIDX(path, o.Split)
	if err != nil {
		return nil, err
	}
	if images != "" {
		return openIDX(images, o)
	}
	shards, err := onDisk(path).list([]string{".parquet"})
	if err != nil {
		return nil, err
	}
	shards = slices.DeleteFunc(shards, func(name string) bool { return strings.HasSuffix(name, "metadata.parquet") }) // of pictures beside it
	if len(shards) == 0 {
		return openTree(onDisk(path), o)
	}
	if shards, err = partOf(shards, o.Split); err != nil {
		return nil, err
	}
	return openParquet(path, shards, o)
}

// openFile tells the kinds of files apart by their first bytes.
func openFile(path string, o Options) (Dataset, error) {
	head, err := firstBytes(path)
	if err != nil {
		return nil, err
	}
	if isTar(head) {
		return openTar(path, o)
	}
	arrays := false
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		if arrays, err = holdsArrays(path); err != nil {
			return nil, err
		}
		if !arrays {
			return openZip(path, o)
		}
	}
	if err := noParts(o.Split); err != nil {
		return nil, err
	}
	switch {
	case arrays:
		return openNPZ(path, o)
	case bytes.HasPrefix(head, []byte("PAR1")):
		return openParquet(path, []string{""}, o)
	case !bytes.HasPrefix(head, []byte{0, 0}): // as all idx files begin
		return nil, errors.New("neither a zip archive nor a parquet, idx or npz file, nor CIFAR's archive; of pictures, name the folder")
	}
	return openIDX(path, o)
}

// tarBlock is the size of a tar archive's first header, which says so at byte 257.
const tarBlock = 512

func isTar(head []byte) bool { return len(head) == tarBlock && string(head[257:262]) == "ustar" }

// firstBytes returns the start of a file, unpacked if it is gzipped.
func firstBytes(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err.(*os.PathError).Err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if magic, _ := r.(*bufio.Reader).Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, err
		}
	}
	head := make([]byte, tarBlock)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	return head[:n], nil
}

// holdsArrays reports whether a zip archive is one of numpy's.
func holdsArrays(path string) (bool, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return false, err
	}
	defer z.Close()
	return slices.ContainsFunc(z.File, func(f *zip.File) bool { return strings.HasSuffix(f.Name, ".npy") }), nil
}

// Permutation returns the numbers 0 to n-1 in the order in which an epoch visits a set. It depends on the arguments only and is
// the same on every machine and in every version: math/rand/v2's PCG-DXSM with the state (seed, epoch), its first four outputs thrown away, drives
// a Fisher-Yates shuffle that for i = n-1 … 1 swaps element i with element j = ⌊u·(i+1)/2⁶⁴⌋, u being the next 64-bit output.
func Permutation(seed uint64, epoch int, n int) []int {
	pcg := rand.NewPCG(seed, uint64(epoch))
	for range 4 { // lets neighbouring seeds drift apart
		pcg.Uint64()
	}
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j, _ := bits.Mul64(pcg.Uint64(), uint64(i)+1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// classNames names n classes: Fashion-MNIST's articles if the set looks like it, numbers otherwise.
func classNames(path string, n, h, w int) []string {
	if n == 10 && h == 28 && w == 28 && strings.Contains(strings.ToLower(path), "fashion") {
		return []string{"t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"}
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	return names
}

var errEmpty = errors.New("holds no pictures")
