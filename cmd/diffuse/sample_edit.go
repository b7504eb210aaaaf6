package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"diffuse/imageio"
	"diffuse/sampler"
)

// An edit is a picture that drawing starts from, and the part of it that is kept.
type edit struct {
	picture  []float64 // C×H×W in the model's range
	redraw   []bool    // of each value, whether it is drawn anew; nil: all are
	resample int       // repetitions of each step

	sha, maskSHA string    // first digits of the files' SHA-256
	strength     float64   // share of the steps that is left to do
	levels       []float64 // of the whole run
}

// The default strengths are those of diffusers' pipelines.
const (
	defaultStrength = 0.8
	maskedStrength  = 1
)

// bindEditing adds the flags that start from a picture.
func (o *sampleOptions) bindEditing(f *pflag.FlagSet) {
	defer o.noteDrawing(f, flagNames(f))
	section(f, "From a picture", func() {
		f.StringVar(&o.from, "from", "", "`IMAGE` to start from in place of pure noise (SDEdit): its largest centred part of the model's aspect, scaled")
		f.Float64Var(&o.strength, "strength", 0, "share of the steps that is done on it, above 0 and up to 1 (default 0.8, with --mask 1)")
		f.StringVar(&o.mask, "mask", "", "`IMAGE` that tells which part of --from is drawn anew: white; black is kept as it is")
		f.IntVar(&o.resample, "resample", 0, "repeat each step `N` times from noise put back (RePaint), so that new and kept parts agree")
	})
}

// editingContradictions refuses flags that have no effect without others.
func (o *sampleOptions) editingContradictions(f *pflag.FlagSet) error {
	for _, name := range []string{"strength", "mask"} {
		if f.Changed(name) && !f.Changed("from") {
			return withHint(usagef("--%s without --from has no effect", name), "name the picture to start from: --from IMAGE")
		}
	}
	switch {
	case f.Changed("resample") && !f.Changed("mask"):
		return withHint(usagef("--resample without --mask has no effect"), "name the part to draw anew: --mask IMAGE")
	case f.Changed("resample") && (o.resample < 0 || o.resample > 1000):
		return usagef("--resample is %d, want 0 to 1000", o.resample)
	case f.Changed("strength") && !(o.strength > 0 && o.strength <= 1):
		return usagef("--strength is %g, want a share of the steps above 0 and up to 1", o.strength)
	case o.afs && f.Changed("from"):
		return usagef("--afs and --from contradict each other: the analytic first step is for pure noise")
	}
	if f.Changed("resample") && f.Changed("noise") {
		return withHint(usagef("--resample and --noise contradict each other"), "the noise that is put back comes from seeds")
	}
	return nil
}

// planStrength cuts the noise levels to those that --strength leaves: the last int(steps·strength) steps, as diffusers has it.
func (o *sampleOptions) planStrength(p *samplePlan) error {
	if !o.given("from") {
		return nil
	}
	e := &edit{strength: defaultStrength, levels: p.sigmas, resample: o.resample}
	switch {
	case o.given("strength"):
		e.strength = o.strength
	case o.given("mask") || p.sampler.Adaptive:
		e.strength = maskedStrength
	}
	if p.edit = e; p.sampler.Adaptive {
		if e.strength != 1 {
			return withHint(usagef("--strength has no effect with --sampler %s, which chooses its steps", p.sampler.Name), "--sigma-max is the noise level where it starts")
		}
		return nil
	}
	steps := p.steps()
	left := int(float64(steps) * e.strength)
	if left < 1 {
		advice := "give more --steps or a higher --strength"
		if p.model.defaults.Sampler == "consistency" {
			advice += ", or a model of all noise levels, such as its teacher"
		}
		return withHint(usagef("--strength %g of %s leaves none", e.strength, plural(steps, "step")), "%s", advice)
	}
	p.sigmas = p.sigmas[steps-left:]
	return nil
}

// planEdit reads the pictures of --from and --mask.
func (o *sampleOptions) planEdit(u *ui, p *samplePlan) error {
	e := p.edit
	if e == nil {
		return nil
	}
	img, sha, err := p.model.readPicture(u, "from", o.from)
	if err != nil {
		return err
	}
	e.sha = sha
	e.picture = p.model.values(img.Cover(p.model.height, p.model.width))
	if !o.given("mask") {
		return nil
	}
	if err := o.planMask(u, p, img); err != nil {
		return err
	}
	return o.planResample(p)
}

// planMask reads the mask of a picture that is not yet cut and scaled.
func (o *sampleOptions) planMask(u *ui, p *samplePlan, img imageio.Image) error {
	e, m := p.edit, p.model
	mask, err := imageio.DecodeFile(o.mask, 0)
	if err != nil {
		return fmt.Errorf("--mask: %w", err)
	}
	if e.maskSHA, err = shortHash(o.mask); err != nil {
		return err
	}
	if mask.W*img.H != mask.H*img.W {
		err := fmt.Errorf("--mask: %s has %d×%d pixels and --from %s %d×%d, which is another aspect", o.mask, mask.W, mask.H, o.from, img.W, img.H)
		return withHint(err, "a mask covers the whole picture of --from")
	}
	if mask.H != img.H {
		u.note("--mask: %s has %d×%d pixels and --from %d×%d: it is scaled", o.mask, mask.W, mask.H, img.W, img.H)
	}
	grey := mask.Convert(1).Cover(m.height, m.width)
	e.redraw = make([]bool, m.size())
	for i := range e.redraw {
		e.redraw[i] = grey.Pix[i%(m.height*m.width)] >= 128
	}
	if !slices.Contains(e.redraw, true) {
		return withHint(fmt.Errorf("--mask: %s is black throughout: nothing is to be drawn", o.mask), "white is drawn anew, black is kept")
	}
	return nil
}

