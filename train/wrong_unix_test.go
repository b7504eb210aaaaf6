//go:build unix

package train_test

import (
	"errors"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"diffuse/train"
)

// TestDiskFull lets no file grow to the size of a checkpoint from the tenth step on, as on a full disk: the next checkpoint fails, the error says which one is
// left, and that one is whole: the run goes on from it to the same bytes.
func TestDiskFull(t *testing.T) {
	var whole syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &whole); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ) // a write beyond the limit is then an error
	defer signal.Reset(syscall.SIGXFSZ)
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &whole)
	dir := filepath.Join(t.TempDir(), "run")
	j := job(t)
	j.Progress = func(p train.Progress) {
		if p.Images == 80 {
			full, last := whole, int64(len(read(t, dir, "checkpoint.safetensors")))
			if last < 1<<17 { // what the testing package writes meanwhile must pass
				t.Errorf("a checkpoint of %d bytes is too small for this test", last)
			}
			full.Cur = uint64(last) - 1
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
				t.Error(err)
			}
		}
	}
	err := train1(t.Context(), dir, j, train.Start)
	syscall.Setrlimit(syscall.RLIMIT_FSIZE, &whole)
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "checkpoint.safetensors: file too large") || !strings.Contains(err.Error(), "from 56 images") {
		t.Fatalf("error %v, want one that names the file, the cause and the checkpoint from 56 images", err)
	}
	if err := train1(t.Context(), dir, job(t), train.Resume); err != nil {
		t.Fatal(err)
	}
	sameRun(t, dir, reference(t))
}
