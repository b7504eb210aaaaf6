package train_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/train"
)

// TestProfiles: exponents and widths are each other's inverse and agree with EDM2's figures; the discrete average has the width it should.
func TestProfiles(t *testing.T) {
	for std, want := range map[float64]float64{0.05: 16.97, 0.1: 6.94, 0.25: 0.72} {
		g := train.EMAGamma(std)
		if !(math.Abs(g-want) < 0.005) {
			t.Errorf("gamma of %v is %v, want %v", std, g, want)
		}
		if !(math.Abs(train.EMAStd(g)-std) < 1e-14) {
			t.Errorf("std of gamma %v is %v, want %v", g, train.EMAStd(g), std)
		}
		// The shares that steps of one image leave after n of them: their standard deviation, as a part of n.
		const n = 20000
		var sum, mean, square float64
		share := 1.0
		for k := n; k > 0; k-- {
			beta := train.PowerBeta(g, 1, int64(k-1))
			w := share * (1 - beta)
			share *= beta
			tau := (float64(k) - 0.5) / n
			sum, mean, square = sum+w, mean+w*tau, square+w*tau*tau
		}
		if got := math.Sqrt(square - mean*mean); !(math.Abs(sum-1) < 1e-12) || !(math.Abs(got-std) < 1e-4*std) {
			t.Errorf("discrete shares add up to %v with width %v, want 1 and %v", sum, got, std)
		}
	}
}

// TestFitProfile: a profile that is given is found again, and others the better the more snapshots there are.
func TestFitProfile(t *testing.T) {
	last := 1.0
	for _, snapshots := range []int64{2, 8, 32} {
		var given []train.Profile
		for i := int64(1); i <= snapshots; i++ {
			for _, std := range []float64{0.05, 0.1} {
				given = append(given, train.Profile{Images: i * 320_000 / snapshots, Gamma: train.EMAGamma(std)})
			}
		}
		factors, residual, err := train.FitProfile(given, given[len(given)-1])
		if err != nil || !(residual < 1e-5) || !(math.Abs(factors[len(factors)-1]-1) < 1e-4) {
			t.Errorf("%d snapshots, a given profile: factors %v, residual %v, %v", snapshots, factors, residual, err)
		}
		factors, residual, err = train.FitProfile(given, train.Profile{Images: 320_000, Gamma: train.EMAGamma(0.15)})
		var sum float64
		for _, f := range factors {
			sum += f
		}
		if err != nil || !(residual < last/3) || !(math.Abs(sum-1) < 1e-12) {
			t.Errorf("%d snapshots, std 0.15: the factors add up to %v, residual %v after %v, %v", snapshots, sum, residual, last, err)
		}
		last = residual
	}
	if !(last < 5e-3) {
		t.Errorf("with 32 snapshots the residual is %v", last)
	}
}

// profiled is a run of 100 steps that keeps two averages and ten snapshots of them.
func profiled(t *testing.T) train.Job {
	j := job(t)
	j.Options.EMAStds = [2]float64{0.05, 0.1}
	j.Options.Duration, j.Options.Tick, j.Options.SnapshotTicks, j.Options.Batch, j.Options.Microbatch = 400, 40, 1, 4, 4
	return j
}

