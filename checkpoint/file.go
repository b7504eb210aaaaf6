// Package checkpoint reads and writes files of named arrays: safetensors, the format of model weights, and npz,
// numpy's archive, the format of sample sets and statistics. It reads, and never executes, Python pickles and PyTorch's files.
//
// A [File] is a set of named [Tensor] values and a map of string metadata. [Open] maps a safetensors file into memory
// (on Unix; elsewhere it reads it) and checks its header in full before it trusts any number in it: the header's length
// against the file and a cap of 100 MB, every shape times its element size against the tensor's byte range, the ranges
// against each other and the file, so that they neither overlap nor leave holes, no name given twice. Nothing is
// executed, and nothing is allocated for a tensor until [Tensor.Float32] or one of its siblings decodes it.
//
// [OpenPickle] reads the objects of a pickle or PyTorch file with a machine of its own that knows the few classes that weights need and refuses
// all others by name; [OpenWeights] takes any of these formats, by content, for what its tensors are.
//
// To write, gather tensors made by [Float32], [Float64], [Int64] or [Uint8] (or taken from another file) in a File and
// call [WriteFile]. The bytes depend only on the content: tensors are ordered by the width of their type, then by name, and
// metadata by key. [Tensor.As] converts weights to the 16-bit types on the way.
//
// Every file appears under its name complete or not at all: it is written next to it under another name, flushed to the disk and
// renamed. [AtomicFile] offers the same for other formats.
//
// The safetensors format is described at https://github.com/huggingface/safetensors, npy and npz in numpy's
// documentation of numpy.lib.format.
package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A File is the content of a safetensors or npz file.
type File struct {
	Meta    map[string]string  // the file's "__metadata__", never nil after reading
	Tensors map[string]*Tensor // by name
	Names   []string           // the keys of Tensors in the order of the file's data; filled on reading, ignored on writing
	src     *source
}

// Open reads the header of the safetensors file at path and maps the rest. The file must be closed after the last use of
// its tensors. A file that is not well-formed is refused, with an error that names path and what is wrong.
func Open(path string) (*File, error) {
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, bare(err, path))
	}
	return f, nil
}

func open(path string) (*File, error) {
	src, size, err := openSource(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(src, size)
	if err != nil {
		src.close()
		return nil, err
	}
	return f, nil
}

// openSource opens a regular file, mapped or in memory.
func openSource(path string) (*source, int64, error) {
	r, size, err := openRegular(path)
	if err != nil {
		return nil, 0, err
	}
	src, err := mapFile(r, size)
	if err != nil {
		r.Close()
	}
	return src, size, err
}

// openRegular opens a file whose size is known.
func openRegular(path string) (*os.File, int64, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := r.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder")
	} else if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("not a regular file (%s)", info.Mode().Type())
	}
	if err != nil {
		r.Close()
		return nil, 0, err
	}
	return r, info.Size(), nil
}

// Read reads the header of a safetensors file of size bytes; tensors are read from r when they are decoded. Closing the File
// does not close r.
func Read(r io.ReaderAt, size int64) (*File, error) {
	return parse(&source{reader: r}, size)
}

// OpenBytes reads a safetensors file that is in memory, such as an embedded one. b is kept, not copied, and must not change.
func OpenBytes(b []byte) (*File, error) {
	return parse(&source{bytes: b}, int64(len(b)))
}

// Close releases the file; its tensors can no longer be decoded. Slices that were decoded before stay valid.
func (f *File) Close() error {
	if f.src == nil {
		return nil
	}
	return f.src.close()
}

// Tensor returns the tensor of that name, or an error that names it.
func (f *File) Tensor(name string) (*Tensor, error) {
	if t := f.Tensors[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("no tensor %q in the file, which holds %s", name, list(f.Names))
}

// list shows a few names for an error.
func list(names []string) string {
	const most = 6
	switch n := len(names); {
	case n == 0:
		return "none"
	case n > most:
		return fmt.Sprintf("%q and %d more", names[:most], n-most)
	}
	return fmt.Sprintf("%q", names)
}
