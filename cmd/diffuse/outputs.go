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
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return fmt.Errorf("--%s: %s is a folder", flag, path)
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil // a pipe or device is written to as it is
	}
	dir := filepath.Dir(path)
	info, err = os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return withHint(fmt.Errorf("--%s: folder %s does not exist", flag, dir), "make it first: mkdir -p %s", dir)
	}
	if err != nil {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--%s: %s is not a folder", flag, dir)
	}
	if err := tryFolder(dir); err != nil {
		return fmt.Errorf("--%s: cannot write in %s: %w", flag, dir, err)
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
	if err := os.MkdirAll(path, 0o777); err != nil {
		return fmt.Errorf("--%s: cannot make the folder %s: %w", flag, path, cause(err))
	}
	if err := tryFolder(path); err != nil {
		return fmt.Errorf("--%s: cannot write in %s: %w", flag, path, err)
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
