package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/metric"
)

// npz writes n pictures of h×w×c whose bytes count up, and returns the path.
func npz(t *testing.T, n, h, w, c int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.npz")
	pix := make([]uint8, n*h*w*c)
	for i := range pix {
		pix[i] = uint8(i * i)
	}
	if err := checkpoint.WriteNPZ(path, checkpoint.Array{Name: "arr_0", Tensor: checkpoint.Uint8([]int{n, h, w, c}, pix)}); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTooFew: each metric says how many pictures it takes and how many there are, on either side.
func TestTooFew(t *testing.T) {
	ten := npz(t, 10, 8, 8, 1)
	for metrics, least := range map[string]int{"fd": 2, "fd-infinity": 4, "kid": 2, "prdc": 4, "authenticity": 2} {
		few := npz(t, least-1, 8, 8, 1)
		words := func(where string) string {
			return fmt.Sprintf("%s needs at least %d pictures; %s", metrics, least, fmt.Sprintf(where, least-1))
		}
		refused(t, words("--ref has %d"), ten, "--ref", few, "--metrics", metrics)
		if metrics != "authenticity" { // one sample has a nearest picture
			refused(t, words("there are %d to measure"), few, "--ref", ten, "--metrics", metrics)
		}
	}
	refused(t, "prdc needs at least 11 pictures; there are 10 to measure", ten, "--ref", ten, "--metrics", "prdc", "--nearest", "10")
	refused(t, "statistics need at least 2 pictures; there are 1", npz(t, 1, 8, 8, 1), "--make-ref", filepath.Join(t.TempDir(), "s.npz"))
}

// TestWrongPictures: other sizes, other channels, sizes that differ within a set.
func TestWrongPictures(t *testing.T) {
	grey, colour, large := npz(t, 6, 8, 8, 1), npz(t, 6, 8, 8, 3), npz(t, 6, 8, 9, 1)
	refused(t, "its pictures are 8×8×3, those to measure 8×8×1", grey, "--ref", colour)
	refused(t, "its pictures are 8×9×1, those to measure 8×8×1", grey, "--ref", large)
	refused(t, "the fashion features are for pictures of 28×28×1, these are 8×8×3", colour, "--ref", colour, "--features", "fashion")
	mixed := t.TempDir()
	for i, side := range []int{8, 8, 9} {
		if err := imageio.WritePNG(filepath.Join(mixed, fmt.Sprint(i, ".png")), imageio.New(side, side, 1), nil); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, "differ in size", mixed, "--ref", grey)
	refused(t, "differ in size", grey, "--ref", mixed)
}

// A broken extractor returns one NaN.
type broken struct{ metric.Extractor }

func (broken) Name() string { return "broken" }

func (b broken) Features(dst []float64, pictures []imageio.Image) error {
	err := b.Extractor.Features(dst, pictures)
	dst[len(dst)-1] = math.NaN()
	return err
}

// TestNaNFeatures: no metric is computed of them, whatever is kept; the pictures are named.
func TestNaNFeatures(t *testing.T) {
	u := &ui{stdout: io.Discard, stderr: io.Discard}
	set, err := openStored(u, npz(t, 10, 8, 8, 1), "", 0, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	random, err := metric.NewRandom(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []kept{{}, {rows: true}, {gaussian: true}} {
		_, err := extract(t.Context(), u, set, &extractor{Extractor: broken{random}, batch: 4}, keep)
		if err == nil || !strings.Contains(err.Error(), "broken features of the pictures from number 0 on: feature row 3, column 319 is NaN") {
			t.Errorf("%+v: error %v", keep, err)
		}
	}
}

// An ending context ends when it was looked at so many times.
type ending struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

func (c *ending) Err() error {
	if c.left.Add(-1) < 0 {
		c.cancel()
	}
	return c.Context.Err()
}

// TestInterruptedMetrics: what takes long is interrupted between its beginning and its end, and the command says so.
func TestInterruptedMetrics(t *testing.T) {
	path := npz(t, 60, 8, 8, 1)
	for _, name := range []string{"prdc", "fd-infinity", "authenticity"} {
		u := &ui{stdout: io.Discard, stderr: io.Discard, quiet: true}
		set, err := openStored(u, path, "", 0, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := defaultEvalSettings()
		s.ref, s.metrics, s.noCache = path, name, true
		v, err := newEvaluation(u, s, 8, 8, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.prepare(t.Context(), u, set); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		// One look before the batch of pictures and one before the metric: the next is in its midst.
		c := &ending{Context: ctx, cancel: cancel}
		c.left.Store(2)
		if _, err := v.measure(c, u, set); !errors.Is(err, errInterrupted) || c.left.Load() >= 0 {
			t.Errorf("%s: error %v", name, err)
		}
		cancel()
	}
}

// A stopper cancels when it reads a word.
type stopper struct {
	bytes.Buffer
	word   string
	cancel context.CancelFunc
}

func (s *stopper) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if strings.Contains(s.String(), s.word) {
		s.cancel()
	}
	return n, err
}

// TestManyUnasked: fifty thousand pictures come with a word about the time they take, other numbers without.
func TestManyUnasked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.gmm.json")
	if err := os.WriteFile(path, []byte(`{"shape": [1, 2, 2], "weights": [1], "means": [[0, 0, 0, 0]], "std": [0.5]}`), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	args := []string{"eval", path, "--ref", npz(t, 10, 2, 2, 1), "--metrics", "fd", "--no-cache"}
	words := &stopper{word: "drawing 50000 pictures, as papers do, will take about ", cancel: cancel}
	if err := run(ctx, args, io.Discard, words); !errors.Is(err, errInterrupted) {
		t.Errorf("%v, words %q", err, words)
	}
	words.Reset()
	if err := run(t.Context(), append(args, "--num", "20"), io.Discard, words); err != nil || strings.Contains(words.String(), "as papers do") {
		t.Errorf("%v, words %q", err, words)
	}
}
