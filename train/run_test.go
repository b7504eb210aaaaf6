package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"diffuse/train"
)

// job is a run of a tiny network with dropout, 20 steps in three ticks; a batch is cut into three uneven parts.
func job(t testing.TB) train.Job {
	c := tiny(t).Config
	c.Dropout = 0.1
	n := build(t, c)
	o := options()
	o.Microbatch = 3
	return train.Job{Options: o, Setup: map[string]any{"config": n.Config, "data": "toy"}, Net: n, EMA: n.clone(), Data: toy{}}
}

// train1 starts or resumes a run and trains until the end or until ctx is cancelled.
func train1(ctx context.Context, dir string, j train.Job, begin func(string, train.Job) (*train.Run, error)) error {
	r, err := begin(dir, j)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Train(ctx)
}

// reference is a run folder of an uninterrupted run.
func reference(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := train1(t.Context(), dir, job(t), train.Start); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sameRun fails unless two finished runs have the same checkpoint, byte for byte, and the same statistics but for timings.
func sameRun(t *testing.T, got, want string) {
	t.Helper()
	for _, name := range []string{"checkpoint.safetensors", "options.json"} {
		if !bytes.Equal(read(t, got, name), read(t, want, name)) {
			t.Errorf("%s differs from the uninterrupted run's", name)
		}
	}
	if g, w := statistics(t, got), statistics(t, want); g != w {
		t.Errorf("statistics are\n%swant\n%s", g, w)
	}
	if left, _ := filepath.Glob(filepath.Join(got, ".*")); len(left) > 0 {
		t.Errorf("litter in the run folder: %v", left)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// statistics returns stats.jsonl without the fields that depend on the clock and the machine.
func statistics(t *testing.T, dir string) string {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	d := json.NewDecoder(bytes.NewReader(read(t, dir, "stats.jsonl")))
	for d.More() {
		var s train.Stats
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		s.Seconds, s.Maintenance, s.Rate, s.PeakMemory, s.Time = 0, 0, 0, 0, 0
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// TestResume interrupts a run after every possible number of steps and lets it go on; twice in the same run for one of them.
func TestResume(t *testing.T) {
	want := reference(t)
	if n := strings.Count(statistics(t, want), "\n"); n != 3 {
		t.Errorf("%d lines of statistics, want 3", n)
	}
	for _, stops := range [][]int64{{8}, {48}, {56}, {64, 72}, {112}, {152}, {160}} {
		dir := filepath.Join(t.TempDir(), "run")
		begin := train.Start
		for _, stop := range stops {
			ctx, cancel := context.WithCancel(t.Context())
			j := job(t)
			j.Progress = func(p train.Progress) {
				if p.Images == stop {
					cancel()
				}
			}
			err := train1(ctx, dir, j, begin)
			var i *train.Interrupted
			if stop < 160 && (!errors.As(err, &i) || i.Images != stop || !errors.Is(err, context.Canceled)) {
				t.Fatalf("stopped after %d images: error %v", stop, err)
			}
			begin = train.Resume
		}
		if err := train1(t.Context(), dir, job(t), train.Resume); err != nil {
			t.Fatal(err)
		}
		sameRun(t, dir, want)
	}
}

// TestKill lets a second process train slowly, kills it at some moment (SIGKILL where there is one), again and again, and
// finishes its run here.
func TestKill(t *testing.T) {
	if dir := os.Getenv("DIFFUSE_TEST_RUN"); dir != "" {
		j := job(t)
		j.Progress = func(train.Progress) { time.Sleep(10 * time.Millisecond) }
		begin := train.Start
		if os.Getenv("DIFFUSE_TEST_RESUME") != "" {
			begin = train.Resume
		}
		if err := train1(t.Context(), dir, j, begin); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := reference(t)
	dir := filepath.Join(t.TempDir(), "run")
	resume := ""
	for _, wait := range []time.Duration{0, 40, 150, 90, 10} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$", "-test.v")
		cmd.Env = append(os.Environ(), "DIFFUSE_TEST_RUN="+dir, "DIFFUSE_TEST_RESUME="+resume)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(filepath.Join(dir, "options.json")); err == nil {
				break
			}
			if time.Now().After(deadline) {
				cmd.Process.Kill()
				t.Fatal("the other process did not start its run in 20 s")
			}
		}
		time.Sleep(wait * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		resume = "yes"
	}
	// What a kill in the middle of a write leaves behind.
	os.WriteFile(filepath.Join(dir, ".checkpoint.safetensors.0123abcd.tmp"), []byte("half"), 0o666)
	for _, name := range []string{"stats.jsonl", "log.txt"} {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(`{"tick":9,"nimg":150}` + "\n" + `{"tick":`)
		f.Close()
	}
	if err := train1(t.Context(), dir, job(t), train.Resume); err != nil {
		t.Fatal(err)
	}
	sameRun(t, dir, want)
	for line := range strings.Lines(string(read(t, dir, "log.txt"))) {
		if !regexp.MustCompile(`^ *\d+  \S.*\n$`).MatchString(line) {
			t.Errorf("line %q of the log", line)
		}
	}
}

// TestRefusals: a folder in use, options that changed and a broken checkpoint are told apart, by name.
func TestRefusals(t *testing.T) {
	dir := reference(t)
	if _, err := train.Start(dir, job(t)); !errors.Is(err, train.ErrExists) {
		t.Errorf("starting in a used folder: %v", err)
	}
	if _, err := train.Resume(t.TempDir(), job(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("resuming nothing: %v", err)
	}
	refused := func(what, word string, change func(*train.Job)) {
		j := job(t)
		change(&j)
		if _, err := train.Resume(dir, j); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: error %v does not say %q", what, err, word)
		}
	}
	refused("another rate", "lr was 0.002, is 0.5", func(j *train.Job) { j.Options.LR = 0.5 })
	refused("another seed", "seed was 7, is 9007199254740993", func(j *train.Job) { j.Options.Seed = 1<<53 + 1 })
	refused("a shorter run", "duration was 160, is 80", func(j *train.Job) { j.Options.Duration = 80 })
	refused("another network", "setup.config.dropout was 0.1, is 0.5", func(j *train.Job) {
		c := j.Net.(network).Config
		c.Dropout = 0.5
		j.Setup = map[string]any{"config": c, "data": "toy"}
	})
	refused("other data", "data.height was 8, is 28", func(j *train.Job) { j.Data = flat{} })
	o, setup, err := train.ReadOptions(dir)
	if err != nil || o != job(t).Options || !strings.Contains(string(setup), `"toy"`) {
		t.Errorf("options read back: %+v, %s, %v", o, setup, err)
	}
	path := filepath.Join(dir, "checkpoint.safetensors")
	whole := read(t, dir, "checkpoint.safetensors")
	os.WriteFile(path, whole[:len(whole)-4], 0o666)
	refused("a cut checkpoint", path, func(*train.Job) {})
	os.WriteFile(path, whole, 0o666)
	refused("another shape", "has shape", func(j *train.Job) {
		c := j.Net.(network).Config
		c.ModelChannels = 16
		n := build(t, c)
		j.Net, j.EMA = n, n.clone()
	})
}

// TestLonger: a finished run may get a longer duration, and is then the longer run.
func TestLonger(t *testing.T) {
	dir := reference(t)
	prolonged, whole := job(t), job(t)
	prolonged.Options.Duration, whole.Options.Duration = 240, 240
	if err := train1(t.Context(), dir, prolonged, train.Resume); err != nil {
		t.Fatal(err)
	}
	if err := train1(t.Context(), filepath.Join(t.TempDir(), "run"), whole, train.Start); err != nil {
		t.Fatal(err)
	}
	same(t, "average of the prolonged run", values(prolonged.EMA), values(whole.EMA))
	if o, _, err := train.ReadOptions(dir); err != nil || o.Duration != 240 {
		t.Errorf("duration in options.json is %d (%v), want 240", o.Duration, err)
	}
}

// TestCoolDown: a run at a constant rate may be brought to an end by a decay that begins after its last step, and is then
// the run that was meant to decay from the start; a decay that should have begun before is refused.
func TestCoolDown(t *testing.T) {
	dir := reference(t)
	cooled, whole := job(t), job(t)
	for _, j := range []*train.Job{&cooled, &whole} {
		j.Options.Duration, j.Options.LRDecay, j.Options.LRDecayFraction = 320, train.DecayLinear, 0.5
	}
	late := cooled
	late.Options.LRDecayFraction = 0.75
	if _, err := train.Resume(dir, late); err == nil || !strings.Contains(err.Error(), "lr_decay was") {
		t.Errorf("a decay from before the checkpoint: %v", err)
	}
	if err := train1(t.Context(), dir, cooled, train.Resume); err != nil {
		t.Fatal(err)
	}
	if err := train1(t.Context(), filepath.Join(t.TempDir(), "run"), whole, train.Start); err != nil {
		t.Fatal(err)
	}
	same(t, "average of the cooled run", values(cooled.EMA), values(whole.EMA))
}

// TestHooks checks when pictures, snapshots and progress are due, and that a failing hook leaves the checkpoint of before.
func TestHooks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	j := job(t)
	j.Options.Duration, j.Options.PictureTicks, j.Options.SnapshotTicks = 300, 2, 0
	var seen []string
	var last train.Progress
	j.Pictures = func(k train.Tick) error { seen = append(seen, filepath.Base(k.Path("grid", ".png"))); return nil }
	j.Snapshot = func(k train.Tick) error {
		if !k.Last {
			t.Errorf("a snapshot at tick %d", k.Stats.Tick)
		}
		return errors.New("disk full")
	}
	j.Progress = func(p train.Progress) { last = p }
	err := train1(t.Context(), dir, j, train.Start)
	if err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v, want the hook's", err)
	}
	if log := string(read(t, dir, "log.txt")); !strings.Contains(log, "disk full") {
		t.Errorf("the log does not tell why the run ended:\n%s", log)
	}
	// Ticks end with the first step past each multiple of 56 images: 56, 112, 168, 224, 280, and at the end, 304.
	if got, want := strings.Join(seen, " "), "grid-000000112.png grid-000000224.png grid-000000304.png"; got != want {
		t.Errorf("pictures %s, want %s", got, want)
	}
	if last.Images != 304 || last.Remaining != 0 || !(last.Rate > 0) || !(last.Loss > 0) {
		t.Errorf("last progress %+v", last)
	}
	j2 := job(t)
	j2.Options = j.Options
	r, err := train.Resume(dir, j2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Images != 280 {
		t.Errorf("the checkpoint after a failed hook is from %d images, want 280", r.Images)
	}
}

// TestDiverged: a NaN ends the run with the last good checkpoint named and intact.
func TestDiverged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	j := job(t)
	j.Progress = func(p train.Progress) {
		if p.Images == 80 {
			for _, w := range j.Net.Params() {
				w.Data[0] = float32(math.NaN())
				break
			}
		}
	}
	err := train1(t.Context(), dir, j, train.Start)
	var nf *train.NonFinite
	if !errors.As(err, &nf) || nf.Images != 80 || !strings.Contains(err.Error(), "from 56 images") {
		t.Fatalf("error %v, want NonFinite after 80 images and a checkpoint from 56", err)
	}
	if log := string(read(t, dir, "log.txt")); !strings.Contains(log, "the run stopped: step 10") {
		t.Errorf("the log does not tell:\n%s", log)
	}
	if err := train1(t.Context(), dir, job(t), train.Resume); err != nil {
		t.Fatal(err)
	}
	sameRun(t, dir, reference(t))
}
