package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"diffuse/checkpoint"
	"diffuse/sampler"
	"diffuse/unet"
	"diffuse/zoo"
)

// weightStem is how diffusers calls a network's weights.
const weightStem = "diffusion_pytorch_model"

// diffusersModel loads a folder of diffusers. Its scheduler chooses the sampler, the steps that it was trained on the range of noise levels.
func diffusersModel(dir string) (*model, error) {
	net, scheduler, err := unet.LoadUNet2D(dir)
	if err != nil {
		return nil, err
	}
	m, err := fromNetwork(net)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", dir, err)
	}
	m.defaults = schedulerSettings(scheduler, m)
	files, err := checkpoint.WeightFiles(unet.UNet2DFolder(dir), weightStem)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, path := range files {
		sum, err := fileHash(path)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(h, sum)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	m.path, m.name, m.sha = files[0], filepath.Base(absolute), hex.EncodeToString(h.Sum(nil)[:6])
	return m, nil
}

// schedulerSettings are the settings of sample for a scheduler. Those that only exist with noise in every step become ddim, their limit without.
func schedulerSettings(s unet.Scheduler, m *model) zoo.Entry {
	e := edmSettings()
	e.Sampler, e.Steps = "ddim", 50
	if i, err := sampler.Lookup(s.Class); err == nil {
		e.Sampler = i.Name
	}
	e.SigmaMin, e.SigmaMax = m.precond.SigmaMin, m.precond.SigmaMax
	return e
}

// inspectDiffusers describes a folder of diffusers: its network as a model if it is built in, else its arrays and why it is not.
func inspectDiffusers(dir string) (*finding, error) {
	c, err := checkpoint.OpenWeightFolder(unet.UNet2DFolder(dir), weightStem)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	defer c.Close()
	m, scheduler, err := unet.LoadUNet2D(dir)
	if err != nil {
		f := describeTensors("diffusers folder", c)
		f.fact("not usable", "%v", err)
		return f, nil
	}
	f := describeModel("diffusers folder", m, c.Tensors)
	f.fact("scheduler", "%s", orNone(scheduler.Class))
	return f, nil
}
