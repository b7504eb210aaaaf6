package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lockFile is the file in a run folder that the process at work there holds locked. It stays when the process ends: whether the folder
// is taken is the lock, which the system drops with the process however that ends, and not the file.
const lockFile = "run.lock"

// A FolderLock keeps other processes out of a run folder, see [Lock].
type FolderLock struct {
	file *flock.Flock // nil where the file system knows no locks
	path string
}

// Locked is the error of [Lock] when another process, or another run of this one, works in the folder.
type Locked struct {
	Dir   string
	Owner string // what the other one left in the file, such as "process 4711 on host since 2026-11-24 22:40:00 UTC"; may be empty
}

func (e *Locked) Error() string {
	owner := e.Owner
	if owner == "" {
		owner = "another process"
	}
	return fmt.Sprintf("%s is being worked in by %s; wait for it or stop it (the lock goes with it), or use another folder", e.Dir, owner)
}

// Lock takes folder dir, which must exist, for this process until Unlock or until the process ends, be it by a kill. If it is taken
// the error is a *[Locked]. A file system without locks, as some of clusters are, keeps nobody out. Start and Resume take the
// lock themselves; it is here for other loops that write run folders.
func Lock(dir string) (*FolderLock, error) {
	l := &FolderLock{path: filepath.Join(dir, lockFile)}
	f := flock.New(l.path, flock.SetPermissions(0o666))
	ok, err := f.TryLock()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		f.Close()
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("locking the folder %s: %w", dir, err)
	case !ok:
		f.Close()
		return nil, &Locked{Dir: dir, Owner: l.owner()}
	}
	l.file = f
	l.sign()
	return l, nil
}

// Unlock lets others in again.
func (l *FolderLock) Unlock() {
	if l.file != nil {
		l.file.Close()
	}
}

// sign writes down who holds the lock. It leaves out the first byte, which Windows lets nobody else read while it is locked.
// A failure is no harm: then the other one is refused without a name.
func (l *FolderLock) sign() {
	f, err := os.OpenFile(l.path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	text := fmt.Sprintf("process %d on %s since %s\n", os.Getpid(), host, time.Now().UTC().Format("2006-01-02 15:04:05 UTC"))
	n, err := f.WriteAt([]byte(text), 1)
	if err == nil {
		f.Truncate(int64(1 + n))
	}
}

// owner reads what sign wrote.
func (l *FolderLock) owner() string {
	f, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var b [256]byte
	n, _ := f.ReadAt(b[:], 1) // always ends early
	line, _, _ := strings.Cut(string(b[:n]), "\n")
	return line
}

// Vacant reports whether folder dir does not exist or holds nothing but a lock file: whether a run may be started in it.
func Vacant(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	for _, e := range entries {
		if e.Name() != lockFile {
			return false, err
		}
	}
	return err == nil, err
}
