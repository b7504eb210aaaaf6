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
	statistics, pictures := contents(o.ref)
	ref := &reference{}
	if statistics && (!pictures || strings.HasPrefix(e.Name(), "inception-2048/")) {
		if o.refSplit != "" {
			return nil, usagef("--ref-split: %s holds statistics, not a data set in parts", o.ref)
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
		ref.gaussian, ref.what = &s.Gaussian, statisticsWords(o.ref, s)
		if !pictures {
			return ref, nil
		}
	}
	if model, err := namesModel(o.ref); err == nil && model {
		return nil, withHint(usagef("--ref: %s is a model, not pictures or statistics", o.ref), "make statistics of what it draws first: diffuse eval %s --make-ref FILE.safetensors", o.ref)
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
	ref.pictures = set
	if ref.gaussian == nil {
		ref.what = set.Describe()
	} else {
		ref.what += fmt.Sprintf("; and its %d pictures", set.Len())
	}
	return ref, nil
}

// contents tells what is in a file that may be statistics or pictures. ADM's reference files hold both: the statistics, of Inception's
// layer 2048, are of all pictures of a data set, and the pictures are some of them. Pickles other than networks pass for statistics, as EDM2's
// are, so that their reader can say what it thinks of them.
func contents(path string) (statistics, pictures bool) {
	for _, open := range []func(string) (*checkpoint.File, error){checkpoint.Open, checkpoint.OpenNPZ} {
		if f, err := open(path); err == nil {
			defer f.Close()
			_, mu := f.Tensors["mu"]
			_, sigma := f.Tensors["sigma"]
			_, arr := f.Tensors["arr_0"]
			return mu && sigma, arr
		}
	}
	return checkpoint.IsPickle(path) && !pickledModel(path), false
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
	if s.Extractor == "" {
		words += ", features not stated"
	}
	return words
}

// provenance is what statistics made with e remember.
func (e *extractor) provenance(data string) metric.Provenance {
	p := metric.Provenance{Data: data, ExtractorHash: e.hash}
	p.Extractor, p.Resize, _ = strings.Cut(e.Name(), "/")
	if e.resize != "" {
		p.Resize = e.resize
	}
	return p
}

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

// An extractor is a feature network with what statistics remember of it.
type extractor struct {
	metric.Extractor
	hash   string // of its weights
	resize string // what brings pictures to its size, unless its name says so
	batch  int    // pictures at a time
}
