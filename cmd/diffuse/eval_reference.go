package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"diffuse/checkpoint"
	"diffuse/metric"
)

// A reference is real pictures, their statistics or both; the Fréchet distance prefers statistics.
type reference struct {
	pictures *storedSet
	gaussian *metric.Gaussian
	what     string
}

// reference opens what --ref names: statistics, or pictures of the samples' size, h×w×c.
func (s *evalSettings) reference(u *ui, e *extractor, h, w, c int) (*reference, error) {
	if s.own != nil {
		return &reference{pictures: s.own, what: s.own.Describe()}, nil
	}
	statistics, pictures := contents(s.ref)
	ref := &reference{}
	if statistics && (!pictures || strings.HasPrefix(e.Name(), "inception-2048/")) {
		if s.refSplit != "" {
			return nil, usagef("--ref-split: %s holds statistics, not a data set in parts", s.ref)
		}
		stats, err := metric.ReadStats(s.ref)
		if err != nil {
			return nil, fmt.Errorf("--ref: %w", err)
		}
		if err := e.provenance("").Comparable(stats.Provenance); err != nil {
			return nil, withHint(fmt.Errorf("--ref %s: %w", s.ref, err), "choose the same --features, or make statistics with --make-ref")
		}
		if d := len(stats.Mean); d != e.Dim() {
			return nil, fmt.Errorf("--ref: %s has statistics of %d features, the %s network has %d", s.ref, d, e.Name(), e.Dim())
		}
		ref.gaussian, ref.what = &stats.Gaussian, statisticsWords(s.ref, stats)
		if !pictures {
			return ref, nil
		}
	}
	if model, err := namesModel(s.ref); err == nil && model {
		return nil, withHint(usagef("--ref: %s is a model, not pictures or statistics", s.ref), "make statistics of what it draws first: diffuse eval %s --make-ref FILE.safetensors", s.ref)
	}
	set, err := openStored(u, s.ref, s.refSplit, 0, s.read)
	if err != nil {
		return nil, fmt.Errorf("--ref: %w", err)
	}
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
	return checkpoint.IsPickle(path) && !strings.EqualFold(filepath.Ext(path), ".npz") && !pickledModel(path), false
}

// statisticsWords describes statistics for the report.
func statisticsWords(path string, s metric.Stats) string {
	words := path
	if n := fmt.Sprintf(", %d pictures", s.N); s.N > 0 && !strings.Contains(s.Data+",", n+",") {
		words += n
	}
	if s.Data != "" {
		words += " of " + s.Data
	}
	if s.Extractor == "" {
		words += ", features not stated"
	}
	return words
}
