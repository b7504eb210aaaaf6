package distill_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"diffuse/distill"
	"diffuse/train"
)

// killedJob is a run with all that a distillation has: a warm-up, a critic, measurements, a collapse, rates that fall.
func killedJob(t *testing.T) distill.Job {
	o := options()
	j := job(t, o, func(images int64) float64 {
		if images == 112 {
			return 9
		}
		return 1 / float64(images)
	})
	o.Duration, o.LRDecay, o.WarmImages, o.WarmSteps = 160, train.DecayLinear, 32, 3
	o.Adversarial, o.AdversarialHold, o.AdversarialStart = true, 48, 64
	j.Options, j.Networks.Data = o, realPictures{}
	return j
}

// TestKill lets other processes distil, kills each at some moment after its first step (SIGKILL where there is one), finishes the run here, and finds the
// bytes of a run that nobody killed.
func TestKill(t *testing.T) {
	if dir := os.Getenv("DIFFUSE_TEST_RUN"); dir != "" {
		j := killedJob(t)
		stepped := false
		j.Progress = func(train.Progress) {
			if !stepped {
				fmt.Println("stepped")
			}
			stepped = true
			time.Sleep(5 * time.Millisecond)
		}
		begin := distill.Start
		if _, err := os.Stat(filepath.Join(dir, "options.json")); err == nil {
			begin = distill.Resume
		}
		r, err := begin(dir, j)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := filepath.Join(t.TempDir(), "run")
	if err := finish(t, distill.Start, want, killedJob(t), 0); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	r := rand.New(rand.NewPCG(1, 10))
	for range 10 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$", "-test.v")
		cmd.Env = append(os.Environ(), "DIFFUSE_TEST_RUN="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		stuck := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "stepped"; {
		}
		time.Sleep(time.Duration(r.IntN(80)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		if !stuck.Stop() {
			t.Fatal("a process made no step in a minute")
		}
	}
	if log := read(t, dir, "log.txt"); !bytes.Contains(log, []byte("resumed:")) {
		t.Errorf("no process resumed the run:\n%s", log)
	}
	if log := read(t, want, "log.txt"); !bytes.Contains(log, []byte("collapsed:")) {
		t.Errorf("the run did not collapse on its way:\n%s", log)
	}
	if err := finish(t, distill.Resume, dir, killedJob(t), 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"checkpoint.safetensors", "best-state.safetensors", "metrics.jsonl", "options.json"} {
		if !bytes.Equal(read(t, dir, name), read(t, want, name)) {
			t.Errorf("%s differs from that of a run that was not killed", name)
		}
	}
}
