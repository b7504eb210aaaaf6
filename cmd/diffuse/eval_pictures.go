package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/internal/kernel"
	"diffuse/sampler"
	"diffuse/train"
	"diffuse/unet"
	"diffuse/zoo"
)

// A pictureSet is what "diffuse eval" measures: pictures of a file or folder, or those that a model draws.
type pictureSet interface {
	Len() int
	Size() (h, w, c int)
	ClassNames() []string // nil if unlabelled
	// Each calls f with one batch of at most batch pictures after the other; labels are -1 where there is none. The pictures are f's to keep.
	Each(ctx context.Context, u *ui, batch int, f func(pictures []imageio.Image, labels []int) error) error
	Describe() string
}

// namesModel tells a MODEL argument from a set of pictures, by content.
func namesModel(arg string) (bool, error) {
	if _, ok := zoo.Entries()[arg]; ok || strings.HasSuffix(arg, ".gmm.json") {
		return true, nil
	}
	info, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		err := fmt.Errorf("%q: no such file, folder or embedded model", arg)
		return false, hintEmbedded(err, arg)
	}
	if err != nil {
		return false, err
	}
	if info.IsDir() {
		_, _, err := train.ReadOptions(arg)
		return !errors.Is(err, fs.ErrNotExist) || unet.IsUNet2D(arg), nil
	}
	if unet.IsUNet2D(arg) {
		return true, nil
	}
	f, err := checkpoint.Open(arg)
	if err != nil {
		return pickledModel(arg), nil // if it is not, whatever it is, the data set's reader will say what is wrong
	}
	defer f.Close()
	return strings.HasPrefix(f.Meta["format"], "diffuse-model-"), nil
}

// A storedSet is a data set, or its first pictures.
type storedSet struct {
	dataset.Dataset
	path, split string
	pick        []int // those that count, nil for all
}

// openStored opens pictures at path; at most the given number of them (0 = all), drawn at random, since the first ones of a folder
// may all be of one class. o says how they are read, but for the part.
func openStored(u *ui, path, split string, most int, o dataset.Options) (*storedSet, error) {
	o.Split = split
	d, err := openSet(u, path, o)
	if errors.Is(err, dataset.ErrSizes) {
		return nil, withHint(err, "pictures are measured at one size: scale them first, with the same program on both sides: diffuse data pack --resolution N")
	}
	if err != nil {
		return nil, err
	}
	s := &storedSet{Dataset: d, path: path, split: split}
	if most > d.Len() {
		u.warn("%s holds %d pictures, not %d", path, d.Len(), most)
	}
	s.draw(most)
	return s, nil
}

// draw limits the set to the given number of pictures, if it is larger and the number not 0.
func (s *storedSet) draw(most int) {
	if n := s.Dataset.Len(); 0 < most && most < n {
		s.pick = sampler.Stream(0, "eval subset").Perm(n)[:most]
		slices.Sort(s.pick)
	}
}

func (s *storedSet) Len() int {
	if s.pick != nil {
		return len(s.pick)
	}
	return s.Dataset.Len()
}

func (s *storedSet) Describe() string {
	d := fmt.Sprintf("%s, %d pictures", s.path, s.Len())
	if s.pick != nil {
		d += fmt.Sprintf(" (drawn from %d by seed 0)", s.Dataset.Len())
	}
	if s.split != "" {
		d += ", split " + s.split
	}
	return d
}

func (s *storedSet) Each(ctx context.Context, u *ui, size int, f func([]imageio.Image, []int) error) error {
	return s.each(ctx, u, "measuring", size, f)
}

// each is Each; what is being done stands in the progress. The pictures of a batch are decoded in parallel.
func (s *storedSet) each(ctx context.Context, u *ui, what string, size int, f func([]imageio.Image, []int) error) error {
	n := s.Len()
	bar := u.progress(what+" "+s.path, "pictures", 0, float64(n))
	defer bar.finish()
	h, w, c := s.Size()
	for lo := 0; lo < n; lo += size {
		if ctx.Err() != nil {
			return errInterrupted
		}
		pictures := make([]imageio.Image, min(size, n-lo))
		labels, errs := make([]int, len(pictures)), make([]error, len(pictures))
		kernel.For(len(pictures), 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				pictures[i] = imageio.New(h, w, c)
				labels[i], errs[i] = s.Get(s.index(lo+i), pictures[i].Pix)
			}
		})
		for _, err := range errs {
			if err != nil {
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

// index is the number in the data set of picture i.
func (s *storedSet) index(i int) int {
	if s.pick != nil {
		return s.pick[i]
	}
	return i
}

// A drawnSet is what a model draws.
type drawnSet struct {
	plan    *samplePlan
	unasked bool // nobody named a number: say what it costs
}

func (s drawnSet) Len() int { return len(s.plan.pictures) }

// ClassNames names all classes of a model that has some, by number where it has no names; it is nil if every picture is of no class.
func (s drawnSet) ClassNames() []string {
	if !slices.ContainsFunc(s.plan.pictures, func(p picture) bool { return p.Class >= 0 }) {
		return nil
	}
	names := make([]string, s.plan.model.labels)
	for i := range names {
		names[i] = s.plan.model.className(i)
	}
	return names
}

func (s drawnSet) Size() (h, w, c int) {
	return s.plan.model.height, s.plan.model.width, s.plan.model.channels
}

func (s drawnSet) Describe() string {
	r := s.plan.report(s.plan.pictures)
	d := r.Model
	if r.ModelSHA != "" { // not of a model that is still being trained
		d += fmt.Sprintf(" (sha256 %s)", r.ModelSHA)
	}
	d += fmt.Sprintf(", %s by %s, %s, NFE %d", plural(r.Pictures, "picture"), r.Sampler, plural(r.Steps, "step"), r.NFE)
	if r.Skip != "" {
		d += ", skip " + r.Skip
	}
	if r.Guidance != nil {
		d += fmt.Sprintf(", guidance %g", r.Guidance.Weight)
	}
	if 0 < len(r.Classes) && len(r.Classes) < s.plan.model.labels {
		d += ", classes " + strings.Join(r.Classes, " ")
	}
	const most = 60 // a list of scattered seeds may be long; the JSON report has it whole
	if len(r.Seeds) > most {
		r.Seeds = r.Seeds[:most] + "…"
	}
	return d + ", seeds " + r.Seeds
}

// Each draws and hands on the plan's own batches.
func (s drawnSet) Each(ctx context.Context, u *ui, _ int, f func([]imageio.Image, []int) error) error {
	p := s.plan
	bar := u.progress("sampling", "pictures", 0, float64(len(p.pictures)))
	defer bar.finish()
	per, started := p.model.size(), time.Now()
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
		if s.unasked && lo == 0 {
			all := time.Since(started) * time.Duration(len(p.pictures)) / time.Duration(len(batch))
			u.note("drawing %d pictures, as papers do, will take about %s; --num 10000 is quicker, and comparable with its equals only", len(p.pictures), all.Round(time.Second))
		}
	}
	return nil
}
