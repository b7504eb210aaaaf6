package train_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"diffuse/train"
)

// TestLock lets a second process hold a folder, and kills it: the folder is refused with that process's number until then, and free at once after it.
func TestLock(t *testing.T) {
	if dir := os.Getenv("DIFFUSE_TEST_LOCK"); dir != "" {
		if _, err := train.Lock(dir); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		select {}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLock$")
	cmd.Env = append(os.Environ(), "DIFFUSE_TEST_LOCK="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	_, err = train.Lock(dir)
	var locked *train.Locked
	host, _ := os.Hostname()
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), "process "+strconv.Itoa(cmd.Process.Pid)+" on "+host) {
		t.Errorf("error %v, want a refusal that names process %d", err, cmd.Process.Pid)
	}
	if vacant, err := train.Vacant(dir); err != nil || !vacant {
		t.Errorf("a folder with nothing but a lock: vacant %v, %v", vacant, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	l, err := train.Lock(dir)
	if err != nil {
		t.Fatalf("after the other process was killed: %v", err)
	}
	if _, err := train.Lock(dir); !errors.As(err, &locked) {
		t.Errorf("a second lock of the same process: %v", err)
	}
	l.Unlock()
	l, err = train.Lock(dir)
	if err != nil {
		t.Fatalf("after Unlock: %v", err)
	}
	l.Unlock()
}

// TestRunsLock: a run holds its folder from Start or Resume to Close.
func TestRunsLock(t *testing.T) {
	dir := t.TempDir()
	l, err := train.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	var locked *train.Locked
	if _, err := train.Start(dir, job(t)); !errors.As(err, &locked) {
		t.Errorf("starting in a locked folder: %v", err)
	}
	l.Unlock()
	r, err := train.Start(dir, job(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := train.Resume(dir, job(t)); !errors.As(err, &locked) {
		t.Errorf("resuming a run that is at work: %v", err)
	}
	r.Close()
	if r, err = train.Resume(dir, job(t)); err != nil {
		t.Fatal(err)
	}
	r.Close()
}
