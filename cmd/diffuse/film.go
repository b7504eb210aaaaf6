package main

import (
	"math"
	"path/filepath"
	"strings"
	"time"

	"diffuse/imageio"
	"diffuse/sampler"
)

// What --animate-show takes: the states between noise and picture, or what the denoiser believes to be behind them.
const (
	showStates   = "x"
	showDenoised = "denoised"
)

// A film collects what each picture looks like after every step, for --animate. Solvers that choose their steps may take another
// number of them for each batch; a picture that is done early then stands still.
type film struct {
	model  *model
	show   string
	across bool              // the frames are the pictures of an interpolation, one after the other, not their steps
	frames [][]imageio.Image // of each picture
}

// begin adds the pictures of a batch, whose starting states become the first frames where states are shown.
func (f *film) begin(lo int, sigma float64, x []float64) {
	if f.across {
		return
	}
	f.frames = append(f.frames, make([][]imageio.Image, len(x)/f.model.size())...)
	if f.show == showStates {
		f.add(lo, sampler.State{Sigma: sigma, X: x})
	}
}

// contrast is about the standard deviation of pictures on the scale -1 to 1.
const contrast = 0.5

// add takes a step, or the start of a run. A state is scaled to the contrast of a picture: noise then fits into the range of grey levels, and the last state is
// the picture as it is.
func (f *film) add(lo int, s sampler.State) {
	if f.across {
		return
	}
	per, x, scale := f.model.size(), s.X, contrast/math.Hypot(contrast, s.Sigma)
	if f.show == showDenoised {
		x, scale = s.Denoised, 1
	}
	batch := f.frames[lo:]
	values := make([]float64, per)
	for i := range batch {
		for j := range values {
			values[j] = scale * x[i*per+j]
		}
		batch[i] = append(batch[i], f.model.image(values))
	}
}

// end makes the finished pictures the last frames.
func (f *film) end(lo int, x []float64) {
	per := f.model.size()
	if f.across {
		if lo == 0 {
			f.frames = make([][]imageio.Image, 1)
		}
		for i := 0; i < len(x); i += per {
			f.frames[0] = append(f.frames[0], f.model.image(x[i:i+per]))
		}
		return
	}
	batch := f.frames[lo:]
	for i := range batch {
		picture := f.model.image(x[i*per : (i+1)*per])
		if f.show == showStates {
			batch[i][len(batch[i])-1] = picture // a list of levels that ends above 0 leaves the last state at another scale
		} else {
			batch[i] = append(batch[i], picture)
		}
	}
}

// A film runs for about filmLength, its end apart.
const (
	filmLength            = 3 * time.Second
	shortFrame, longFrame = 20 * time.Millisecond, 200 * time.Millisecond
	lastFrame             = 2 * time.Second
)

// frameDelay is how long each of so many frames is shown.
func frameDelay(frames int) time.Duration {
	return min(max(filmLength/time.Duration(frames), shortFrame), longFrame)
}

// animation lays the pictures of each step out as a grid.
func (f *film) animation(columns, enlarged int) imageio.Animation {
	steps := 0
	for _, frames := range f.frames {
		steps = max(steps, len(frames))
	}
	a := imageio.Animation{}
	delay := frameDelay(steps)
	sheet := make([]imageio.Image, len(f.frames))
	for k := range steps {
		for i, frames := range f.frames {
			sheet[i] = frames[min(k, len(frames)-1)]
		}
		a.Frames = append(a.Frames, enlarge(imageio.Grid(sheet, columns, gridPadding, gridGround), enlarged))
		a.Delays = append(a.Delays, delay)
	}
	a.Delays[steps-1] = lastFrame
	return a
}

// writeFilm writes the film in the format that the name asks for.
func (p *samplePlan) writeFilm(f *film) error {
	a := f.animation(p.columns, p.scale)
	if isGIF(p.animate) {
		return imageio.WriteGIF(p.animate, a)
	}
	return imageio.WriteAPNG(p.animate, a, p.metadata(p.pictures, true))
}

func isGIF(path string) bool { return strings.EqualFold(filepath.Ext(path), ".gif") }

// maxFilm bounds the memory of a film, in bytes.
const maxFilm = 2 << 30

// checkFilm refuses names that promise another format, and films that no memory would hold.
func checkFilm(path, show string, pictures, steps int, m *model) error {
	if ext := strings.ToLower(filepath.Ext(path)); ext != ".gif" && ext != ".png" && ext != ".apng" {
		return withHint(usagef("--animate: %s does not end in .gif, .png or .apng", path), "animated PNG keeps every grey level; GIF is read by older programs")
	}
	if show != showStates && show != showDenoised {
		return unknownName("frame content", show, []string{showStates, showDenoised})
	}
	// Once as pictures, once as grids.
	if size := 2 * float64(pictures) * float64(steps+1) * float64(m.size()); size > maxFilm {
		err := usagef("--animate of %d pictures and %d steps would take %.1f GB of memory", pictures, steps, size/1e9)
		return withHint(err, "animate fewer pictures at a time: --num, --seeds")
	}
	return nil
}
