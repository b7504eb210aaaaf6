package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"diffuse/metric"
)

// writeReference is --make-ref.
func (o *evalOptions) writeReference(ctx context.Context, u *ui, arg string, samples pictureSet, e *extractor) error {
	ext := strings.ToLower(filepath.Ext(o.makeRef))
	if ext != ".safetensors" && ext != ".npz" {
		return usagef("--make-ref: %s ends in neither .safetensors nor .npz", o.makeRef)
	}
	inputs := [][2]string{{"SAMPLES", arg}, {"--inception", o.inception}}
	if d, ok := samples.(drawnSet); ok {
		inputs = append(inputs, [2]string{"the model", d.plan.model.path})
		if g := d.plan.guide; g != nil && g.model != nil {
			inputs = append(inputs, [2]string{"--gnet", g.model.path})
		}
	}
	if err := distinct(inputs, [2]string{"--make-ref", o.makeRef}); err != nil {
		return err
	}
	if err := checkOutput("make-ref", o.makeRef); err != nil {
		return err
	}
	if n := samples.Len(); n < 2 {
		return fmt.Errorf("statistics need at least 2 pictures; there are %d", n)
	}
	seen, err := o.summed(ctx, u, samples, e)
	if err != nil {
		return err
	}
	s := metric.Stats{Gaussian: seen.gaussian, Provenance: e.provenance(samples.Describe())}
	write := s.WriteFile
	if ext == ".npz" {
		write = s.WriteNPZ
	}
	if err := write(o.makeRef); err != nil {
		return err
	}
	if u.json {
		return u.result(map[string]any{"statistics": o.makeRef, "pictures": seen.N, "features": e.Name()})
	}
	u.summary("%s: statistics of %d pictures, %s features", o.makeRef, seen.N, e.Name())
	return nil
}

// summed computes mean and covariance of the features of samples, batch by batch, or takes them from what is kept of a data set.
func (o *evalOptions) summed(ctx context.Context, u *ui, samples pictureSet, e *extractor) (*featureSet, error) {
	need := kept{gaussian: true}
	if set, ok := samples.(*storedSet); ok && !o.noCache {
		return extractCached(ctx, u, set, e, need)
	}
	return extract(ctx, u, samples, e, need)
}
