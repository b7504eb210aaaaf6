package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
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
	for _, where := range []string{pipeline, folder} { // shards and one file
		var plan sampleReport
		var found struct{ Kind, SHA256 string }
		if err := json.Unmarshal([]byte(output(t, "sample", where, "--dry-run", "--json")), &plan); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(output(t, "inspect", where, "--json")), &found); err != nil {
			t.Fatal(err)
		}
		if found.Kind != "diffusers folder" || len(found.SHA256) != 64 || found.SHA256[:12] != plan.ModelSHA {
			t.Errorf("%s: %+v, pictures say %s", where, found, plan.ModelSHA)
		}
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

// changed copies the folder net_sched_eps with other tensors.
func changed(t *testing.T, change func(map[string]*checkpoint.Tensor)) string {
	t.Helper()
	from, dir := golden.Path(t, "diffusers", "net_sched_eps"), t.TempDir()
	const weights = "diffusion_pytorch_model.safetensors"
	tensors := maps.Clone(golden.Tensors(t, filepath.Join(from, weights)))
	change(tensors)
	if err := checkpoint.WriteFile(filepath.Join(dir, weights), &checkpoint.File{Tensors: tensors}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), b, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestDiffusersMismatch: the message names ten of the tensors that do not fit, and inspect lists them all.
func TestDiffusersMismatch(t *testing.T) {
	dir := changed(t, func(tensors map[string]*checkpoint.Tensor) {
		for name := range tensors {
			if strings.HasPrefix(name, "mid_block.resnets.0") {
				delete(tensors, name)
			}
		}
		tensors["conv_in.weight"] = checkpoint.Float32([]int{3}, []float32{1, 2, 3})
		tensors["conv_out.more"] = checkpoint.Float32([]int{1}, []float32{1})
	})
	err := run(context.Background(), []string{"sample", dir}, io.Discard, io.Discard)
	if err == nil {
		t.Fatal("it is sampled")
	}
	for _, want := range []string{`"conv_in.weight": shape [3], want [8 3 3 3]`, `"conv_out.more" is not part`, `"mid_block.resnets.0.conv1.bias" is missing`, "and 2 more"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	var r struct{ Content struct{ Mismatch []string } }
	if err := json.Unmarshal([]byte(output(t, "inspect", "--json", dir)), &r); err != nil || len(r.Content.Mismatch) != 12 {
		t.Errorf("%d listed, %v: %q", len(r.Content.Mismatch), err, r.Content.Mismatch)
	}
}

// TestWeightsNotFinite: they are counted in a warning, and in what inspect says.
func TestWeightsNotFinite(t *testing.T) {
	dir := changed(t, func(tensors map[string]*checkpoint.Tensor) {
		bad := make([]float32, 3)
		bad[0], bad[2] = float32(math.NaN()), float32(math.Inf(-1))
		tensors["conv_out.bias"] = checkpoint.Float32([]int{3}, bad)
	})
	if said := output(t, "inspect", dir); !strings.Contains(said, "2 weights are infinite or no numbers, the first in out_conv.bias") {
		t.Errorf("nothing of it in %q", said)
	}
	out := t.TempDir()
	for _, c := range []struct {
		args []string
		ok   bool
		said string
	}{
		{[]string{"sample", dir, "--dry-run"}, true, "2 of its weights are infinite or no numbers, the first in out_conv.bias"},
		{[]string{"bench", dir, "--filter", "^$", "--time", "1ms"}, true, "2 of its weights are infinite"},
		{[]string{"distill", "--teacher", dir, "--out", filepath.Join(out, "run"), "--duration", "8", "--batch", "8"}, false, "2 of its weights are infinite"},
		{[]string{"convert", dir, filepath.Join(out, "m.safetensors")}, true, "2 of 45259 values are NaN or infinite, the first in tensor out_conv.bias"},
		{[]string{"convert", dir, filepath.Join(out, "folder"), "--to", "diffusers"}, true, "2 of 45259 values are NaN or infinite, the first in tensor conv_out.bias"},
	} {
		var words strings.Builder
		if err := run(context.Background(), c.args, io.Discard, &words); (err == nil) != c.ok || !strings.Contains(words.String(), c.said) {
			t.Errorf("%q: error %v, and no %q in %q", c.args, err, c.said, &words)
		}
	}
}

// TestDiffusersVariant: a file of weights beside config.json is a model, whichever would be chosen of the folder.
func TestDiffusersVariant(t *testing.T) {
	dir := changed(t, func(map[string]*checkpoint.Tensor) {})
	narrow := filepath.Join(dir, "diffusion_pytorch_model.bf16.safetensors")
	tensors := map[string]*checkpoint.Tensor{}
	for name, x := range golden.Tensors(t, filepath.Join(dir, "diffusion_pytorch_model.safetensors")) {
		y, err := x.As(checkpoint.BF16)
		if err != nil {
			t.Fatal(err)
		}
		tensors[name] = y
	}
	if err := checkpoint.WriteFile(narrow, &checkpoint.File{Tensors: tensors}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: "stored as F16", narrow: "stored as BF16"} {
		if out := output(t, "inspect", path); !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	output(t, "sample", "-q", narrow, "--num", "1", "--steps", "1", "--grid", filepath.Join(dir, "g.png"))
}

// TestDiffusersDefaults: what is given goes before what the scheduler says, and other samplers do without the options of its own.
func TestDiffusersDefaults(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	for sub, from := range map[string]string{"unet": "net_sched_eps", "scheduler": "pipe_ddim/scheduler"} {
		if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(golden.Path(t, "diffusers", filepath.FromSlash(from)))); err != nil {
			t.Fatal(err)
		}
	}
	plan := func(flags ...string) (r sampleReport) {
		t.Helper()
		if err := json.Unmarshal([]byte(output(t, append([]string{"sample", dir, "--dry-run", "--json", "--num", "1"}, flags...)...)), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := plan(); r.Sampler != "ddim" || r.Steps != 50 || r.Solver == nil || r.Solver.Clip != 1 {
		t.Errorf("%+v", r)
	}
	if r := plan("--clip", "0", "--schedule", "karras", "--steps", "3"); r.Solver != nil || r.Steps != 3 || r.Sigmas[1] > 40 {
		t.Errorf("%+v", r)
	}
	if r := plan("--sampler", "heun", "--timesteps", "900,400"); r.Solver != nil || r.Sampler != "heun" || len(r.Sigmas) != 3 {
		t.Errorf("%+v", r)
	}
	out := output(t, "sample", dir, "--dry-run")
	if !strings.Contains(out, "DDIMScheduler: --sampler ddim --steps 50 --clip 1 --like-diffusers --schedule linear:") {
		t.Errorf("the scheduler is not named in %s", out)
	}
	grid, again := filepath.Join(t.TempDir(), "a.png"), filepath.Join(t.TempDir(), "b.png")
	output(t, "sample", "-q", dir, "--num", "1", "--steps", "4", "--clip", "0", "--grid", grid)
	output(t, "sample", "-q", dir, "--params-from", grid, "--grid", again)
	a, err := os.ReadFile(grid)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(again); err != nil || !bytes.Equal(a, b) {
		t.Errorf("--params-from gives another picture (%v)", err)
	}
}
