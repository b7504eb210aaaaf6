package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
)

// A recordedRun is a run of one of diffusers' schedulers on one of the stored networks.
type recordedRun struct {
	Case, Scheduler string
	Config          json.RawMessage
	Steps           struct {
		N int `json:"num_inference_steps"`
	} `json:"set_timesteps"`
	Step   map[string]float64 `json:"step_arguments"`
	Sigmas []float64
}

// TestDiffusersSchedulers draws with folders that have the recorded schedulers, with nothing given but the number of steps, and holds the end to
// the library's, 1e-4 of the largest, which is the tolerance that came with the numbers.
func TestDiffusersSchedulers(t *testing.T) {
	b, err := os.ReadFile(golden.Path(t, "samplers", "diffusers_replay.json"))
	if err != nil {
		t.Fatal(err)
	}
	var data struct{ Cases []recordedRun }
	if err := json.Unmarshal(b, &data); err != nil {
		t.Fatal(err)
	}
	recorded := golden.Tensors(t, golden.Path(t, "diffusers", "schedulers.safetensors"))
	if len(data.Cases) != 46 {
		t.Errorf("%d cases, want 46", len(data.Cases))
	}
	for _, c := range data.Cases {
		t.Run(c.Case, func(t *testing.T) {
			tensors := map[string]*checkpoint.Tensor{"noise": recorded[c.Case+".start"]}
			for from, to := range map[string]string{"step_noise": "step_noise", "labels": "label"} {
				if x := recorded[c.Case+"."+from]; x != nil {
					tensors[to] = x
				}
			}
			unscaled := slices.ContainsFunc([]string{"Euler", "Heun", "KDPM2", "LMS", "EDM", "CM"}, func(p string) bool { return strings.HasPrefix(c.Scheduler, p) })
			scale := func(sigma float64) float64 { // of the library's state
				if unscaled {
					return 1
				}
				return 1 / math.Hypot(1, sigma)
			}
			end, last := drawRecorded(t, c.folder(t), c.flags(), tensors, scale)
			want, err := recorded[c.Case+".end"].Float64()
			if err != nil {
				t.Fatal(err)
			}
			for i := range end {
				end[i] *= scale(last)
			}
			golden.Close(t, "end", end, want, 1e-4*golden.MaxAbs(want))
		})
	}
}

// flags are those of sample that the run needs.
func (c recordedRun) flags() (flags []string) {
	if c.Steps.N > 0 {
		flags = append(flags, "--steps", fmt.Sprint(c.Steps.N))
	} else {
		flags = append(flags, "--sigmas", exactList(c.Sigmas))
	}
	for argument, flag := range map[string]string{"eta": "--eta", "s_churn": "--s-churn", "s_noise": "--s-noise", "s_tmin": "--s-min", "s_tmax": "--s-max"} {
		if v := c.Step[argument]; v > 0 {
			flags = append(flags, flag, fmt.Sprint(v))
		}
	}
	return flags
}