// planResample makes sure that steps can be repeated.
func (o *sampleOptions) planResample(p *samplePlan) error {
	if p.edit.resample == 0 {
		return nil
	}
	if !p.sampler.OneStep {
		var names []string
		for _, i := range sampler.All() {
			if i.OneStep {
				names = append(names, i.Name)
			}
		}
		err := usagef("--resample does not go with --sampler %s, whose steps are not independent of each other", p.sampler.Name)
		return withHint(err, "samplers whose steps can be repeated: %s", strings.Join(names, ", "))
	}
	if o.given("step-noise") && p.brownian {
		return usagef("--resample and --step-noise brownian contradict each other: a step that is repeated needs new noise")
	}
	p.brownian = false
	return nil
}

// readPicture reads a picture file for flag with the model's channels, as it is but for that, and the first digits of its SHA-256. It says
// what will be made of another size than the model's.
func (m *model) readPicture(u *ui, flag, path string) (imageio.Image, string, error) {
	if c := m.channels; c != 1 && c != 3 && c != 4 {
		return imageio.Image{}, "", usagef("--%s: %s draws arrays of %d channels, which no picture file has", flag, m.name, c)
	}
	img, err := imageio.DecodeFile(path, 0)
	if err != nil {
		return img, "", fmt.Errorf("--%s: %w", flag, err)
	}
	switch cut := img.H*m.width != m.height*img.W; {
	case cut:
		u.note("--%s: %s has %d×%d pixels: its centre is scaled to %d×%d", flag, path, img.W, img.H, m.width, m.height)
	case img.H != m.height:
		u.note("--%s: %s has %d×%d pixels: it is scaled to %d×%d", flag, path, img.W, img.H, m.width, m.height)
	}
	sha, err := shortHash(path)
	return img.Convert(m.channels), sha, err
}

// shortHash returns the first digits of a file's SHA-256, as pictures' metadata show them.
func shortHash(path string) (string, error) {
	sum, err := fileHash(path)
	if err != nil {
		return "", err
	}
	return sum[:12], nil
}

// values turns a picture of the model's size into numbers in its range, C×H×W: the inverse of image.
func (m *model) values(img imageio.Image) []float64 {
	x := make([]float64, m.size())
	imageio.ToPlanes(x, img)
	if m.low != -1 || m.high != 1 {
		for i, v := range x {
			x[i] = m.low + (m.high-m.low)*(v+1)/2
		}
	}
	return x
}

// place adds the picture to noise of the first level, a batch.
func (e *edit) place(x []float64) {
	if e == nil {
		return
	}
	for i := range x {
		x[i] += e.picture[i%len(e.picture)]
	}
}

// keep holds a denoiser's estimates to the part that is kept.
func (e *edit) keep(d sampler.Denoiser) sampler.Denoiser {
	if e == nil || e.redraw == nil {
		return d
	}
	return sampler.Inpaint(d, e.picture, e.redraw)
}

// restore makes the part that is kept exact: a last level above 0 leaves noise on it, and some solvers rounding.
func (e *edit) restore(x []float64) {
	if e == nil || e.redraw == nil {
		return
	}
	for i := range x {
		if k := i % len(e.picture); !e.redraw[k] {
			x[i] = e.picture[k]
		}
	}
}

// An editReport tells of --from. Levels are those of the whole run, of which strength leaves the last.
type editReport struct {
	SHA      string    `json:"sha256"`
	Strength float64   `json:"strength"`
	Levels   []float64 `json:"levels"`
	MaskSHA  string    `json:"mask_sha256,omitempty"`
	Drawn    float64   `json:"drawn_anew,omitempty"` // share of the picture
	Resample int       `json:"resample,omitempty"`
}

func (e *edit) report() *editReport {
	if e == nil {
		return nil
	}
	r := &editReport{SHA: e.sha, Strength: e.strength, Levels: e.levels, MaskSHA: e.maskSHA, Resample: e.resample}
	for _, anew := range e.redraw {
		if anew {
			r.Drawn++
		}
	}
	if e.redraw != nil {
		r.Drawn = math.Round(1000*r.Drawn/float64(len(e.redraw))) / 1000
	}
	return r
}

// String says it in a line.
func (r *editReport) String() string {
	s := fmt.Sprintf("a picture (sha256 %s) at strength %g", r.SHA, r.Strength)
	if r.MaskSHA != "" {
		s += fmt.Sprintf(", %.3g %% of it drawn anew", 100*r.Drawn)
	}
	if r.Resample > 0 {
		s += fmt.Sprintf(", each step %d times", r.Resample+1)
	}
	return s
}

// recallEdit asks for the pictures that a recorded run started from, and mentions others.
func (o *sampleOptions) recallEdit(u *ui, f *pflag.FlagSet, r *editReport) error {
	if r == nil {
		return nil
	}
	for _, input := range []struct{ flag, path, sha string }{{"from", o.from, r.SHA}, {"mask", o.mask, r.MaskSHA}} {
		if input.sha == "" {
			continue
		}
		if !f.Changed(input.flag) {
			return usagef("--params-from: %s was drawn with --%s: name that picture again", o.paramsFrom, input.flag)
		}
		if sum, err := shortHash(input.path); err == nil && sum != input.sha { // an error comes up again when it is read
			u.warn("%s was drawn with another --%s than %s", o.paramsFrom, input.flag, input.path)
		}
	}
	return nil
}
