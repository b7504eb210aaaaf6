package distill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"diffuse/distill"
	"diffuse/train"
)

// job makes a run of five steps with three ticks, whose distance is a function of the pictures shown.
func job(t *testing.T, o distill.Options, distance func(images int64) float64) distill.Job {
	t.Helper()
	j := distill.Job{Options: o, Setup: "a test", Networks: distilling(t, o).Nets}
	if distance != nil {
		j.EvaluateTicks = 1
		j.Evaluate = func(_ context.Context, at train.Tick) (distill.Measured, error) {
			d := distance(at.Stats.Images)
			return distill.Measured{Evaluation: train.Evaluation{Line: d, Words: "measured"}, Distance: d}, nil
		}
	}
	return j
}

// finish runs a job in dir to its end, or to an interruption after the given number of steps (0 = none).
func finish(t *testing.T, begin func(string, distill.Job) (*distill.Run, error), dir string, j distill.Job, stop int) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	j.Progress = func(train.Progress) {
		if stop--; stop == 0 {
			cancel()
		}
	}
	r, err := begin(dir, j)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return r.Run(ctx)
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestResume: a run that is stopped after any step and resumed ends with the bytes of one that was not, also when it collapses on the way.
func TestResume(t *testing.T) {
	for name, distance := range map[string]func(int64) float64{
		"unmeasured": nil,
		"collapse":   func(images int64) float64 { return float64(images) * float64(images) },
		"better":     func(images int64) float64 { return 1 / float64(images) },
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.FakeUpdates, o.Steps = 2, 2
			if distance == nil { // a student of one evaluation can have a warm-up
				o.Steps, o.WarmImages, o.WarmSteps, o.FakeAugment = 1, 24, 2, 0.5
			}
			whole := filepath.Join(t.TempDir(), "run")
			if err := finish(t, distill.Start, whole, job(t, o, distance), 0); err != nil {
				t.Fatal(err)
			}
			want := read(t, whole, "checkpoint.safetensors")
			for stop := 1; stop < 5; stop++ {
				dir := filepath.Join(t.TempDir(), "run")
				var stopped *train.Interrupted
				if err := finish(t, distill.Start, dir, job(t, o, distance), stop); !errors.As(err, &stopped) {
					t.Fatalf("stopped after step %d: %v", stop, err)
				}
				if err := finish(t, distill.Resume, dir, job(t, o, distance), 0); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(read(t, dir, "checkpoint.safetensors"), want) {
					t.Errorf("stopped after step %d: the checkpoint differs from the uninterrupted run's", stop)
				}
				if distance != nil && !bytes.Equal(read(t, dir, "metrics.jsonl"), read(t, whole, "metrics.jsonl")) {
					t.Errorf("stopped after step %d: metrics.jsonl is\n%swant\n%s", stop, read(t, dir, "metrics.jsonl"), read(t, whole, "metrics.jsonl"))
				}
			}
			log := string(read(t, whole, "log.txt"))
			if collapsed := strings.Contains(log, "collapsed"); collapsed != (name == "collapse") {
				t.Errorf("the log speaks of a collapse: %v\n%s", collapsed, log)
			}
		})
	}
}

// TestCollapse: after a collapse the networks are those of the best state and the rates half.
func TestCollapse(t *testing.T) {
	o := options()
	o.Duration = 32
	dir := filepath.Join(t.TempDir(), "run")
	j := job(t, o, func(images int64) float64 { return float64(images) * float64(images) })
	r, err := distill.Start(dir, j)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Rate != 0.5 || r.Images != 32 {
		t.Errorf("after the collapse the rate is %v and %d pictures were shown, want 0.5 and 32", r.Rate, r.Images)
	}
	again := distilling(t, o)
	for again.Images < 16 {
		if _, err := again.Step(); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "the generator", values(r.Nets.Generator.(network)), values(again.Nets.Generator.(network)))
}

// TestCollapseAfterWarmUp: a state from the warm-up that is taken back leaves Adam's moments there.
func TestCollapseAfterWarmUp(t *testing.T) {
	o := options()
	o.Duration, o.WarmImages, o.WarmSteps = 32, 24, 2
	r, err := distill.Start(filepath.Join(t.TempDir(), "run"), job(t, o, func(images int64) float64 { return float64(images) * float64(images) }))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Rate != 0.5 || r.Generator.Steps != 0 || r.Fake.Steps != 2 {
		t.Errorf("after the collapse the rate is %v, Adam has done %d steps of the generator and %d of the fake network, want 0.5, 0 and 2", r.Rate, r.Generator.Steps, r.Fake.Steps)
	}
}

// TestIndependence: the number of processors does not change a run, and the teacher is only read.
func TestIndependence(t *testing.T) {
	o := options()
	a := distilling(t, o)
	teacher := values(a.Nets.Teacher.(network))
	for range 3 {
		if _, err := a.Step(); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "the teacher", values(a.Nets.Teacher.(network)), teacher)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	b := distilling(t, o)
	for range 3 {
		if _, err := b.Step(); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "the student", values(a.Nets.EMA.(network)), values(b.Nets.EMA.(network)))
}