// folder has the run's network and scheduler, as the oldest folders have them.
func (c recordedRun) folder(t *testing.T) string {
	t.Helper()
	var j struct {
		Prediction string `json:"prediction_type"`
	}
	if err := json.Unmarshal(c.Config, &j); err != nil {
		t.Fatal(err)
	}
	net := map[string]string{"epsilon": "net_sched_eps", "": "net_sched_eps", "v_prediction": "net_sched_v", "sample": "net_sched_x0"}[j.Prediction]
	switch {
	case strings.HasPrefix(c.Scheduler, "EDM"):
		net = "net_sched_edm"
	case strings.HasPrefix(c.Scheduler, "CM"):
		net = "pipe_cm/unet"
	}
	dir := t.TempDir()
	for _, name := range []string{"config.json", "diffusion_pytorch_model.safetensors"} {
		b, err := os.ReadFile(golden.Path(t, "diffusers", filepath.FromSlash(net), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "scheduler_config.json"), c.Config, 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// drawRecorded samples from a folder of diffusers, starting from the library's first state, "noise" of tensors, which is ours times scale. It
// returns our last state and its level.
func drawRecorded(t *testing.T, dir string, flags []string, tensors map[string]*checkpoint.Tensor, scale func(sigma float64) float64) (end []float64, last float64) {
	t.Helper()
	var plan sampleReport
	dry := append([]string{"sample", dir, "--dry-run", "--json", "--num", "1"}, flags...)
	if err := json.Unmarshal([]byte(output(t, dry...)), &plan); err != nil {
		t.Fatal(err)
	}
	first := plan.Sigmas[0]
	start, err := tensors["noise"].Float64()
	if err != nil {
		t.Fatal(err)
	}
	unit := make([]float32, len(start))
	for i, v := range start {
		unit[i] = float32(v / (scale(first) * first))
	}
	tensors = maps.Clone(tensors)
	tensors["noise"] = checkpoint.Float32(tensors["noise"].Shape, unit)
	out := t.TempDir()
	noise, trace := filepath.Join(out, "noise"), filepath.Join(out, "trace")
	if err := checkpoint.WriteFile(noise, &checkpoint.File{Tensors: tensors}); err != nil {
		t.Fatal(err)
	}
	output(t, append([]string{"sample", "-q", dir, "--noise", noise, "--trace", trace, "--grid", filepath.Join(out, "g.png")}, flags...)...)
	x, err := golden.Tensors(t, trace)["x"].Float64()
	if err != nil {
		t.Fatal(err)
	}
	return x[len(x)-len(start):], plan.Sigmas[len(plan.Sigmas)-1]
}

// TestDiffusersPipelines draws with folders of whole pipelines and holds the pictures to the library's, 1e-4 of their range, the tolerance that came
// with them.
func TestDiffusersPipelines(t *testing.T) {
	for name, flags := range map[string][]string{"pipe_ddim": {"--steps", "10"}, "pipe_ddpm": {"--steps", "10"}, "pipe_cm": nil} {
		g := golden.Open(t, "diffusers/"+name)
		dir := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(dir, os.DirFS(g.Dir)); err != nil {
			t.Fatal(err)
		}
		if name != "pipe_cm" {
			if err := os.CopyFS(filepath.Join(dir, "unet"), os.DirFS(golden.Path(t, "diffusers", "net_sched_eps"))); err != nil {
				t.Fatal(err)
			}
		}
		tensors := map[string]*checkpoint.Tensor{"noise": g.Tensors["noise"]}
		scale := func(sigma float64) float64 { return 1 / math.Hypot(1, sigma) }
		if labels := g.Tensors["labels"]; labels != nil {
			tensors["label"], scale = labels, func(sigma float64) float64 { return 1 / sigma } // its pipeline multiplies
		}
		if steps := g.Tensors["step_noise"]; steps != nil { // the last step draws none
			v, err := steps.Float32()
			if err != nil {
				t.Fatal(err)
			}
			n := steps.Shape[0]
			tensors["step_noise"] = checkpoint.Float32(append([]int{n + 1}, steps.Shape[1:]...), append(slices.Clone(v), make([]float32, len(v)/n)...))
		}
		end, _ := drawRecorded(t, dir, flags, tensors, scale)
		want, _ := g.Float64("images")
		golden.Close(t, name, asImages(end, g.Tensors["noise"].Shape), want, 1e-4)
	}
}

// asImages turns N×C×H×W from -1 to 1 into N×H×W×C from 0 to 1.
func asImages(x []float64, shape []int) []float64 {
	c, pixels := shape[1], shape[2]*shape[3]
	y := make([]float64, len(x))
	for i, v := range x {
		n, k, p := i/(c*pixels), i/pixels%c, i%pixels
		y[(n*pixels+p)*c+k] = min(max(v/2+0.5, 0), 1)
	}
	return y
}
