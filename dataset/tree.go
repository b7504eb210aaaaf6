package dataset

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A tree is a folder of files, on disk or in a zip archive.
type tree struct {
	fs.FS
	place string // of its root, for messages
}

// disk is a folder of the file system; unlike os.DirFS it takes names in any encoding, and its errors hold the whole path.
type disk string

func (d disk) at(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

func (d disk) Open(name string) (fs.File, error)          { return os.Open(d.at(name)) }
func (d disk) Stat(name string) (fs.FileInfo, error)      { return os.Stat(d.at(name)) }
func (d disk) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(d.at(name)) }

func onDisk(root string) tree { return tree{disk(root), root} }

// path is where a file is, for messages.
func (t tree) path(name string) string { return filepath.Join(t.place, filepath.FromSlash(name)) }

// sub is the tree in one of t's folders.
func (t tree) sub(dir string) (tree, error) {
	if d, ok := t.FS.(disk); ok {
		return onDisk(d.at(dir)), nil
	}
	inner, err := fs.Sub(t.FS, dir)
	return tree{inner, t.path(dir)}, err
}

// maxEncoded is the size from which on a picture's file is refused: a picture of imageio.DefaultPixels pixels and 16 bits
// is half of it uncompressed, and an entry of an archive may claim anything.
const maxEncoded = 1 << 30

// open opens a picture's file; errors name it.
func (t tree) open(name string) (io.ReadCloser, error) {
	r, err := t.FS.Open(name)
	if err != nil {
		return nil, t.named(err, name)
	}
	info, err := r.Stat()
	if err != nil {
		r.Close()
		return nil, t.named(err, name)
	}
	if info.Size() > maxEncoded {
		r.Close()
		return nil, fmt.Errorf("%s: %d bytes are too many for a picture", t.path(name), info.Size())
	}
	return r, nil
}

// named puts the place of a file before an error that does not know it.
func (t tree) named(err error, name string) error {
	var p *fs.PathError
	if _, ok := t.FS.(disk); ok && errors.As(err, &p) {
		return err
	}
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", t.path(name), err)
}

// readFile returns the content of a file of at most limit bytes.
func (t tree) readFile(name string, limit int64) ([]byte, error) {
	r, err := t.FS.Open(name)
	if err != nil {
		return nil, t.named(err, name)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, t.named(err, name)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", t.path(name), limit)
	}
	return b, nil
}

// hidden says which names do not belong to a set.
func hidden(name string) bool { return strings.HasPrefix(name, ".") || name == "__MACOSX" }

// maxDepth stops at folders that link to themselves.
const maxDepth = 16

// list returns the files below the root that end in one of extensions, sorted, links followed.
func (t tree) list(extensions []string) ([]string, error) {
	names, err := t.below(".", extensions, nil, 0)
	slices.Sort(names)
	return names, err
}

func (t tree) below(dir string, extensions, names []string, depth int) ([]string, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("folders are nested more than %d deep at %s", maxDepth, dir)
	}
	entries, err := fs.ReadDir(t.FS, dir)
	if err != nil {
		return nil, t.named(err, dir)
	}
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		name := path.Join(dir, e.Name())
		mode := e.Type()
		if mode&fs.ModeSymlink != 0 {
			mode = 0 // of a link that leads nowhere: if it is called like a picture, reading it gives the error
			info, err := fs.Stat(t.FS, name)
			if err == nil {
				mode = info.Mode()
			} else if path.Ext(name) == "" {
				return nil, t.named(err, name) // it may have been a class
			}
		}
		switch {
		case mode.IsDir():
			if names, err = t.below(name, extensions, names, depth+1); err != nil {
				return nil, err
			}
		case mode.IsRegular() && slices.Contains(extensions, strings.ToLower(path.Ext(name))):
			names = append(names, name)
		}
	}
	return names, nil
}

// splitNames are the folders that are parts of a set, not classes.
var splitNames = []string{"train", "test", "val", "valid", "validation"}

// part descends into train/ or test/ where the tree's folders are parts, not classes.
func (t tree) part(split string) (tree, error) {
	entries, err := fs.ReadDir(t.FS, ".")
	if err != nil {
		return t, t.named(err, ".")
	}
	var parts []string
	for _, e := range entries {
		if !e.IsDir() || hidden(e.Name()) {
			continue
		}
		if !slices.Contains(splitNames, e.Name()) {
			parts = nil
			break
		}
		parts = append(parts, e.Name())
	}
	if len(parts) == 0 {
		return t, noParts(split)
	}
	if !slices.Contains(parts, split) {
		return t, fmt.Errorf("holds the splits %s, but no %s", strings.Join(parts, ", "), split)
	}
	return t.sub(split)
}

// noParts is the error for a part of a set that has none; "train" is what everybody asks for who knows of no parts.
func noParts(split string) error {
	if split == "test" {
		return errors.New("holds no parts train and test")
	}
	return nil
}

// openZip reads a folder in a zip archive.
func openZip(path string, o Options) (Dataset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err.(*os.PathError).Err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		f.Close()
		return nil, err
	}
	t, err := tree{z, path}.inner()
	if err != nil {
		f.Close()
		return nil, err
	}
	d, err := openTree(t, o)
	if _, ok := d.(*memory); ok || err != nil {
		f.Close()
	}
	return d, err
}

// inner descends while all that a tree holds is one folder that has folders or descriptions itself: archives often start with
// the name of the set.
func (t tree) inner() (tree, error) {
	for range maxDepth {
		top, err := fs.ReadDir(t.FS, ".")
		if err != nil {
			return t, t.named(err, ".")
		}
		top = slices.DeleteFunc(top, func(e fs.DirEntry) bool { return hidden(e.Name()) })
		if len(top) != 1 || !top[0].IsDir() || slices.Contains(splitNames, top[0].Name()) {
			return t, nil
		}
		below, err := fs.ReadDir(t.FS, top[0].Name())
		if err != nil {
			return t, t.named(err, top[0].Name())
		}
		if !slices.ContainsFunc(below, func(e fs.DirEntry) bool { return e.IsDir() || e.Name() == edmLabels || e.Name() == hubLabels }) {
			return t, nil
		}
		if t, err = t.sub(top[0].Name()); err != nil {
			return t, err
		}
	}
	return t, nil
}
