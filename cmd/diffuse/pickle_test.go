package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

// output runs the tool and returns what it prints as its result.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if err := run(context.Background(), args, &out, &errs); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &errs)
	}
	return out.String()
}

// TestForwardSnapshots evaluates EDM's and SiD's snapshots through the command and holds them to the peer's D, to 1e-5·max(1, max|D|), a tenth of the tolerance
// that came with the numbers.
func TestForwardSnapshots(t *testing.T) {
	for _, name := range []string{"snap_song_fp16", "snap_adm_old", "snap_sid"} {
		c := golden.Open(t, "edm/"+name)
		in := &checkpoint.File{Tensors: map[string]*checkpoint.Tensor{"x": c.Tensors["x"], "sigma": c.Tensors["sigma"]}}
		if c.Has("class_labels") {
			v, shape := c.Float64("class_labels")
			labels := make([]int64, shape[0])
			for i := range v {
				if v[i] == 1 {
					labels[i/shape[1]] = int64(i % shape[1])
				}
			}
			in.Tensors["label"] = checkpoint.Int64(shape[:1], labels)
		}
		dir := t.TempDir()
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		if err := checkpoint.WriteFile(a, in); err != nil {
			t.Fatal(err)
		}
		output(t, "forward", "-q", filepath.Join(c.Dir, "network-snapshot-000001.pkl"), "--in", a, "--out", b)
		got, err := golden.Tensors(t, b)["denoised"].Float32()
		if err != nil {
			t.Fatal(err)
		}
		want, _ := c.Float64("D")
		golden.Close(t, name, got, want, 1e-5*max(1, golden.MaxAbs(want)))
	}
}

// TestInspectPickles: what a pickle or PyTorch file is, is said; a hostile one is refused wherever it is given.
func TestInspectPickles(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"edm/snap_song_fp16/network-snapshot-000001.pkl", "EDM network snapshot (Python pickle)"},
		{"edm/snap_song_fp16/network-snapshot-000001.pkl", "EDMPrecond over SongUNet, as EDM saves it, made for float16"},
		{"edm/snap_sid/network-snapshot-000001.pkl", "--sigma-max 2.5"},
		{"edm/state_edm/training-state-000001.pt", "EDM training state (PyTorch zip archive)"},
		{"pickles/state_dict_old.pth", "PyTorch file of before version 1.6"},
		{"pickles/stats5.pkl", "num_images, fid, fd_dinov2"},
	} {
		if out := output(t, "inspect", golden.Path(t, filepath.FromSlash(c.file))); !strings.Contains(out, c.want) {
			t.Errorf("%s: no %q in\n%s", c.file, c.want, out)
		}
	}
	hostile := golden.Path(t, "edm", "reject_pickles", "os_system.pkl")
	for _, args := range [][]string{{"inspect", hostile}, {"sample", hostile}, {"forward", hostile, "--in", "a", "--out", "b"}} {
		if err := run(context.Background(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "posix.system") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// TestSampleOneStep draws with a generator of SiD in its one step: the picture is D of the noise.
func TestSampleOneStep(t *testing.T) {
	dir := t.TempDir()
	model := golden.Path(t, "edm", "snap_sid", "network-snapshot-000001.pkl")
	trace, grid := filepath.Join(dir, "trace"), filepath.Join(dir, "g.png")
	output(t, "sample", "-q", model, "--sampler", "euler", "--steps", "1", "--sigma-max", "2.5", "--num", "2", "--trace", trace, "--grid", grid)
	x := golden.Tensors(t, trace)
	states, err := x["x"].Float64()
	if err != nil {
		t.Fatal(err)
	}
	denoised, err := x["denoised"].Float64()
	if err != nil {
		t.Fatal(err)
	}
	sigmas, err := x["sigmas"].Float64()
	if err != nil {
		t.Fatal(err)
	}
	golden.Close(t, "noise levels", sigmas, []float64{2.5, 0}, 0)
	golden.Close(t, "the last state", states[len(states)/2:], denoised, 1e-6)
}
