package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/dataset"
	"diffuse/tensor"
	"diffuse/train"
)

// constant is a network that answers every picture with one value.
type constant struct {
	network
	value float32
}

func (n constant) Denoise(_ *tensor.Tape, x *tensor.Tensor, _ []float64, _ []int, _ []*rand.Rand) *tensor.Tensor {
	d := tensor.New(x.Shape...)
	for i := range d.Data {
		d.Data[i] = n.value
	}
	return d
}

// validated is a job with validation on 12 pictures.
func validated(t *testing.T) train.Job {
	j := job(t)
	j.Validation = &train.Validation{Data: few{n: 12, classes: 4, label: func(i int) int { return i % 4 }}, Pictures: 5}
	return j
}

// TestValidation: a line a tick; the training is untouched by it; an interrupted run ends with the same bytes.
func TestValidation(t *testing.T) {
	whole, parts := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "run")
	if err := train1(t.Context(), whole, validated(t), train.Start); err != nil {
		t.Fatal(err)
	}
	sameRun(t, whole, reference(t))
	var lines []train.ValidationLine
	d := json.NewDecoder(bytes.NewReader(read(t, whole, "validation.jsonl")))
	for d.More() {
		var l train.ValidationLine
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) != 3 || lines[2].Tick != 3 || lines[2].Images != 160 || len(lines[2].Bins) != 8 {
		t.Fatalf("lines %+v, want 3 of 8 bins", lines)
	}
	edge, mean := 0.002, 0.0
	for _, b := range lines[2].Bins {
		if !(math.Abs(b.Low-edge) < 1e-12*edge) || !(b.Loss > 0) {
			t.Errorf("bin %+v, want it to begin at %v", b, edge)
		}
		edge, mean = b.High, mean+b.Loss/8
	}
	if !(math.Abs(edge-80) < 1e-9) || !(math.Abs(mean-lines[2].Loss) < 1e-12) {
		t.Errorf("the bins end at %v with mean %v, want 80 and %v", edge, mean, lines[2].Loss)
	}
	for _, stop := range []int64{48, 120} {
		ctx, cancel := context.WithCancel(t.Context())
		j := validated(t)
		j.Progress = func(p train.Progress) {
			if p.Images == stop {
				cancel()
			}
		}
		begin := train.Resume
		if stop == 48 {
			begin = train.Start
		}
		var stopped *train.Interrupted
		if err := train1(ctx, parts, j, begin); !errors.As(err, &stopped) {
			t.Fatal(err)
		}
	}
	if err := train1(t.Context(), parts, validated(t), train.Resume); err != nil {
		t.Fatal(err)
	}
	sameRun(t, parts, whole)
	if got, want := read(t, parts, "validation.jsonl"), read(t, whole, "validation.jsonl"); !bytes.Equal(got, want) {
		t.Errorf("lines of the interrupted run are\n%swant\n%s", got, want)
	}
}

// TestValidationLoss compares the loss of a network that always answers c with w·mean((c − y)²), w at the levels of each bin.
func TestValidationLoss(t *testing.T) {
	j := validated(t)
	j.EMA = constant{j.EMA.(network), 0.25}
	j.Options.Duration = 8
	dir := filepath.Join(t.TempDir(), "run")
	if err := train1(t.Context(), dir, j, train.Start); err != nil {
		t.Fatal(err)
	}
	var line train.ValidationLine
	if err := json.Unmarshal(read(t, dir, "validation.jsonl"), &line); err != nil {
		t.Fatal(err)
	}
	var square float64
	pixels := make([]uint8, 64)
	for i := range 5 {
		if _, err := j.Validation.Data.Get(i*12/5, pixels); err != nil {
			t.Fatal(err)
		}
		for _, p := range pixels {
			e := 0.25 - (float64(p)/127.5 - 1)
			square += e * e / 64 / 5
		}
	}
	for _, b := range line.Bins {
		// w falls with sigma: the loss lies between those of the bin's ends.
		w := func(s float64) float64 { return (s*s + 0.25) / (s * s * 0.25) }
		// The pictures differ in their mean square by less than a half.
		if lo, hi := w(b.High)*square/2, w(b.Low)*square*2; !(b.Loss > lo) || !(b.Loss < hi) {
			t.Errorf("bin %+v: want a loss between %v and %v", b, lo, hi)
		}
	}
}

// TestWrongValidation: sets that do not fit are refused before anything is written.
func TestWrongValidation(t *testing.T) {
	zero := func(int) int { return 0 }
	for word, set := range map[string]dataset.Dataset{
		"validation: 5 of 0 pictures are none":               few{n: 0, classes: 4, label: zero},
		"the pictures have 3 classes, those for training 4":  few{n: 3, classes: 3, label: zero},
		"the pictures are 28×28×1, those for training 8×8×1": flat{},
	} {
		j := job(t)
		j.Validation = &train.Validation{Data: set, Pictures: 5}
		dir := filepath.Join(t.TempDir(), "run")
		if _, err := train.Start(dir, j); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v, want %q", err, word)
		}
		if vacant, err := train.Vacant(dir); err != nil || !vacant {
			t.Errorf("something was written: %v", err)
		}
	}
	j := job(t)
	j.Validation = &train.Validation{Data: few{n: 3, classes: 4, label: func(int) int { return 4 }}, Pictures: 5}
	if err := train1(t.Context(), filepath.Join(t.TempDir(), "run"), j, train.Start); err == nil || !strings.Contains(err.Error(), "its class is 4, the data set has 4") {
		t.Errorf("a wrong class: %v", err)
	}
}
