package train_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/train"
)

// evaluated is job with an evaluation at every tick but odd ones and at the end, whose result is the state itself: a sum over the averaged weights.
func evaluated(t testing.TB) train.Job {
	j := job(t)
	j.EvaluateTicks, j.Evaluation = 2, map[string]any{"pictures": 5}
	j.Evaluate = func(_ context.Context, k train.Tick) (train.Evaluation, error) {
		sum := 0.0
		for _, w := range j.EMA.Params() {
			for _, v := range w.Data {
				sum += float64(v)
			}
		}
		return train.Evaluation{Line: map[string]float64{"sum": sum}, Words: fmt.Sprintf("sum %g, last %v", sum, k.Last)}, nil
	}
	return j
}

// TestEvaluate: the training is the same to the last byte with an evaluation and without; a run that is stopped in the middle of one, or
// killed behind the checkpoint, ends with the lines of an uninterrupted run, none twice.
func TestEvaluate(t *testing.T) {
	without := reference(t)
	whole := filepath.Join(t.TempDir(), "run")
	if err := train1(t.Context(), whole, evaluated(t), train.Start); err != nil {
		t.Fatal(err)
	}
	if string(read(t, whole, "checkpoint.safetensors")) != string(read(t, without, "checkpoint.safetensors")) {
		t.Error("the evaluation changed the checkpoint")
	}
	if statistics(t, whole) != statistics(t, without) {
		t.Error("the evaluation changed the statistics")
	}
	// Ticks end at 56, 112 and, with the run, 160 images.
	want := string(read(t, whole, "metrics.jsonl"))
	if lines := strings.Split(want, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], `{"tick":2,"nimg":112,"evaluation":{"sum":`) || !strings.HasPrefix(lines[1], `{"tick":3,"nimg":160,`) {
		t.Errorf("lines %q", want)
	}
	if log := string(read(t, whole, "log.txt")); !strings.Contains(log, "       112  tick 2  sum ") || !strings.Contains(log, "last true") {
		t.Errorf("the log lacks the evaluation:\n%s", log)
	}

	// Stopped during the first evaluation, then during the last.
	dir := filepath.Join(t.TempDir(), "run")
	begin := train.Start
	for _, at := range []int64{112, 160} {
		ctx, cancel := context.WithCancel(t.Context())
		j := evaluated(t)
		evaluate := j.Evaluate
		j.Evaluate = func(c context.Context, k train.Tick) (train.Evaluation, error) {
			if k.Stats.Images == at {
				cancel()
			}
			return evaluate(c, k)
		}
		var i *train.Interrupted
		if err := train1(ctx, dir, j, begin); !errors.As(err, &i) || i.Images != at {
			t.Fatalf("stopped during an evaluation: %v", err)
		}
		begin = train.Resume
	}
	// What a kill behind the checkpoint and in the middle of a line leaves.
	f, err := os.OpenFile(filepath.Join(dir, "metrics.jsonl"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"tick":9,"nimg":900,"evaluation":{}}` + "\n" + `{"tick":`)
	f.Close()
	if err := train1(t.Context(), dir, evaluated(t), train.Resume); err != nil {
		t.Fatal(err)
	}
	sameRun(t, dir, whole)
	if got := string(read(t, dir, "metrics.jsonl")); got != want {
		t.Errorf("lines\n%swant\n%s", got, want)
	}
	// Once more: nothing is owed.
	if err := train1(t.Context(), dir, evaluated(t), train.Resume); err != nil {
		t.Fatal(err)
	}
	if got := string(read(t, dir, "metrics.jsonl")); got != want {
		t.Errorf("a run that was complete got more lines:\n%s", got)
	}
}

// TestEvaluationChanges: how a run is measured may change when it is resumed, and one that never was may be measured afterwards; a failed
// evaluation leaves the checkpoint of its own tick.
func TestEvaluationChanges(t *testing.T) {
	dir := reference(t)
	r, err := train.Resume(dir, evaluated(t))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Owes() {
		t.Error("a run that was not measured owes nothing")
	}
	if err := errors.Join(r.Train(t.Context()), r.Close()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(read(t, dir, "metrics.jsonl")), "\n"); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
	if e, err := train.ReadEvaluation(dir); err != nil || !strings.Contains(string(e), `"pictures": 5`) {
		t.Errorf("evaluation read back: %s, %v", e, err)
	}
	j := job(t)
	j.EvaluateTicks = 1
	j.Evaluate = func(context.Context, train.Tick) (train.Evaluation, error) {
		return train.Evaluation{}, errors.New("no pictures")
	}
	other := filepath.Join(t.TempDir(), "run")
	if err := train1(t.Context(), other, j, train.Start); err == nil || !strings.Contains(err.Error(), "evaluating after 56 images: no pictures; the last good checkpoint") ||
		!strings.Contains(err.Error(), "from 56 images") {
		t.Errorf("error %v", err)
	}
}
