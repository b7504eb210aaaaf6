package unet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/internal/golden"
	"diffuse/tensor"
	"diffuse/unet"
)

// TestExportRoundTrip: a folder of diffusers, made a single file and a folder again, has the tensors and the configurations that it had, to the
// last bit, in the type that they were stored in.
func TestExportRoundTrip(t *testing.T) {
	for _, name := range slices.DeleteFunc(append([]string{"net_sched_eps"}, unet2DNets...), func(s string) bool { return s == "net_nonsquare" }) {
		from := golden.Path(t, "diffusers", name)
		d := storedAs(t, from)
		m, _, err := unet.LoadUNet2D(from)
		if err != nil {
			t.Error(err)
			continue
		}
		file := filepath.Join(t.TempDir(), "m.safetensors")
		if err := m.Save(file, d); err != nil {
			t.Fatal(err)
		}
		if m, err = unet.LoadModel(file); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "folder")
		if err := m.SaveUNet2D(dir, d); err != nil {
			t.Error(err)
			continue
		}
		sameTensors(t, name, from, filepath.Join(dir, "unet"))
		sameJSON(t, filepath.Join(from, "config.json"), filepath.Join(dir, "unet", "config.json"))
		if scheduler := filepath.Join(from, "scheduler", "scheduler_config.json"); fileExists(scheduler) {
			sameJSON(t, scheduler, filepath.Join(dir, "scheduler", "scheduler_config.json"))
		}
	}
}

// TestExportConfig: a configuration written from the network alone, without the text that it came from, says the same.
func TestExportConfig(t *testing.T) {
	for _, name := range unet2DNets {
		if name == "net_nonsquare" {
			continue
		}
		m, _, err := unet.LoadUNet2D(golden.Path(t, "diffusers", name))
		if err != nil {
			t.Error(err)
			continue
		}
		m.Diffusers = nil
		dir := filepath.Join(t.TempDir(), "folder")
		if err := m.SaveUNet2D(dir, checkpoint.F32); err != nil {
			t.Error(err)
			continue
		}
		again, _, err := unet.LoadUNet2D(dir)
		if err != nil {
			t.Error(err)
		} else if got, want := again.Net.Config.JSON(), m.Net.Config.JSON(); got != want {
			t.Errorf("%s: %s became %s", name, want, got)
		}
	}
}

// storedAs is the type of a folder's weights.
func storedAs(t *testing.T, dir string) checkpoint.DType {
	t.Helper()
	f, err := checkpoint.OpenWeightFolder(dir, "diffusion_pytorch_model")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Tensors["conv_in.weight"].DType
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sameTensors compares names, types, shapes and values. Fourier frequencies are float32 in whatever we write.
func sameTensors(t *testing.T, what, a, b string) {
	t.Helper()
	var files [2]*checkpoint.File
	for i, dir := range []string{a, b} {
		f, err := checkpoint.OpenWeightFolder(dir, "diffusion_pytorch_model")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	if len(files[0].Tensors) != len(files[1].Tensors) {
		t.Errorf("%s: %d tensors became %d", what, len(files[0].Tensors), len(files[1].Tensors))
	}
	for name, x := range files[0].Tensors {
		y := files[1].Tensors[name]
		if y == nil || y.DType != x.DType && name != "time_proj.weight" || !slices.Equal(x.Shape, y.Shape) {
			t.Fatalf("%s: tensor %s: %v became %v", what, name, x, y)
		}
		v, err1 := x.Float32()
		w, err2 := y.Float32()
		if err1 != nil || err2 != nil || !slices.Equal(v, w) {
			t.Fatalf("%s: tensor %s has other values (%v, %v)", what, name, err1, err2)
		}
	}
}

func sameJSON(t *testing.T, a, b string) {
	t.Helper()
	var v [2]bytes.Buffer
	for i, path := range []string{a, b} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Compact(&v[i], text); err != nil {
			t.Fatal(err)
		}
	}
	if v[0].String() != v[1].String() {
		t.Errorf("%s became\n%s", &v[0], &v[1])
	}
}

// TestExportADM: an ADM of EDM's becomes a UNet2DModel that returns the same, bit for bit, read back by the importer; with
// the steps that EDM's iDDPM was trained on too.
func TestExportADM(t *testing.T) {
	c := unet.DefaultConfig("adm")
	c.Resolution, c.LabelDim, c.AugmentDim, c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 16, 3, 9, 128, []int{1, 2}, 1, []int{8, 4}
	for _, precond := range []string{"edm", "iddpm"} {
		if c.OutChannels = 3; precond == "iddpm" {
			c.OutChannels = 6
		}
		rng := rand.New(rand.NewPCG(1, 2))
		net, err := unet.New(c, rng)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range net.Params() { // the initial ones are partly zero
			for i := range p.Data {
				p.Data[i] += float32(0.02 * rng.NormFloat64())
			}
		}
		m := &unet.Model{Net: net, Card: unet.Card{Config: c, Precond: precond, SigmaData: 0.5, ImageRange: [2]float64{-1, 1}}}
		dir := filepath.Join(t.TempDir(), "folder")
		if err := m.SaveUNet2D(dir, checkpoint.F32); err != nil {
			t.Fatal(err)
		}
		if precond == "edm" { // its scheduler is read by a later importer; the network is what counts here
			if err := os.RemoveAll(filepath.Join(dir, "scheduler")); err != nil {
				t.Fatal(err)
			}
		}
		back, _, err := unet.LoadUNet2D(dir)
		if err != nil {
			t.Fatal(err)
		}
		x := tensor.New(2, 16, 16, 3)
		for i := range x.Data {
			x.Data[i] = float32(rng.NormFloat64())
		}
		in := unet.Inputs{Labels: []int{2, 0}}
		at := []float32{0.3, -0.7}
		golden.Close(t, precond, back.Net.Forward(nil, x, at, in).Data, net.Forward(nil, x, at, in).Data, 0)
	}
}

// TestExportRefused: what diffusers cannot express is named, and nothing is written.
func TestExportRefused(t *testing.T) {
	song := unet.DefaultConfig("song")
	song.Resolution, song.ModelChannels, song.ChannelMult, song.NumBlocks, song.LabelDim, song.PatchSize = 16, 8, []int{1, 1}, 1, 2, 2
	narrow := unet.DefaultConfig("adm")
	narrow.Resolution, narrow.ModelChannels, narrow.ChannelMult, narrow.NumBlocks, narrow.AttnResolutions = 16, 32, []int{2, 1}, 1, nil
	for _, c := range []struct {
		config  unet.Config
		precond string
		want    []string
	}{
		{song, "edm", []string{"√½", "attention in one block", "patches of 2×2", "class goes through"}},
		{narrow, "edm", []string{"different numbers of groups", "2 times as many channels"}},
	} {
		net, err := unet.New(c.config, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := &unet.Model{Net: net, Card: unet.Card{Config: c.config, Precond: c.precond, SigmaData: 0.5, ImageRange: [2]float64{-1, 1}}}
		dir := filepath.Join(t.TempDir(), "folder")
		err = m.SaveUNet2D(dir, checkpoint.F32)
		if !errors.Is(err, unet.ErrNotUNet2D) {
			t.Fatalf("%s: %v", c.config.ModelType, err)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("no %q in %v", want, err)
			}
		}
		if fileExists(dir) {
			t.Error("something was written")
		}
	}
}
