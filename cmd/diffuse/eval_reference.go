package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/metric"
)

// reference opens what --ref names: statistics, or pictures of the samples' size.
func (o *evalOptions) reference(u *ui, e *extractor, samples pictureSet) (*reference, error) {
	if isStatistics(o.ref) {
		if o.refSplit != "" {
			return nil, usagef("--ref-split: %s holds statistics, not pictures", o.ref)
		}
		s, err := metric.ReadStats(o.ref)
		if err != nil {
			return nil, fmt.Errorf("--ref: %w", err)
		}
		if err := e.provenance("").Comparable(s.Provenance); err != nil {
			return nil, withHint(fmt.Errorf("--ref %s: %w", o.ref, err), "choose the same --features, or make statistics with --make-ref")
		}
		if d := len(s.Mean); d != e.Dim() {
			return nil, fmt.Errorf("--ref: %s has statistics of %d features, the %s network has %d", o.ref, d, e.Name(), e.Dim())
		}
		return &reference{gaussian: &s.Gaussian, what: statisticsWords(o.ref, s)}, nil
	}
	set, err := openStored(u, o.ref, o.refSplit, 0)
	if err != nil {
		return nil, fmt.Errorf("--ref: %w", err)
	}
	h, w, c := samples.Size()
	if rh, rw, rc := set.Size(); !strings.HasPrefix(e.Name(), "inception") && (rh != h || rw != w || rc != c) {
		err := fmt.Errorf("--ref: its pictures are %d×%d×%d, those to measure %d×%d×%d", rh, rw, rc, h, w, c)
		return nil, withHint(err, "sizes must agree, except for --features inception, which scales every picture itself")
	}
	return &reference{pictures: set, what: set.Describe()}, nil
}

// isStatistics tells a statistics file from pictures by its content. ADM's reference files hold both; their statistics are meant for
// Inception, so they count as statistics.
func isStatistics(path string) bool {
	for _, open := range []func(string) (*checkpoint.File, error){checkpoint.Open, checkpoint.OpenNPZ} {
		if f, err := open(path); err == nil {
			defer f.Close()
			_, mu := f.Tensors["mu"]
			_, sigma := f.Tensors["sigma"]
			return mu && sigma
		}
	}
	return false
}

// statisticsWords describes statistics for the report.
func statisticsWords(path string, s metric.Stats) string {
	words := path
	if s.N > 0 {
		words += fmt.Sprintf(", %d pictures", s.N)
	}
	if s.Data != "" {
		words += " of " + s.Data
	}
	return words
}

// provenance is what statistics made with e remember.
func (e *extractor) provenance(data string) metric.Provenance {
	p := metric.Provenance{Data: data, Extractor: e.Name(), ExtractorHash: e.hash}
	p.Extractor, p.Resize, _ = strings.Cut(e.Name(), "/")
	return p
}

// writeReference is --make-ref. The statistics are summed up batch by batch; no features are kept.
func (o *evalOptions) writeReference(ctx context.Context, u *ui, samples pictureSet, e *extractor) error {
	ext := strings.ToLower(filepath.Ext(o.makeRef))
	if ext != ".safetensors" && ext != ".npz" {
		return usagef("--make-ref: %s ends in neither .safetensors nor .npz", o.makeRef)
	}
	if err := checkOutput("make-ref", o.makeRef); err != nil {
		return err
	}
	sum := metric.NewAccumulator(e.Dim())
	err := samples.Each(ctx, u, func(pictures []imageio.Image, _ []int) error {
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

// An extractor is a feature network with the hash of its weights.
type extractor struct {
	metric.Extractor
	hash string
}
