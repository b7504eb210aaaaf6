package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"diffuse/checkpoint"
	"diffuse/unet"
)

// weightStem is how diffusers calls a network's weights.
const weightStem = "diffusion_pytorch_model"

// diffusersModel loads a folder of diffusers, whose scheduler says how to sample unless the user does.
func diffusersModel(dir string) (*model, error) {
	net, _, err := unet.LoadUNet2D(dir)
	if err != nil {
		return nil, err
	}
	m, err := fromNetwork(net)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", dir, err)
	}
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
	if opened, err := fromNetwork(m); err == nil && opened.scheduler != "" {
		f.fact("scheduler", "%s", opened.bringsText())
	} else {
		f.fact("scheduler", "%s", orNone(scheduler.Class))
	}
	return f, nil
}
