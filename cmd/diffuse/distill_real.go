package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

	"diffuse/dataset"
	"diffuse/distill"
)

// realPictures say which pictures a distillation's adversarial loss is made with, if any.
type realPictures struct {
	Path  string `json:"path,omitempty"`
	Split string `json:"split,omitempty"`
	Num   int    `json:"num,omitempty"` // how many there are
}

// bind adds the flags of the pictures and of the loss.
func (r *realPictures) bind(f *pflag.FlagSet, o *distill.Options) {
	images := func(p *int64, name, usage string) { f.Var((*countValue)(p), name, usage) }
	f.StringVar(&r.Path, "adversarial", r.Path, "`SET` of real pictures that the fake network's encoder tells the student's from (SiDA, which has --alpha 1 with it); a folder or a file (diffuse data --help)")
	f.StringVar(&r.Split, "adversarial-split", r.Split, "part of the set, if it has parts: train or test (default train)")
	f.Float64Var(&o.CriticScale, "critic-scale", o.CriticScale, "factor on what that adds to the fake network's loss; unlike the rest of it, it does not grow with the picture, and SiDA's 1 is for 32×32×3 and more")
	f.Float64Var(&o.AdversarialScale, "adversarial-scale", o.AdversarialScale, "factor on what it adds to the generator's loss")
	images(&o.AdversarialHold, "adversarial-hold", "pictures, the first of the duration, in which the fake network learns alone")
	images(&o.AdversarialStart, "adversarial-start", "pictures after which the generator's loss is half adversarial")
	f.Float64Var(&o.FakeClip, "fake-clip", o.FakeClip, "limit to every value of the fake network's gradient (0 = none)")
	f.BoolVar(&o.Flip, "flip", o.Flip, "mirror every other real picture, left to right (default: as the teacher was trained)")
}

// check refuses flags that have no effect, and pictures that the teacher cannot be compared with. It makes the path absolute.
func (r *realPictures) check(typed *pflag.FlagSet, o *distill.Options, teacher *model) error {
	o.Adversarial = r.Path != ""
	if !o.Adversarial {
		o.Flip = false
		for _, name := range []string{"adversarial-split", "critic-scale", "adversarial-scale", "adversarial-hold", "adversarial-start", "fake-clip", "flip"} {
			if typed.Changed(name) {
				return usagef("--%s has no effect without --adversarial", name)
			}
		}
		return nil
	}
	if teacher.low != -1 || teacher.high != 1 {
		return usagef("--adversarial: %s makes pictures from %g to %g, real ones are read as -1 to 1", teacher.name, teacher.low, teacher.high)
	}
	var err error
	r.Path, err = filepath.Abs(r.Path)
	return err
}

// open opens the pictures in the teacher's size; nil if there are none.
func (r *realPictures) open(u *ui, teacher *model) (dataset.Dataset, error) {
	if r.Path == "" {
		return nil, nil
	}
	d, err := openSet(u, r.Path, dataset.Options{Height: teacher.height, Width: teacher.width, Grey: teacher.channels == 1, Split: r.Split})
	if err != nil {
		return nil, fmt.Errorf("--adversarial: %w", err)
	}
	if n := d.Labels(); teacher.labels > 0 && n != teacher.labels {
		return nil, usagef("--adversarial: %s has %d classes, %s %d", r.Path, n, teacher.name, teacher.labels)
	}
	r.Num = d.Len()
	return d, nil
}
