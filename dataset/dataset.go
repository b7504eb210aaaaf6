// Package dataset reads sets of pictures of one size, with or without class labels, for training and for reference statistics.
//
// [Open] takes a folder of idx files (the format of MNIST and Fashion-MNIST, https://yann.lecun.com/exdb/mnist, gzipped or not), one such
// file, or a folder of pictures whose sub-folders are the classes. The result is a [Dataset]: pictures by index as
// height × width × channels of bytes, and a label each. Up to [Options].MaxBytes of pictures are decoded at once, on all processors,
// and kept; larger sets are decoded picture by picture when asked for. Either way the order is fixed: that of the idx
// file, or sorted by path.
//
// Nothing in a file is believed before it is checked: counts against sizes, labels against images, pictures against each other. An error names
// the file and both numbers. [Options].SkipBad leaves pictures that cannot be decoded out, and says so.
//
// [Permutation] is the order in which an epoch visits a set; it depends on its arguments and on nothing else.
package dataset

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"strings"
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
	Split         string       // of idx folders, and of folders that hold train/ and test/: "train" (or "", the default) or "test"
	Height, Width int          // scale to cover this size and cut the centre; 0 and 0: all pictures must agree; one 0: square
	Grey          bool         // convert to grey; otherwise a set is grey only if every picture is
	SkipBad       bool         // leave out pictures that cannot be decoded, or are larger than MaxPixels, instead of failing
	Warn          func(string) // told what was skipped, a line at a time, from the goroutine that called Open; may be nil
	MaxBytes      int64        // keep up to this many bytes of decoded pictures in memory; 0: DefaultMaxBytes
	MaxPixels     int          // refuse larger pictures; 0: imageio.DefaultPixels
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
	if o.Height < 0 || o.Width < 0 || o.MaxBytes < 0 || o.MaxPixels < 0 || o.Height > 1<<16 || o.Width > 1<<16 {
		return fmt.Errorf("size %d×%d, %d bytes, %d pixels are out of range", o.Height, o.Width, o.MaxBytes, o.MaxPixels)
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
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return nil
}

// Open reads the set at path: a folder that holds train-images-idx3-ubyte or t10k-images-idx3-ubyte (with .gz or not) and the labels that
// go with it; one such images file, with its labels if they lie beside it; an npz archive of pictures (arr_0) and perhaps labels (arr_1); or a
// folder of pictures. In the latter the first folder
// below path is the class, deeper ones do not matter, and pictures without sub-folders are unlabelled; a dataset.json as EDM's dataset_tool
// writes it overrules that. Names that start with a dot and files that are no pictures by their ending are passed over.
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
		if isNPZ(path) {
			return openNPZ(path, o)
		}
		return openIDX(path, o)
	}
	images, err := findIDX(path, o.Split)
	if err != nil {
		return nil, err
	}
	if images != "" {
		return openIDX(images, o)
	}
	return openFolder(path, o)
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

// ErrSizes is wrapped by Open's error for pictures of different sizes; Options.Height and Width make them agree.
var ErrSizes = errors.New("pictures differ in size")

// ErrUnreadable matches, by errors.Is, the errors of Open and Get for a picture file that cannot be decoded; Options.SkipBad leaves
// such files out.
var ErrUnreadable = errors.New("unreadable picture")

// unreadable makes an error match ErrUnreadable without a change of its words.
type unreadable struct{ error }

func (e unreadable) Unwrap() error        { return e.error }
func (e unreadable) Is(target error) bool { return target == ErrUnreadable }
