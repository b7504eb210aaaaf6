//go:build unix

package train_test

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"diffuse/train"
)

// TestDiskFull lets no file grow beyond two kilobytes from the tenth step on, as on a full disk: the next checkpoint fails, the error says which one is
// left, and that one is whole: the run goes on from it to the same bytes. It does so in a process of its own, since the testing package writes files, too.
func TestDiskFull(t *testing.T) {
	const alone = "DIFFUSE_TEST_DISK_FULL"
	if os.Getenv(alone) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestDiskFull$")
		c.Env = append(os.Environ(), alone+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
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
			full := whole
			full.Cur = 2048
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
