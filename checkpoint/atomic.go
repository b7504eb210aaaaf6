package checkpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// AtomicFile makes path hold what write produces, or leaves it as it was: the bytes go to a new file in the same
// folder, which is flushed to the disk and takes path's name only when write has returned without an error. On an error or
// a panic the new file is removed. A symbolic link is followed; an existing file's permissions are kept; a path that
// exists and is no regular file (a pipe, /dev/stdout) is written to directly. Errors name path and match the cause
// with errors.Is (no space left, permission denied, …).
func AtomicFile(path string, write func(io.Writer) error) error {
	if err := atomicFile(path, write); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func atomicFile(path string, write func(io.Writer) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	mode := fs.FileMode(0)
	if info, err := os.Stat(path); err == nil {
		switch {
		case info.IsDir():
			return errors.New("is a folder")
		case !info.Mode().IsRegular():
			return writeThrough(path, write)
		}
		mode = info.Mode().Perm()
	}
	f, err := createBeside(path)
	if err != nil {
		return bare(err, path)
	}
	renamed := false
	defer func() {
		if !renamed { // also when write panics
			f.Close()
			os.Remove(f.Name())
		}
	}()
	err = buffered(f, write)
	if err == nil && mode != 0 {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return bare(err, f.Name())
	}
	renamed = true
	return syncFolder(filepath.Dir(path))
}

func buffered(f *os.File, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(f, 1<<18)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

func writeThrough(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return bare(err, path)
	}
	err = buffered(f, write)
	if e := f.Close(); err == nil {
		err = e
	}
	return bare(err, path)
}

// createBeside makes a hidden file in path's folder with the permissions that a plain create would give.
func createBeside(path string) (*os.File, error) {
	dir, base := filepath.Split(path)
	if len(base) > 200 {
		base = base[:200] // leaves room for the suffix under the usual limit of 255 bytes
	}
	for try := 0; ; try++ {
		name := fmt.Sprintf("%s.%s.%08x.tmp", dir, base, rand.Uint32())
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, fs.ErrExist) && try < 100:
			continue
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("folder %s: %w", filepath.Dir(path), bare(err, name))
		}
		return nil, bare(err, name)
	}
}

// bare drops the operation and file name that the os package puts before an error if that name is name, which the
// caller states better.
func bare(err error, name string) error {
	var p *fs.PathError
	if errors.As(err, &p) && p.Path == name {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) && l.Old == name {
		return l.Err
	}
	return err
}