// TestNetworksApart: a network that is missing, and weights that two of them share, are refused, and so are numbers that no machine can compute.
func TestNetworksApart(t *testing.T) {
	for want, spoil := range map[string]func(o *distill.Options, n *distill.Networks){
		"a network as teacher":             func(_ *distill.Options, n *distill.Networks) { n.Teacher = nil },
		"a network as average":             func(_ *distill.Options, n *distill.Networks) { n.EMA = nil },
		"in the teacher and the fake":      func(_ *distill.Options, n *distill.Networks) { n.Fake = n.Teacher },
		"in the teacher and the generator": func(_ *distill.Options, n *distill.Networks) { n.Generator = n.Teacher },
		"in the generator and the average": func(_ *distill.Options, n *distill.Networks) { n.EMA = n.Generator },
		"batch is 1099511627776":           func(o *distill.Options, _ *distill.Networks) { o.Batch = 1 << 40 },
		"fake_updates is 1099511627776":    func(o *distill.Options, _ *distill.Networks) { o.FakeUpdates = 1 << 40 },
	} {
		teacher, o := tiny(t), options()
		n := distill.Networks{Teacher: teacher, Fake: teacher.clone(), Generator: teacher.clone(), EMA: teacher.clone(),
			Height: 8, Width: 8, Channels: 1, Classes: []float64{1, 1, 2, 0}}
		spoil(&o, &n)
		if _, err := distill.NewTrainer(o, n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

// TestBadPictures: a network that is not finite stops the run, and its weights are not saved.
func TestBadPictures(t *testing.T) {
	o := options()
	j := job(t, o, nil)
	for _, w := range j.Networks.Teacher.Params() {
		w.Data[0] = float32(math.NaN())
		break
	}
	dir := filepath.Join(t.TempDir(), "run")
	var bad *train.NonFinite
	if err := finish(t, distill.Start, dir, j, 0); !errors.As(err, &bad) {
		t.Errorf("a teacher with NaN: %v", err)
	}
}

// TestCoolDown: a run at constant rates may be brought to an end by a decay that begins after its last step, and is then the run that was meant to
// decay from the start; a decay that should have begun before is refused.
func TestCoolDown(t *testing.T) {
	dir, o := filepath.Join(t.TempDir(), "run"), options()
	o.Duration = 2 * o.Tick
	if err := finish(t, distill.Start, dir, job(t, o, nil), 0); err != nil {
		t.Fatal(err)
	}
	o.Duration, o.LRDecay, o.LRDecayFraction = 4*o.Tick, train.DecayCosine, 0.5
	late := o
	late.LRDecayFraction = 0.75
	if _, err := distill.Resume(dir, job(t, late, nil)); err == nil || !strings.Contains(err.Error(), "lr_decay was") {
		t.Errorf("a decay from before the checkpoint: %v", err)
	}
	if err := finish(t, distill.Resume, dir, job(t, o, nil), 0); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "run")
	if err := finish(t, distill.Start, whole, job(t, o, nil), 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, dir, "checkpoint.safetensors"), read(t, whole, "checkpoint.safetensors")) {
		t.Error("the checkpoint of the cooled run differs from that of one that was meant to decay")
	}
	var last distill.Stats
	lines := bytes.Split(bytes.TrimSpace(read(t, whole, "stats.jsonl")), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		t.Fatal(err)
	}
	share := (1 + math.Cos(math.Pi*24/32)) / 2 // the last step begins after 24 of 32 pictures of the decay
	near(t, "the generator's last rate", last.LR, share*o.LR, 1e-12)
	near(t, "the fake network's last rate", last.FakeLR, share*o.FakeLR, 1e-12)
}

// TestAllowChange: with leave, a run goes on with other rates, writes that down, and stays resumable.
func TestAllowChange(t *testing.T) {
	dir, o := filepath.Join(t.TempDir(), "run"), options()
	if err := finish(t, distill.Start, dir, job(t, o, nil), 3); err == nil {
		t.Fatal("the run was not stopped")
	}
	o.LR, o.LRDecay, o.LRDecayFraction = o.LR/2, train.DecayLinear, 1
	j := job(t, o, nil)
	j.AllowChange = func(field string) bool { return field != "options.lr" }
	if _, err := distill.Resume(dir, j); err == nil || strings.Contains(err.Error(), "decay") || !strings.Contains(err.Error(), "lr was 0.001, is 0.0005") {
		t.Errorf("without leave for the rate: %v", err)
	}
	j.AllowChange = func(field string) bool { return strings.HasPrefix(field, "options.lr") }
	if err := finish(t, distill.Resume, dir, j, 1); err == nil {
		t.Fatal("the run was not stopped again")
	}
	if log := string(read(t, dir, "log.txt")); !strings.Contains(log, "with other options from here on: lr was 0.001, is 0.0005; lr_decay was") {
		t.Errorf("the log does not tell of the change:\n%s", log)
	}
	if err := finish(t, distill.Resume, dir, job(t, o, nil), 0); err != nil {
		t.Error(err)
	}
}

// TestOtherOptions: a run does not go on with other options, except for its length.
func TestOtherOptions(t *testing.T) {
	o := options()
	dir := filepath.Join(t.TempDir(), "run")
	if err := finish(t, distill.Start, dir, job(t, o, nil), 0); err != nil {
		t.Fatal(err)
	}
	other := o
	other.Alpha = 1
	if _, err := distill.Resume(dir, job(t, other, nil)); err == nil || !strings.Contains(err.Error(), "alpha was 1.2, is 1") {
		t.Errorf("resumed with another alpha: %v", err)
	}
	o.Duration = 56
	if err := finish(t, distill.Resume, dir, job(t, o, nil), 0); err != nil {
		t.Error(err)
	}
	if _, err := distill.Start(dir, job(t, o, nil)); !errors.Is(err, train.ErrExists) {
		t.Errorf("started in a folder with a run: %v", err)
	}
}
