package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"diffuse/checkpoint"
	"diffuse/unet"
)

// weightStem is how diffusers calls a network's weights.
const weightStem = "diffusion_pytorch_model"

// diffusersModel loads a network of diffusers from its folder or from a file in it, whose scheduler says how to sample unless the user does.
func diffusersModel(path string) (*model, error) {
	net, _, err := unet.LoadUNet2D(path)
	if err != nil {
		return nil, err
	}
	m, err := fromNetwork(net)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	files, sum, err := diffusersHash(path)
	if err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	m.path, m.name, m.sha = files[0], filepath.Base(absolute), sum[:12]
	return m, nil
}

// diffusersHash returns the files of a network's weights and their SHA-256: that of the file, or of the list of the files' if there are several.
func diffusersHash(path string) (files []string, sum string, err error) {
	_, weights, err := unet.UNet2DWeights(path)
	if err != nil {
		return nil, "", err
	}
	if files, err = checkpoint.WeightFiles(weights); err != nil {
		return nil, "", err
	}
	h := sha256.New()
	for _, file := range files {
		if sum, err = fileHash(file); err != nil {
			return nil, "", err
		}
		fmt.Fprintln(h, sum)
	}
	if len(files) > 1 {
		sum = hex.EncodeToString(h.Sum(nil))
	}
	return files, sum, nil
}

// inspectDiffusers describes a folder of diffusers: its network as a model if it is built in, else its arrays and why it is not.
func inspectDiffusers(path string) (*finding, error) {
	_, weights, err := unet.UNet2DWeights(path)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	c, err := checkpoint.OpenShards(weights)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	defer c.Close()
	m, scheduler, err := unet.LoadUNet2D(path)
	if err != nil {
		f := describeTensors("diffusers folder", c)
		f.fact("not usable", "%v", err)
		if wrong := new(unet.MismatchError); errors.As(err, &wrong) {
			f.value.(map[string]any)["mismatch"] = wrong.Tensors
		}
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
