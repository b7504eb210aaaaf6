package dataset_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"diffuse/dataset"
)

// several is a set of n colour pictures of 3×4 pixels in three classes; picture i is flat, of the colour i, 100, 200.
func several(t testing.TB, n int) string {
	files := map[string][]byte{}
	for i := range n {
		files[fmt.Sprintf("%c/%04d.png", 'a'+i%3, i)] = flat(t, 3, 4, uint8(i), 100, 200)
	}
	return tree(t, files)
}

// TestPack writes a set in every form, twice with the same bytes, and reads it back.
func TestPack(t *testing.T) {
	d, err := dataset.Open(several(t, 70), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := content(t, d)
	dir := t.TempDir()
	for _, name := range []string{"set.zip", "set.npz", "set"} {
		var first []byte
		for _, again := range []string{"1", "2"} {
			path := filepath.Join(dir, again+name)
			last := 0
			err := dataset.Pack(d, path, func(done, total int) error {
				if done <= last || total != 70 {
					t.Errorf("%s: %d of %d after %d", name, done, total, last)
				}
				last = done
				return nil
			})
			if err != nil || last != 70 {
				t.Fatalf("%s: %d written: %v", name, last, err)
			}
			back, err := dataset.Open(path, dataset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			named := name == "set.npz" || slices.Equal(back.ClassNames(), []string{"a", "b", "c"}) // npz has no place for names
			if got := content(t, back); got != want || back.Labels() != 3 || !named {
				t.Errorf("%s: %s, %q; want %s", name, got, back.ClassNames(), want)
			}
			b, err := os.ReadFile(path)
			if name == "set" {
				b, err = os.ReadFile(filepath.Join(path, "dataset.json"))
			}
			if err != nil || again == "2" && !bytes.Equal(b, first) {
				t.Errorf("%s: the second time gave other bytes (%v)", name, err)
			}
			first = b
		}
	}
	if err := dataset.Pack(d, filepath.Join(dir, "1set"), func(int, int) error { return nil }); err == nil {
		t.Error("wrote over a folder that holds something")
	}
	if err := dataset.Pack(d, filepath.Join(dir, "1set", "dataset.json"), func(int, int) error { return nil }); err == nil {
		t.Error("made a folder of a file")
	}
	stop := errors.New("stop")
	for _, name := range []string{"stopped.zip", "stopped.npz", "stopped"} {
		before, _ := os.ReadDir(dir)
		err := dataset.Pack(d, filepath.Join(dir, name), func(int, int) error { return stop })
		after, _ := os.ReadDir(dir)
		if !errors.Is(err, stop) || len(after) != len(before) {
			t.Errorf("%s: %v, %d files left behind", name, err, len(after)-len(before))
		}
	}
}

// TestMeasure holds the statistics of a small set against sums made by hand.
func TestMeasure(t *testing.T) {
	dir := tree(t, map[string][]byte{
		"a/1.png": flat(t, 2, 2, 0, 10, 255), "a/2.png": flat(t, 2, 2, 255, 10, 255), "b/1.png": flat(t, 2, 2, 0, 10, 255), "b/2.png": flat(t, 2, 2, 0, 10, 255),
	})
	d, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	s, err := dataset.Measure(d, func(done, total int) { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-12 } // sums of whole numbers, then a few roundings
	// Red is -1 three times and 1 once: mean -0.5, variance 0.75. Of all 12 values 3 are -1, 4 are 10/127.5-1 and 5 are 1.
	green := 10/127.5 - 1
	mean := (-3 + 4*green + 5) / 12
	all := math.Sqrt((3+4*green*green+5)/12 - mean*mean)
	if !slices.EqualFunc(s.Mean, []float64{-0.5, green, 1}, near) || !slices.EqualFunc(s.Std, []float64{math.Sqrt(0.75), 0, 0}, near) || !near(s.SigmaData, all) {
		t.Errorf("mean %v, std %v, sigma_data %v, want %v", s.Mean, s.Std, s.SigmaData, all)
	}
	if !slices.Equal(s.Classes, []int{2, 2}) || len(s.Duplicates) != 1 || !slices.Equal(s.Duplicates[0], []int{0, 2, 3}) || calls == 0 {
		t.Errorf("classes %v, duplicates %v, %d calls", s.Classes, s.Duplicates, calls)
	}
}

// TestPrefetch asks for pictures that were and were not announced, by many goroutines, and gets each as without.
func TestPrefetch(t *testing.T) {
	d, err := dataset.Open(several(t, 60), dataset.Options{MaxBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.(dataset.Prefetcher); !ok {
		t.Fatal("a set that is not in memory does not prefetch")
	}
	want := make([][]uint8, d.Len())
	for i := range want {
		want[i] = make([]uint8, 36)
		if _, err := d.Get(i, want[i]); err != nil {
			t.Fatal(err)
		}
	}
	for epoch := range 5 {
		order := dataset.Permutation(1, epoch, d.Len())
		for lo := 0; lo < len(order); lo += 10 {
			dataset.Prefetch(d, slices.Concat(order[lo:min(lo+25, len(order))], []int{-1, 99, order[lo]})) // overlaps, numbers out of range, one twice
			var wait sync.WaitGroup
			for _, i := range order[lo : lo+10] {
				wait.Go(func() {
					got := make([]uint8, 36)
					if label, err := d.Get(i, got); err != nil || !bytes.Equal(got, want[i]) || d.ClassNames()[label] != d.(interface{ Name(int) string }).Name(i)[:1] {
						t.Errorf("picture %d is %v of class %d: %v", i, got[:3], label, err)
					}
				})
			}
			wait.Wait()
		}
	}
}

// TestPrefetchErrors: a picture that cannot be decoded is an error when it is asked for, not before.
func TestPrefetchErrors(t *testing.T) {
	good := flat(t, 2, 2, 1)
	dir := tree(t, map[string][]byte{"1.png": good, "2.png": good[:len(good)-20]})
	d, err := dataset.Open(dir, dataset.Options{MaxBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	dataset.Prefetch(d, []int{0, 1})
	if _, err := d.Get(0, make([]uint8, 4)); err != nil {
		t.Error(err)
	}
	if _, err := d.Get(1, make([]uint8, 4)); !errors.Is(err, dataset.ErrUnreadable) {
		t.Errorf("a spoiled picture: %v", err)
	}
}

// TestMixed: sizes are counted, most frequent first; grey among colour is told of; transforms and backgrounds make one size.
func TestMixed(t *testing.T) {
	dir := tree(t, map[string][]byte{"1.png": flat(t, 4, 4, 9), "2.png": flat(t, 2, 4, 1, 2, 3), "3.png": flat(t, 2, 4, 200, 0, 0, 0)})
	_, err := dataset.Open(dir, dataset.Options{})
	var sizes *dataset.SizesError
	if !errors.As(err, &sizes) || len(sizes.Sizes) != 2 || sizes.Sizes[0] != (dataset.SizeCount{Height: 2, Width: 4, Pictures: 2, Example: "2.png"}) {
		t.Errorf("error %v", err)
	}
	var said []string
	d, err := dataset.Open(dir, dataset.Options{Height: 4, Transform: "pad", Background: &[3]uint8{7, 8, 9}, Warn: func(s string) { said = append(said, s) }})
	if err != nil || content(t, d) != "-1:9 -1:7 -1:7" || len(said) != 1 || said[0] != "1 of 3 pictures are grey, such as 1.png; all are read as RGB" {
		t.Errorf("padded: %v, said %q", err, said)
	}
	if d, err := dataset.Open(dir, dataset.Options{Height: 4, Transform: "stretch"}); err != nil || content(t, d) != "-1:9 -1:1 -1:255" {
		t.Errorf("stretched: %v", err)
	}
	if _, err := dataset.Open(dir, dataset.Options{Transform: "twist"}); err == nil {
		t.Error("an unknown transform was accepted")
	}
}
