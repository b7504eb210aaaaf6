package unet_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/unet"
)

// loading is how many times its size a file may make a reader of models allocate, all added up: weights of 16 bits are widened to 32 and laid out
// anew, and a configuration that is refused may have been outlined before.
const loading = 32

// FuzzUNet2DFolder: whatever stands in a folder of diffusers gives a model or an error, soon and in little memory.
func FuzzUNet2DFolder(f *testing.F) {
	for _, name := range []string{"net_ddpm", "net_sched_v", "net_class"} {
		dir := golden.Path(f, "diffusers", name)
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			f.Fatal(err)
		}
		scheduler, err := os.ReadFile(filepath.Join(dir, "scheduler", "scheduler_config.json"))
		if err != nil {
			scheduler = []byte(`{"_class_name":"DPMSolverMultistepScheduler","lambda_min_clipped":-Infinity,"trained_betas":[0.1,0.2]}`)
		}
		weights, err := os.ReadFile(filepath.Join(dir, "diffusion_pytorch_model.safetensors"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(config, scheduler, weights)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, config, scheduler, weights []byte) {
		for name, b := range map[string][]byte{"config.json": config, "scheduler_config.json": scheduler, "diffusion_pytorch_model.safetensors": weights} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var m *unet.Model
		var err error
		golden.Within(t, len(config)+len(scheduler)+len(weights), loading, func() { m, _, err = unet.LoadUNet2D(dir) })
		if err != nil {
			return
		}
		if _, err := m.Denoiser(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Net.ExportUNet2D(checkpoint.F32); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzOpenAI: tensors under any names and of any shapes, with any flags.
func FuzzOpenAI(f *testing.F) {
	for _, name := range []string{"guided_new", "guided_old", "improved"} {
		c := openOpenAI(f, name)
		weights, err := checkpoint.OpenWeights(c.path)
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		small := &checkpoint.File{Tensors: map[string]*checkpoint.Tensor{}} // names without numbers: the fuzzer's inputs stay short
		for name, x := range weights.Tensors {
			small.Tensors[name] = checkpoint.Float32(append([]int{0}, x.Shape...), nil)
		}
		if err := checkpoint.Write(&b, small); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), c.flags)
		weights.Close()
	}
	f.Fuzz(func(t *testing.T, b []byte, arch string) {
		file, err := checkpoint.OpenBytes(b)
		if err != nil {
			return
		}
		for name, x := range file.Tensors { // the shapes that the seeds hide behind a zero
			if len(x.Shape) > 1 && x.Shape[0] == 0 {
				y := *x
				y.Shape = x.Shape[1:]
				file.Tensors[name] = &y
			}
		}
		golden.Within(t, len(b)+len(arch), loading, func() {
			if m, err := unet.ReadOpenAI(file, arch); err == nil {
				t.Errorf("a network without numbers was read: %s", m.Net.Config.JSON())
			}
		})
	})
}
