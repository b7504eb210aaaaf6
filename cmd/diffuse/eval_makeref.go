package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"diffuse/imageio"
	"diffuse/metric"
)

// writeReference is --make-ref. The statistics are summed up batch by batch; no features are kept.
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
	sum := metric.NewAccumulator(e.Dim())
	err := samples.Each(ctx, u, e.batch, func(pictures []imageio.Image, _ []int) error {
		rows := make([]float64, len(pictures)*e.Dim())
		if err := e.Features(rows, pictures); err != nil {
			return err
		}
		return sum.Add(metric.Features{N: len(pictures), D: e.Dim(), X: rows})
	})
	if err != nil {
		return err
	}
	g, err := sum.Gaussian()
	if err != nil {
		return err
	}
	s := metric.Stats{Gaussian: g, Provenance: e.provenance(samples.Describe())}
	write := s.WriteFile
	if ext == ".npz" {
		write = s.WriteNPZ
	}
	if err := write(o.makeRef); err != nil {
		return err
	}
	if u.json {
		return u.result(map[string]any{"statistics": o.makeRef, "pictures": g.N, "features": e.Name()})
	}
	u.summary("%s: statistics of %d pictures, %s features", o.makeRef, g.N, e.Name())
	return nil
}
