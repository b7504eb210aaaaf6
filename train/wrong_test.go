package train_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"diffuse/train"
)

// few is a data set of the first pictures of toy, with classes as it says.
type few struct {
	toy
	n, classes int
	label      func(i int) int
}

func (f few) Len() int    { return f.n }
func (f few) Labels() int { return f.classes }
func (f few) Get(i int, dst []uint8) (int, error) {
	if i >= f.n {
		return 0, fmt.Errorf("there is no picture %d", i)
	}
	_, err := f.toy.Get(i, dst)
	return f.label(i), err
}

// TestSmallSets: an empty set is refused, and a batch of eight from one or three pictures repeats them, every epoch whole.
func TestSmallSets(t *testing.T) {
	zero := func(int) int { return 0 }
	o := options()
	if _, err := train.NewLoader(few{n: 0, classes: 4, label: zero}, o); err == nil || !strings.Contains(err.Error(), "0 images") {
		t.Errorf("an empty set: %v", err)
	}
	large := o
	large.Batch = 1 << 40
	if err := large.Validate(); err == nil || !strings.Contains(err.Error(), "batch is 1099511627776") {
		t.Errorf("a batch of 2^40: %v", err)
	}
	o.Flip = false
	for _, n := range []int{1, 3} {
		seen := map[[64]float32]int{}
		l, err := train.NewLoader(few{n: n, classes: 4, label: zero}, o)
		if err != nil {
			t.Fatal(err)
		}
		for first := int64(0); first < 24; first += 8 {
			b, err := l.Load(first, 8)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 8 {
				seen[[64]float32(b.Clean.Data[i*64:])]++
			}
		}
		for picture, count := range seen {
			if count != 24/n {
				t.Errorf("of %d pictures, one is shown %d times in 24: %v", n, count, picture[:8])
			}
		}
		tr := trainer(t, o)
		tiny, err := train.NewTrainer(o, tr.Net, tr.EMA, few{n: n, classes: 4, label: zero})
		if err != nil {
			t.Fatal(err)
		}
		if r := steps(t, tiny, 2); !(r[1].Loss > 0) || math.IsInf(r[1].Loss, 0) {
			t.Errorf("of %d pictures: loss %v", n, r[1].Loss)
		}
	}
}

// TestWrongLabels: a class out of range ends the step with the picture and both numbers.
func TestWrongLabels(t *testing.T) {
	for _, wrong := range []int{4, -1} {
		l, err := train.NewLoader(few{n: 5, classes: 4, label: func(i int) int {
			if i == 3 {
				return wrong
			}
			return i % 4
		}}, options())
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("picture 3 of the data set: its class is %d, the data set has 4", wrong)
		if _, err := l.Load(0, 5); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestAllowChange: with leave, a run goes on with another batch and rate, writes that down, and stays resumable; what has no leave is named alone.
func TestAllowChange(t *testing.T) {
	dir := reference(t)
	j := job(t)
	j.Options.LR, j.Options.Batch, j.Options.SigmaData, j.Options.Duration = 1e-3, 10, 1, 200
	j.AllowChange = func(field string) bool { return field == "options.lr" || field == "options.batch" }
	_, err := train.Resume(dir, j)
	var changed *train.Changed
	if !errors.As(err, &changed) || len(changed.Changes) != 1 || changed.Changes[0] != (train.Change{Field: "options.sigma_data", Was: "0.5", Is: "1"}) {
		t.Fatalf("error %v, want a refusal of sigma_data alone", err)
	}
	j = job(t)
	j.Options.LR, j.Options.Batch, j.Options.Duration = 1e-3, 10, 200
	j.AllowChange = func(field string) bool { return field == "options.lr" || field == "options.batch" }
	if err := train1(t.Context(), dir, j, train.Resume); err != nil {
		t.Fatal(err)
	}
	if log := string(read(t, dir, "log.txt")); !strings.Contains(log, "with other options from here on: batch was 8, is 10; lr was 0.002, is 0.001\n") {
		t.Errorf("the log does not tell of the change:\n%s", log)
	}
	j.AllowChange = nil
	r, err := train.Resume(dir, j)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if r.Images != 200 {
		t.Errorf("the changed run has shown %d images, want 200", r.Images)
	}
}