// TestReconstructEMA compares reconstructed averages with the same ones computed directly, step by step.
func TestReconstructEMA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	j := profiled(t)
	stds := []float64{0.05, 0.07, 0.1, 0.15}
	direct := make([]map[string][]float64, len(stds))
	start, before := values(j.Net), int64(0)
	for i := range direct {
		direct[i] = make(map[string][]float64)
		for name, w := range start {
			direct[i][name] = make([]float64, len(w))
		}
	}
	j.Progress = func(p train.Progress) {
		for i, std := range stds {
			beta := train.PowerBeta(train.EMAGamma(std), j.Options.Batch, before)
			for name, w := range j.Net.Params() {
				for k, v := range w.Data {
					direct[i][name][k] = beta*direct[i][name][k] + (1-beta)*float64(v)
				}
			}
		}
		before = p.Images
	}
	if err := train1(t.Context(), dir, j, train.Start); err != nil {
		t.Fatal(err)
	}
	now := values(j.Net)
	for i, std := range stds {
		r, err := train.ReconstructEMA(dir, std, 0)
		if err != nil {
			t.Fatal(err)
		}
		var diff, far float64 // from the direct average; of that from the last weights
		for name, want := range direct[i] {
			for k, v := range want {
				diff += (r.Weights[name][k] - v) * (r.Weights[name][k] - v)
				far += (float64(now[name][k]) - v) * (float64(now[name][k]) - v)
			}
		}
		got := math.Sqrt(diff / far)
		t.Logf("std %v: error %.2g of the distance from the last weights, residual %.2g", std, got, r.Residual)
		// The averages that were kept come back but for float32; in others 100 steps are not yet the continuous time of the fit.
		limit := 0.08
		if std == 0.05 || std == 0.1 {
			limit = 1e-5
		}
		if !(got < limit) || r.Images != 400 || r.Averages != 20 {
			t.Errorf("std %v: error %v of the distance from the last weights, want less than %v; after %d images from %d averages", std, got, limit, r.Images, r.Averages)
		}
	}
	if r, err := train.ReconstructEMA(dir, 0.08, 210); err != nil || r.Images != 210 || r.Averages != 10 {
		t.Errorf("after 210 images: %+v, %v, want 10 averages", r, err)
	}
	for std, word := range map[float64]string{0: "want more than 0", 0.5: "at most 0.288", math.NaN(): "want more than 0"} {
		if _, err := train.ReconstructEMA(dir, std, 0); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("std %v: %v", std, err)
		}
	}
	if _, err := train.ReconstructEMA(reference(t), 0.1, 0); err == nil || !strings.Contains(err.Error(), "started with ema_stds") {
		t.Errorf("a run without averages: %v", err)
	}
}

// TestResumeProfiles: a run with further averages is resumed to the same bytes, of their files, too, and these averages change nothing else.
func TestResumeProfiles(t *testing.T) {
	whole, parts := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "run")
	if err := train1(t.Context(), whole, profiled(t), train.Start); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	j := profiled(t)
	j.Progress = func(p train.Progress) {
		if p.Images == 180 {
			cancel()
		}
	}
	var stopped *train.Interrupted
	if err := train1(ctx, parts, j, train.Start); !errors.As(err, &stopped) {
		t.Fatal(err)
	}
	// The checkpoint is one more pair of averages than the four snapshots.
	if r, err := train.ReconstructEMA(parts, 0.1, 0); err != nil || r.Images != 180 || r.Averages != 10 {
		t.Errorf("after an interruption: %+v, %v, want 10 averages up to 180 images", r, err)
	}
	j = profiled(t)
	if err := train1(t.Context(), parts, j, train.Resume); err != nil {
		t.Fatal(err)
	}
	sameRun(t, parts, whole)
	for _, name := range []string{"power-000000160.safetensors", "power-000000400.safetensors"} {
		if string(read(t, parts, name)) != string(read(t, whole, name)) {
			t.Errorf("%s differs from the uninterrupted run's", name)
		}
	}
	plain := profiled(t)
	plain.Options.EMAStds = [2]float64{}
	dir := filepath.Join(t.TempDir(), "run")
	if err := train1(t.Context(), dir, plain, train.Start); err != nil {
		t.Fatal(err)
	}
	same(t, "the usual average", values(j.EMA), values(plain.EMA))
	if left, _ := filepath.Glob(filepath.Join(dir, "power*")); len(left) > 0 || strings.Contains(string(read(t, dir, "options.json")), "ema_stds") {
		t.Errorf("a run without further averages has files %v, or a field for them", left)
	}
	if err := os.WriteFile(filepath.Join(whole, "power-000000160.safetensors"), []byte("half"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := train.ReconstructEMA(whole, 0.1, 0); err == nil || !strings.Contains(err.Error(), "power-000000160") {
		t.Errorf("a broken file: %v", err)
	}
}
