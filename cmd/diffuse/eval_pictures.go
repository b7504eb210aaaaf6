package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/train"
	"diffuse/zoo"
)

// A pictureSet is what "diffuse eval" measures: pictures of a file or folder, or those that a model draws.
type pictureSet interface {
	Len() int
	Size() (h, w, c int)
	ClassNames() []string // nil if unlabelled
	// Each calls f with one batch after the other; labels are -1 where there is none. The pictures are f's to keep.
	Each(ctx context.Context, u *ui, f func(pictures []imageio.Image, labels []int) error) error
	Describe() string
}

// evalBatch is the number of pictures that features are computed for at a time.
const evalBatch = 256

// namesModel tells a MODEL argument from a set of pictures, by content.
func namesModel(arg string) (bool, error) {
	if _, ok := zoo.Entries()[arg]; ok || strings.HasSuffix(arg, ".gmm.json") {
		return true, nil
	}
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		err := fmt.Errorf("%q: no such file, folder or embedded model", arg)
		return false, withHint(err, "embedded models: %s", strings.Join(sortedKeys(zoo.Entries()), ", "))
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		_, _, err := train.ReadOptions(arg)
		return !errors.Is(err, fs.ErrNotExist), nil
	}
	f, err := checkpoint.Open(arg)
	if err != nil {
		return false, nil // whatever it is, it is not a model file; the data set's reader will say what is wrong
	}
	defer f.Close()
	return strings.HasPrefix(f.Meta["format"], "diffuse-model-"), nil
}

// A storedSet is a data set, or its first pictures.
type storedSet struct {
	dataset.Dataset
	path, split string
	n           int
}

// openStored opens pictures at path; at most the given number of them (0 = all).
func openStored(u *ui, path, split string, most int) (*storedSet, error) {
	d, err := dataset.Open(path, dataset.Options{Split: split, Warn: func(line string) { u.warn("%s", line) }})
	if err != nil {
		return nil, err
	}
	n := d.Len()
	if most > 0 {
		n = min(n, most)
	}
	return &storedSet{d, path, split, n}, nil
}

func (s *storedSet) Len() int { return s.n }

func (s *storedSet) Describe() string {
	d := fmt.Sprintf("%s, %d pictures", s.path, s.n)
	if all := s.Dataset.Len(); s.n < all {
		d += fmt.Sprintf(" (the first of %d)", all)
	}
	if s.split != "" {
		d += ", split " + s.split
	}
	return d
}

func (s *storedSet) Each(ctx context.Context, u *ui, f func([]imageio.Image, []int) error) error {
	bar := u.progress("reading", "pictures", 0, float64(s.n))
	defer bar.finish()
	h, w, c := s.Size()
	for lo := 0; lo < s.n; lo += evalBatch {
		if ctx.Err() != nil {
			return errInterrupted
		}
		pictures := make([]imageio.Image, min(evalBatch, s.n-lo))
		labels := make([]int, len(pictures))
		for i := range pictures {
			pictures[i] = imageio.New(h, w, c)
			var err error
			if labels[i], err = s.Get(lo+i, pictures[i].Pix); err != nil {
				return err
			}
		}
		if err := f(pictures, labels); err != nil {
			return err
		}
		bar.set(float64(lo+len(pictures)), "")
	}
	return nil
}

// A drawnSet is what a model draws.
type drawnSet struct{ plan *samplePlan }

func (s drawnSet) Len() int             { return len(s.plan.pictures) }
func (s drawnSet) ClassNames() []string { return s.plan.model.classes }
func (s drawnSet) Size() (h, w, c int) {
	return s.plan.model.height, s.plan.model.width, s.plan.model.channels
}

func (s drawnSet) Describe() string {
	r := s.plan.report(s.plan.pictures)
	d := fmt.Sprintf("%s (sha256 %s), %d pictures by %s, %d steps, NFE %d", r.Model, r.ModelSHA, r.Pictures, r.Sampler, r.Steps, r.NFE)
	if r.Skip != "" {
		d += ", skip " + r.Skip
	}
	if r.Seeds != "" {
		d += ", seeds " + r.Seeds
	}
	return d
}

func (s drawnSet) Each(ctx context.Context, u *ui, f func([]imageio.Image, []int) error) error {
	p := s.plan
	bar := u.progress("sampling", "pictures", 0, float64(len(p.pictures)))
	defer bar.finish()
	per := p.model.size()
	for lo := 0; lo < len(p.pictures); lo += p.batch {
		batch := p.pictures[lo:min(lo+p.batch, len(p.pictures))]
		x, err := p.drawBatch(ctx, lo, batch, nil, bar)
		if err != nil {
			return err
		}
		pictures, labels := make([]imageio.Image, len(batch)), make([]int, len(batch))
		for i, pic := range batch {
			values := x[i*per : (i+1)*per]
			if err := p.checkFinite(pic, values); err != nil {
				return err
			}
			pictures[i], labels[i] = p.model.image(values), pic.Class
		}
		if err := f(pictures, labels); err != nil {
			return err
		}
	}
	return nil
}
