package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/sampler"
)

// runSample is "diffuse sample": check everything, then draw batch after batch and hand each to the outputs.
func runSample(ctx context.Context, u *ui, o *sampleOptions, modelArg string) error {
	p, err := o.plan(u, modelArg)
	if err != nil {
		return err
	}
	if o.dryRun {
		return p.announce(u)
	}
	if p.outdir != "" {
		if err := makeFolder("outdir", p.outdir); err != nil {
			return err
		}
	}
	if p.skipExisting {
		if err := p.skipDone(u); err != nil || len(p.pictures) == 0 {
			return err
		}
	}
	started := time.Now()
	out := &collected{plan: p}
	if p.npz == "" {
		err = p.drawAll(ctx, u, out)
	} else {
		err = p.withNPZ(out, func() error { return p.drawAll(ctx, u, out) })
	}
	if err != nil {
		return p.explain(err, out)
	}
	if err := out.finish(); err != nil {
		return err
	}
	return p.conclude(u, time.Since(started))
}

// An onlooker is shown every picture on its way. lo is the number of a batch's first picture; slices are valid during the call.
type onlooker interface {
	begin(lo int, sigma float64, x []float64) // the state at the first noise level
	add(lo int, s sampler.State)
	end(lo int, x []float64) // the result
}

// drawAll draws all pictures in batches.
func (p *samplePlan) drawAll(ctx context.Context, u *ui, out *collected) error {
	bar := u.progress("sampling", "pictures", 0, float64(len(p.pictures)))
	defer bar.finish()
	var onlookers []onlooker
	var states *trace
	if p.trace != "" {
		states = newTrace(len(p.pictures), p.model.size(), p.levels)
		onlookers = append(onlookers, states)
	}
	var frames *film
	if p.animate != "" {
		frames = &film{model: p.model, show: p.animateShow, across: p.between != nil}
		onlookers = append(onlookers, frames)
	}
	if p.preview {
		bar.u = &ui{stderr: u.stderr, quiet: true} // one thing at a time in the same place
		onlookers = append(onlookers, newPreview(u.stderr, p.model))
	}
	for lo := 0; lo < len(p.pictures); lo += p.batch {
		batch := p.pictures[lo:min(lo+p.batch, len(p.pictures))]
		x, err := p.drawBatch(ctx, lo, batch, onlookers, bar)
		if err != nil {
			return err
		}
		if err := out.add(batch, x); err != nil {
			return err
		}
	}
	if states != nil {
		if err := states.write(p.trace, p.model); err != nil {
			return err
		}
	}
	if frames != nil {
		return p.writeFilm(frames)
	}
	return nil
}

