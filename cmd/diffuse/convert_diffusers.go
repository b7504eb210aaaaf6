package main

import (
	"errors"
	"path/filepath"

	"diffuse/checkpoint"
	"diffuse/unet"
)

// exportDiffusers writes a model as a folder of diffusers.
func exportDiffusers(u *ui, in, out, arch string, d checkpoint.DType) error {
	if err := checkOutput("OUT", filepath.Clean(out)+".new"); err != nil { // made beside, then renamed
		return err
	}
	m, err := openModelAs(in, arch)
	if err != nil {
		return err
	}
	if m.net == nil {
		return usagef("%s is a formula, not weights", in)
	}
	if d == sameType {
		d = storedType(in)
	}
	err = m.net.SaveUNet2D(out, d)
	if errors.Is(err, unet.ErrNotUNet2D) {
		return withHint(err, "what can be: models that came from diffusers, networks of --model-type adm whose widths are all 128 or more, and of model_type unet2d (train --network); convert writes others as .safetensors or, the weights alone, .npz")
	}
	if err != nil {
		return err
	}
	c := m.net.Net.Config
	if c.AugmentDim > 0 {
		u.note("the weights for augmentation labels, which only training uses, are left out")
	}
	if c.LabelDim > 0 {
		u.note("diffusers always wants a class; drawing without one (--class none) has no counterpart there")
	}
	weights, err := checkpoint.Open(filepath.Join(out, "unet", weightStem+".safetensors"))
	if err != nil {
		return err
	}
	defer weights.Close()
	r := convertReport{In: in, Out: out, Kind: "diffusers folder", Tensors: len(weights.Tensors), DType: d}
	return r.finish(u, weights, filepath.Join(out, "unet", weightStem+".safetensors"))
}
