package main

import (
	"fmt"
	"maps"
	"strings"

	"diffuse/checkpoint"
	"diffuse/unet"
)

// inspectPickle describes a Python pickle or PyTorch file: networks of EDM, SiD and OpenAI as models, others by their arrays.
func inspectPickle(path, arch string) (*finding, error) {
	p, err := checkpoint.OpenPickle(path)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	defer p.Close()
	var f *finding
	if net, key := unet.EDMNetwork(p); net != nil {
		f, err = describeEDM(p, net, key)
	} else {
		var c *checkpoint.File
		if c, err = p.File(); err == nil && unet.IsOpenAI(c) {
			return inspectOpenAI(path, arch, p.Format, c)
		} else if err == nil {
			f = describeTensors(p.Format, c)
			if is := unet.Recognise(c.Names); is != "" {
				f.fact("recognised", "%s, which is not built in", is)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", path, err)
	}
	if keys := partKeys(p.Root); len(keys) > 0 {
		f.fact("holds", "%s", strings.Join(keys, ", "))
	}
	return f, nil
}

// describeEDM describes the network under key, and how the one-step generators that SiD saves are sampled.
func describeEDM(p *checkpoint.Pickle, net *checkpoint.Object, key string) (*finding, error) {
	m, err := unet.ReadEDM(p)
	if err != nil {
		return nil, err
	}
	c, err := p.Tensors(net)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(c.Tensors, func(name string, _ *checkpoint.Tensor) bool { return strings.HasSuffix(name, ".resample_filter") })
	kind := "EDM network snapshot"
	root, _ := p.Root.(*checkpoint.Dict)
	switch {
	case strings.HasPrefix(key, "G") || root != nil && len(root.Keys) == 1 && m.Precond == "edm":
		kind = "EDM or SiD network snapshot"
	case key == "net":
		kind = "EDM training state"
	}
	f := describeModel(kind+" ("+p.Format+")", m, c.Tensors)
	if strings.HasPrefix(kind, "EDM or SiD") {
		f.fact("sampling", "a one-step generator of SiD: --sampler euler --steps 1 --sigma-max 2.5; a diffusion model as usual")
	}
	return f, nil
}

// partKeys returns the keys of a dictionary of parts, and none of one that only holds arrays.
func partKeys(root any) (names []string) {
	d, ok := root.(*checkpoint.Dict)
	if !ok || len(d.Keys) > 50 {
		return nil
	}
	parts := false
	for i, key := range d.Keys {
		if _, array := d.Values[i].(*checkpoint.Tensor); !array {
			parts = true
		}
		if s, ok := key.(string); ok {
			names = append(names, s)
		}
	}
	if !parts {
		return nil
	}
	return names
}

// pickledModel reports whether a file is a pickle or PyTorch file with a network in it.
func pickledModel(path string) bool {
	if !checkpoint.IsPickle(path) {
		return false
	}
	p, err := checkpoint.OpenPickle(path)
	if err != nil {
		return false
	}
	defer p.Close()
	net, _ := unet.EDMNetwork(p)
	return net != nil
}
