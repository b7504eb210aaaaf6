package main

import (
	"fmt"
	"math"

	"github.com/spf13/pflag"

	"diffuse/schedule"
)

// A samplePlan is a checked run of "diffuse sample": nothing in it can be refused any more, only fail.
type samplePlan struct {
	drawing
	pictures []picture
	batch    int
	given    *given // --noise, or nil
	skip     string

	picture, outdir, npz, trace, animate string // outputs, "" = not wanted
	columns, scale                       int
	animateShow                          string
	preview, skipExisting, noMetadata    bool
	flags                                []*pflag.Flag     // those that say what is drawn, and how
	recalledGrid                         map[string]string // flags of the grid that levels of --params-from came from
}

// plan resolves the options against a model, outputs included. It reads files but writes none.
func (o *sampleOptions) plan(u *ui, modelArg string) (*samplePlan, error) {
	m, err := u.openModel(modelArg)
	if err != nil {
		return nil, err
	}
	if o.wantSHA != "" && m.sha != o.wantSHA {
		return nil, fmt.Errorf("--params-from: %s was drawn by a model with SHA-256 %s; that of %s is %s", o.paramsFrom, o.wantSHA, m.name, m.sha)
	}
	p, err := o.planDrawing(u, m)
	if err != nil {
		return nil, err
	}
	if g := p.guide; g != nil && g.model != nil && o.wantGuide != "" && g.model.sha != o.wantGuide {
		return nil, fmt.Errorf("--params-from: %s was guided by a model with SHA-256 %s; that of %s is %s", o.paramsFrom, o.wantGuide, g.model.name, g.model.sha)
	}
	return p, p.planOutputs(u, o)
}

