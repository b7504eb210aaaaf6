package checkpoint_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"diffuse/checkpoint"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAtomicFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	for _, s := range []string{"first", "second"} {
		if err := checkpoint.AtomicFile(path, text(s)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != s {
			t.Fatalf("holds %q, want %q", got, s)
		}
	}
	boom := errors.New("boom")
	err := checkpoint.AtomicFile(path, func(w io.Writer) error {
		w.Write(make([]byte, 1<<20))
		return boom
	})
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	func() {
		defer func() { recover() }()
		checkpoint.AtomicFile(path, func(w io.Writer) error { w.Write(make([]byte, 1<<20)); panic("oh") })
	}()
	if got := content(t, path); got != "second" {
		t.Errorf("after failed writes: %q", got)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
	err = checkpoint.AtomicFile(filepath.Join(dir, "none", "x"), text(""))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "folder "+filepath.Join(dir, "none")) {
		t.Errorf("in a folder that is not there: %v", err)
	}
	if err := checkpoint.AtomicFile(dir, text("")); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("onto a folder: %v", err)
	}
	long := filepath.Join(dir, strings.Repeat("n", 250))
	if err := checkpoint.AtomicFile(long, text("x")); err != nil {
		t.Errorf("a long name: %v", err)
	}
}

func TestAtomicFileUnix(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permissions, links and devices of Unix")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.AtomicFile(link, text("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 || content(t, path) != "new" {
		t.Errorf("the link was replaced instead of followed: %v, %v", info.Mode(), err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("permissions became %v, were 0640", info.Mode())
	}
	if err := checkpoint.AtomicFile(os.DevNull, text("gone")); err != nil {
		t.Errorf("to %s: %v", os.DevNull, err)
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		err := checkpoint.AtomicFile("/dev/full", text("x"))
		if !errors.Is(err, syscall.ENOSPC) || err.Error() != "writing /dev/full: no space left on device" {
			t.Errorf("to a full device: %v", err)
		}
	}
	if os.Geteuid() != 0 {
		os.Chmod(dir, 0o500)
		defer os.Chmod(dir, 0o700)
		err := checkpoint.AtomicFile(path, text("x"))
		if !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(err.Error(), "writing "+path) {
			t.Errorf("to a folder without permission: %v", err)
		}
	}
}
