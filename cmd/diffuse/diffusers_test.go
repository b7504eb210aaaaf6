package main

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/schedule"
)

// TestForwardDiffusers evaluates a folder of diffusers through the command, by timestep, and holds the raw output to the library's. x is
// given in terms of sigma, that is times sqrt(sigma²+1); rounding that to float32 and back costs 1e-7. 1e-4 of the largest is asked for.
func TestForwardDiffusers(t *testing.T) {
	table, err := schedule.DefaultTrained().Table()
	if err != nil {
		t.Fatal(err)
	}
	sigmas := table.Sigma
	c := golden.Open(t, "diffusers/store_bin")
	x, shape := c.Float64("x")
	at, _ := c.Float64("t0")
	per := len(x) / shape[0]
	scaled := make([]float32, len(x))
	for i, v := range x {
		s := sigmas[int(at[i/per])]
		scaled[i] = float32(v * math.Sqrt(s*s+1))
	}
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := checkpoint.WriteFile(a, &checkpoint.File{Tensors: map[string]*checkpoint.Tensor{
		"x": checkpoint.Float32(shape, scaled), "timestep": c.Tensors["t0"]}}); err != nil {
		t.Fatal(err)
	}
	want, _ := c.Float64("out0")
	for _, folder := range []string{"store_bin", "store_sharded"} {
		output(t, "forward", "-q", golden.Path(t, "diffusers", folder), "--in", a, "--out", b)
		got, err := golden.Tensors(t, b)["raw"].Float32()
		if err != nil {
			t.Fatal(err)
		}
		golden.Close(t, folder, got, want, 1e-4*golden.MaxAbs(want))
	}
}

// TestInspectDiffusers: a folder is described, its scheduler named; a network that is not built in is listed and says why.
func TestInspectDiffusers(t *testing.T) {
	folder := golden.Path(t, "diffusers", "net_sched_v")
	out := output(t, "inspect", folder)
	for _, want := range []string{"diffusers folder", "EulerDiscreteScheduler", "the network returns v_prediction", "unet2d, 8×8", "stored as F16"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	pipeline := t.TempDir()
	if err := os.CopyFS(filepath.Join(pipeline, "unet"), os.DirFS(golden.Path(t, "diffusers", "store_sharded"))); err != nil {
		t.Fatal(err)
	}
	if out := output(t, "inspect", pipeline); !strings.Contains(out, "diffusers folder") {
		t.Errorf("a pipeline: %s", out)
	}
	path := filepath.Join(pipeline, "unet", "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	config["act_fn"] = "tanh"
	if b, err = json.Marshal(config); err == nil {
		err = os.WriteFile(path, b, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out := output(t, "inspect", pipeline); !strings.Contains(out, `act_fn "tanh"`) || !strings.Contains(out, "conv_in.weight") {
		t.Errorf("another activation: %s", out)
	}
	if err := run(context.Background(), []string{"sample", pipeline}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), `act_fn "tanh"`) {
		t.Errorf("sampling it: %v", err)
	}
}

// TestSampleDiffusers: the scheduler's settings are the defaults of sample.
func TestSampleDiffusers(t *testing.T) {
	dir := t.TempDir()
	trace, grid := filepath.Join(dir, "trace"), filepath.Join(dir, "g.png")
	output(t, "sample", "-q", golden.Path(t, "diffusers", "net_sched_eps"), "--steps", "4", "--num", "1", "--trace", trace, "--grid", grid)
	sigmas, err := golden.Tensors(t, trace)["sigmas"].Float64()
	if err != nil {
		t.Fatal(err)
	}
	table, err := schedule.DefaultTrained().Table()
	if err != nil {
		t.Fatal(err)
	}
	trained := table.Sigma
	golden.Close(t, "ends of the levels", []float64{sigmas[0], sigmas[3]}, []float64{trained[999], trained[0]}, 1e-9*trained[999])
	out := output(t, "inspect", grid)
	for _, want := range []string{`"model":"net_sched_eps"`, `"sampler":"ddim"`} {
		if !strings.Contains(strings.ReplaceAll(out, `": `, `":`), want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
}