// planDrawing resolves what is drawn, and how.
func (o *sampleOptions) planDrawing(u *ui, m *model) (*samplePlan, error) {
	if err := o.adopt(m); err != nil {
		return nil, err
	}
	p := &samplePlan{drawing: drawing{model: m}, batch: o.batch, outdir: o.outdir, npz: o.npz, trace: o.trace, picture: o.picture, scale: o.scale,
		animate: o.animate, animateShow: o.animateShow, preview: o.preview, skipExisting: o.skipExisting, noMetadata: o.noMetadata, flags: o.drawing, recalledGrid: o.recalledGrid}
	for _, step := range []func(*samplePlan) error{o.planSolver, o.planSkips, o.planGuidance, o.planThreshold, o.planLike} {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	if g := p.guide; g != nil && g.model != nil {
		u.adjust(g.model)
		g.model.pack()
	}
	if p.sampler.Name != "consistency" {
		m.warnOfStudent(u, p.sampler.Name)
	}
	if err := o.planPictures(u, p); err != nil {
		return nil, err
	}
	if err := o.planEdit(u, p); err != nil {
		return nil, err
	}
	p.rehearse()
	return p, nil
}

// warnOfStudent says that a model which draws in few evaluations knows few noise levels, to who wants all of them for some use.
func (m *model) warnOfStudent(u *ui, use string) {
	if own := m.defaults.Sampler; own == "consistency" {
		u.warn("%s was made to draw by %s in few evaluations; for %s, take a model of all noise levels, such as its teacher", m.name, own, use)
	}
}

// planSolver chooses sampler, noise levels and solver options: the user's, else the model's.
func (o *sampleOptions) planSolver(p *samplePlan) error {
	d, g := p.model.defaults, o.grid
	g.size = schedule.Side(p.model.height, p.model.width)
	name := d.Sampler
	if o.given("sampler") {
		name = o.sampler
	}
	var err error
	if p.sampler, err = lookupSampler(name); err != nil {
		return err
	}
	switch {
	case p.sampler.Adaptive && o.given("steps"):
		return withHint(usagef("--steps has no effect with --sampler %s", p.sampler.Name), "it takes as many as --rtol and --atol need")
	case p.sampler.Adaptive:
		g.steps = 2 // from the highest level to the lowest, and on to 0
	case !o.given("steps"):
		g.steps = d.Steps
	}
	if g.minGiven = o.given("sigma-min"); !g.minGiven {
		g.sigmaMin = d.SigmaMin
	}
	if g.maxGiven = o.given("sigma-max"); !g.maxGiven {
		g.sigmaMax = d.SigmaMax
	}
	if !o.given("rho") {
		g.rho = d.Rho
	}
	g.few = d.Few && !o.given("schedule")
	if p.sigmas, err = g.sigmas(p.model.precond); err != nil {
		return err
	}
	if err := o.planStrength(p); err != nil {
		return err
	}
	return o.planOptions(p)
}

// planSkips applies --skip, or the model's own skip weights.
func (o *sampleOptions) planSkips(p *samplePlan) error {
	p.skip = p.model.defaults.Skip
	if o.given("skip") {
		p.skip = o.skip
	}
	return p.model.tune(p.skip, p.sigmas)
}

// planPictures decides what to draw: seeds or given noise, and the class of each picture.
func (o *sampleOptions) planPictures(u *ui, p *samplePlan) error {
	var classes []int // of the list, or nil
	var err error
	if o.given("class") {
		if classes, err = p.model.parseClasses(o.class); err != nil {
			return err
		}
	}
	if p.rng, err = parseRNG(o.rng); err != nil {
		return err
	}
	var seeds []uint64
	switch {
	case o.given("noise"):
		if p.given, err = readNoise(o.noise, p.model); err != nil {
			return err
		}
		for _, name := range p.given.unused {
			u.warn("%s: tensor %s is not used", o.noise, name)
		}
		if p.given.labels != nil && classes != nil {
			return usagef("--class contradicts the labels in %s: give one of them", o.noise)
		}
		seeds = countUp(p.given.count)
	case o.given("seeds"):
		if seeds, err = parseSeeds(o.seeds); err != nil {
			return usagef("--seeds: %w", err)
		}
	case o.given("num"):
		seeds = countUp(o.num)
	case o.given("interpolate-seeds"):
		if seeds, err = o.planBetween(p); err != nil {
			return err
		}
	default:
		seeds = countUp(p.model.defaultCount(len(classes)))
	}
	switch p.columns = o.columns; {
	case p.columns > 0:
	case p.between != nil:
		p.columns = p.model.defaultColumns(1, len(seeds))
	default:
		p.columns = p.model.defaultColumns(len(classes), len(seeds))
	}
	p.pictures = make([]picture, len(seeds))
	for i, s := range seeds {
		p.pictures[i] = picture{s, -1}
		switch {
		case p.model.labels == 0:
		case p.given != nil && p.given.labels != nil:
			p.pictures[i].Class = p.given.labels[i]
		case classes != nil:
			p.pictures[i].Class = classes[i%len(classes)]
		default:
			p.pictures[i].Class = p.ownClass(s)
		}
	}
	return nil
}

// ownClass is the class of a picture that was given none: by its seed, and that of an interpolation by the first one.
func (p *samplePlan) ownClass(seed uint64) int {
	switch {
	case p.model.labels == 0:
		return -1
	case p.between != nil:
		seed = p.between.from
	}
	return int(seed % uint64(p.model.labels))
}

// countUp returns 0 to n-1.
func countUp(n int) []uint64 {
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(i)
	}
	return list
}

const (
	defaultRows  = 6   // pictures of each class in the default grid
	squareCount  = 36  // pictures of a model without classes
	fewPictures  = 120 // more pictures than this are not made unasked
	widestFormat = 16  // columns at most, unless asked for
)

// defaultCount is the number of pictures drawn if the user names none: a few rows with every class.
func (m *model) defaultCount(listed int) int {
	columns := listed
	if listed == 0 {
		columns = m.labels
	}
	if columns <= 1 {
		return squareCount
	}
	return columns * max(1, min(defaultRows, fewPictures/columns))
}

// defaultColumns puts one class in each column if there are few, and makes the grid square otherwise.
func (m *model) defaultColumns(listed, pictures int) int {
	columns := listed
	if listed == 0 {
		columns = m.labels
	}
	if columns > 1 && columns <= widestFormat && pictures > columns {
		return columns
	}
	return max(1, min(pictures, int(math.Ceil(math.Sqrt(float64(pictures))))))
}
