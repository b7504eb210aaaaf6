package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checkOutput reports why a file cannot be written at path, before any work is done for it: its folder must exist and take new
// files, and path must not be a folder. An existing file is fine: naming it is asking for it to be replaced.
func checkOutput(flag, path string) error {
	what := outputName(flag)
	if err := noStream(what, path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return fmt.Errorf("%s: %s is a folder", what, path)
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil // a pipe or device is written to as it is
	}
	dir := filepath.Dir(path)
	info, err = os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("%s: folder %s does not exist", what, dir), "make it first: mkdir -p %s", dir)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s: %s is not a folder", what, dir)
	}
	if err := tryFolder(dir); err != nil {
		return fmt.Errorf("%s: cannot write in %s: %w", what, dir, err)
	}
	return nil
}

// outputName is how messages call an output: a flag, or, in capitals, a plain argument.
func outputName(flag string) string {
	if flag == strings.ToUpper(flag) {
		return flag
	}
	return "--" + flag
}

// noStream refuses "-", which elsewhere is standard output: here it would be a file of that name, which nobody means.
func noStream(what, path string) error {
	if path == "-" {
		return withHint(usagef("%s: results are written to files, not to standard output", what), "name a file; ./- is one called so")
	}
	return nil
}

// tryFolder writes and removes a file in dir.
func tryFolder(dir string) error {
	f, err := os.CreateTemp(dir, ".diffuse-*")
	if err != nil {
		return cause(err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// makeFolder makes the folder at path ready for files.
func makeFolder(flag, path string) error {
	what := outputName(flag)
	if err := noStream(what, path); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return fmt.Errorf("%s: cannot make the folder %s: %w", what, path, cause(err))
	}
	if err := tryFolder(path); err != nil {
		return fmt.Errorf("%s: cannot write in %s: %w", what, path, err)
	}
	return nil
}

// cause strips the operation and the name of a temporary file from a file system error.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// distinct refuses outputs that name the same file as another output or as an input, which would be lost. Each file is a pair of what
// it is and its path; those without a path do not count. Inputs may be the same.
func distinct(inputs [][2]string, outputs ...[2]string) error {
	seen := map[string]string{}
	for i, f := range slices.Concat(inputs, outputs) {
		if f[1] == "" {
			continue
		}
		path, err := filepath.Abs(f[1])
		if err != nil {
			return err
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		if other, ok := seen[path]; ok && i >= len(inputs) {
			return usagef("%s and %s name the same file %s", other, f[0], f[1])
		}
		seen[path] = f[0]
	}
	return nil
}

// checkPNG refuses names that promise another format.
func checkPNG(flag, path string) error {
	if !strings.EqualFold(filepath.Ext(path), ".png") {
		return withHint(usagef("--%s: %s does not end in .png", flag, path), "pictures are written as PNG only")
	}
	return nil
}
