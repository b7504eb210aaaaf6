package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"diffuse/sampler"
)

// An interpolation is a way from the noise of one seed to that of another. Its pictures have the numbers of frames as seeds.
type interpolation struct {
	from, to uint64
	frames   int
}

// bindBetween adds the flags of an interpolation.
func (o *sampleOptions) bindBetween(f *pflag.FlagSet) {
	defer o.noteDrawing(f, flagNames(f))
	section(f, "Between two seeds", func() {
		f.StringVar(&o.between, "interpolate-seeds", "", "`A:B` draws frames whose noise turns from seed A's to seed B's; with --animate, a film over them")
		f.StringVar(&o.frames, "frames", o.frames, "`N` frames of an interpolation, both ends included, or N:LIST for some of them, from 0")
	})
}

// betweenContradictions refuses what does not go with an interpolation.
func (o *sampleOptions) betweenContradictions(f *pflag.FlagSet) error {
	if err := conflicts(f, "interpolate-seeds", "seeds", "num", "noise"); err != nil {
		return err
	}
	if f.Changed("frames") && !f.Changed("interpolate-seeds") {
		return withHint(usagef("--frames without --interpolate-seeds has no effect"), "name two seeds, such as --interpolate-seeds 3:17")
	}
	return conflict(f, "interpolate-seeds", "animate-show")
}

// planBetween reads an interpolation and returns the frames to draw.
func (o *sampleOptions) planBetween(p *samplePlan) (frames []uint64, err error) {
	b := &interpolation{}
	from, to, _ := strings.Cut(o.between, ":")
	var bad [2]error
	b.from, bad[0] = strconv.ParseUint(strings.TrimSpace(from), 10, 64)
	b.to, bad[1] = strconv.ParseUint(strings.TrimSpace(to), 10, 64)
	if bad[0] != nil || bad[1] != nil {
		return nil, usagef("--interpolate-seeds: %q is not a pair of seeds such as 3:17", o.between)
	}
	count, list, some := strings.Cut(o.frames, ":")
	if b.frames, err = strconv.Atoi(strings.TrimSpace(count)); err != nil || b.frames < 2 || b.frames > maxSeeds {
		return nil, usagef("--frames: %q is not a number of frames, 2 to %d", count, maxSeeds)
	}
	p.between = b
	if !some {
		return countUp(b.frames), nil
	}
	if frames, err = parseSeeds(list); err != nil {
		return nil, usagef("--frames: %w", err)
	}
	if last := slices.Max(frames); last >= uint64(b.frames) {
		return nil, usagef("--frames: there is no frame %d among %d, which count from 0", last, b.frames)
	}
	return frames, nil
}

// share is how far on the way a frame is.
func (b *interpolation) share(frame picture) float64 {
	return float64(frame.Seed) / float64(b.frames-1)
}

// seeds are those that the random streams of a batch belong to: each picture's, or the two ends of an interpolation.
func (d *drawing) seeds(batch []picture) []uint64 {
	if d.between != nil {
		return []uint64{d.between.from, d.between.to}
	}
	seeds := make([]uint64, len(batch))
	for i, p := range batch {
		seeds[i] = p.Seed
	}
	return seeds
}

// mixed returns the noise of a batch from that of its seeds. An interpolation turns every draw of one end into that of the other, so
// that its first and last frames are the pictures of the two seeds with every solver.
func (d *drawing) mixed(batch []picture, source sampler.Noise) sampler.Noise {
	if d.between == nil {
		return source
	}
	per := d.model.size()
	ends := make([]float64, 2*per)
	return func(dst []float64, from, to float64) {
		source(ends, from, to)
		for i, frame := range batch {
			sampler.Slerp(dst[i*per:(i+1)*per], ends[:per], ends[per:], d.between.share(frame))
		}
	}
}

// An interpolationReport tells of an interpolation as the flags would.
type interpolationReport struct {
	Seeds  string `json:"seeds"`
	Frames string `json:"frames"` // with the list of those drawn if they are not all
}

func (b *interpolation) report(pictures []picture) *interpolationReport {
	if b == nil {
		return nil
	}
	frames := make([]uint64, len(pictures))
	for i, p := range pictures {
		frames[i] = p.Seed
	}
	r := &interpolationReport{Seeds: fmt.Sprintf("%d:%d", b.from, b.to), Frames: strconv.Itoa(b.frames)}
	if !slices.Equal(frames, countUp(b.frames)) {
		r.Frames += ":" + formatSeeds(frames)
	}
	return r
}