// drawBatch draws the pictures from number lo on, N×C×H×W.
func (p *samplePlan) drawBatch(ctx context.Context, lo int, batch []picture, onlookers []onlooker, bar *progress) ([]float64, error) {
	step := 0
	start, noise := []float64(nil), sampler.Noise(nil)
	failed := new(error)
	if p.given != nil {
		start, noise, failed = p.given.batch(lo, lo+len(batch), &step, max(1, p.sampler.Draws))
	} else {
		start, noise = p.seededNoise(batch)
	}
	p.begin(start)
	for _, w := range onlookers {
		w.begin(lo, p.sigmas[0], start)
	}
	x, err := p.draw(ctx, batch, start, noise, func(s sampler.State) error {
		if *failed != nil {
			return *failed
		}
		step = s.Step
		for _, w := range onlookers {
			w.add(lo, s)
		}
		bar.set(float64(lo)+float64(len(batch))*p.share(s), "")
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, w := range onlookers {
		w.end(lo, x)
	}
	return x, nil
}

// skipDone drops the pictures that --outdir already has. Files of other options are not ours to judge, only to mention.
func (p *samplePlan) skipDone(u *ui) error {
	var left []picture
	found, other := 0, 0
	for _, pic := range p.pictures {
		meta, err := imageio.ReadPNGMeta(p.pngPath(pic))
		if errors.Is(err, fs.ErrNotExist) {
			left = append(left, pic)
			continue
		}
		if err != nil {
			return withHint(fmt.Errorf("--skip-existing: %w", err), "remove the file to have it drawn again")
		}
		found++
		if meta["diffuse"] != p.metadata([]picture{pic}, false)["diffuse"] {
			other++
		}
	}
	if other > 0 {
		u.warn("%d of the %d pictures that %s has already were made with other options, or by another version", other, found, p.outdir)
	}
	u.note("%s: %d of %d pictures are there", p.outdir, found, len(p.pictures))
	p.pictures = left
	return nil
}

// collected hands finished pictures to the wanted outputs.
type collected struct {
	plan  *samplePlan
	npz   io.Writer       // arr_0, or nil
	sheet []imageio.Image // for the grid
	files int             // PNGs written
}

// add converts a batch and writes what can be written at once.
func (c *collected) add(batch []picture, x []float64) error {
	p, per := c.plan, c.plan.model.size()
	for i, pic := range batch {
		values := x[i*per : (i+1)*per]
		if err := p.checkFinite(pic, values); err != nil {
			return err
		}
		if c.npz == nil && p.outdir == "" && p.picture == "" {
			continue
		}
		img := p.model.image(values)
		if c.npz != nil {
			if _, err := c.npz.Write(img.Pix); err != nil {
				return err
			}
		}
		if p.outdir != "" {
			if err := imageio.WritePNG(p.pngPath(pic), img, p.metadata([]picture{pic}, false)); err != nil {
				return err
			}
			c.files++
		}
		if p.picture != "" {
			c.sheet = append(c.sheet, img)
		}
	}
	return nil
}

// finish writes the grid.
func (c *collected) finish() error {
	p := c.plan
	if p.picture == "" {
		return nil
	}
	sheet := enlarge(imageio.Grid(c.sheet, p.columns, gridPadding, gridGround), p.scale)
	return imageio.WritePNG(p.picture, sheet, p.metadata(p.pictures, true))
}

const (
	gridPadding = 2   // pixels between pictures
	gridGround  = 255 // brightness between pictures
)

// checkFinite refuses to turn NaN into a picture.
func (p *samplePlan) checkFinite(pic picture, values []float64) error {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			err := fmt.Errorf("the picture of seed %d is %v at element %d", pic.Seed, v, i)
			return withHint(err, "weights that are not finite, or extreme --sigmas, --guidance or --skip, do this")
		}
	}
	return nil
}

// image turns one sample, C×H×W in the model's range, into bytes.
func (m *model) image(x []float64) imageio.Image {
	if m.low != -1 || m.high != 1 {
		scaled := make([]float64, len(x))
		for i, v := range x {
			scaled[i] = 2*(v-m.low)/(m.high-m.low) - 1
		}
		x = scaled
	}
	return imageio.FromPlanes(x, m.channels, m.height, m.width)
}

// withNPZ runs draw while an npz file is being written; the file appears only if all goes well.
func (p *samplePlan) withNPZ(out *collected, draw func() error) error {
	return checkpoint.AtomicFile(p.npz, func(w io.Writer) error {
		n, m := len(p.pictures), p.model
		z := checkpoint.NewNPZWriter(w)
		var err error
		if out.npz, err = z.Create("arr_0", checkpoint.U8, []int{n, m.height, m.width, m.channels}); err != nil {
			return err
		}
		if err := draw(); err != nil {
			return err
		}
		if m.labels > 0 {
			labels, err := z.Create("arr_1", checkpoint.I64, []int{n})
			if err != nil {
				return err
			}
			buf := make([]byte, 0, 8*n)
			for _, pic := range p.pictures {
				buf = binary.LittleEndian.AppendUint64(buf, uint64(pic.Class))
			}
			if _, err := labels.Write(buf); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

// explain adds to an error what it left behind.
func (p *samplePlan) explain(err error, out *collected) error {
	if out.files == 0 {
		return err
	}
	goOn := "the same command with --skip-existing goes on from there"
	if p.picture != "" || p.npz != "" || p.trace != "" || p.animate != "" { // which need all pictures drawn
		goOn = "with --outdir alone, --skip-existing goes on from there"
	}
	return withHint(err, "the %d pictures in %s are whole; %s", out.files, p.outdir, goOn)
}

// pngPath is where a picture of its own goes.
func (p *samplePlan) pngPath(pic picture) string {
	return filepath.Join(p.outdir, fmt.Sprintf("%06d.png", pic.Seed))
}

// enlarge repeats every pixel k×k times.
func enlarge(m imageio.Image, k int) imageio.Image {
	if k == 1 {
		return m
	}
	big := imageio.New(m.H*k, m.W*k, m.C)
	for y := range big.H {
		for x := range big.W {
			copy(big.Pix[(y*big.W+x)*m.C:][:m.C], m.Pix[(y/k*m.W+x/k)*m.C:])
		}
	}
	return big
}
