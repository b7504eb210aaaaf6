package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"diffuse/sampler"
)

// A guide is the second denoiser of guidance.
type guide struct {
	sampler.Guidance
	model *model // nil: the same network without a class
}

// rescaleSpaces are the spaces of --guidance-rescale; the first is the default.
var rescaleSpaces = []string{"v", "epsilon", "denoised"} // in the order of sampler.Space

// denoiser returns the denoiser for one batch, guided and limited if asked for, and the solver to run it in. It adds network
// evaluations to calls.
func (d *drawing) denoiser(batch []picture, calls *int) (sampler.Denoiser, sampler.Sampler) {
	labels, none := make([]int, len(batch)), make([]int, len(batch))
	for i, p := range batch {
		labels[i], none[i] = p.Class, -1
	}
	// What is kept of a picture is kept in both of a guided pair, since CFG++ steps by the second alone, and again in what became of them.
	part := func(m *model, labels []int) sampler.Denoiser {
		return d.edit.keep(sampler.Counted(m.denoiser(labels), calls))
	}
	cond, uncond := part(d.model, labels), sampler.Denoiser(nil)
	switch g := d.guide; {
	case g == nil:
	case g.model == nil:
		uncond = part(d.model, none)
	default:
		uncond = part(g.model, labels)
	}
	denoise, solve := d.guided(cond, uncond, d.model.size())
	if d.like.limits() {
		return d.edit.keep(denoise), solve
	}
	return d.edit.keep(d.limit.apply(denoise, d.model, d.model.size())), solve
}

// guided joins two denoisers for pictures of per values as the guidance says.
func (d *drawing) guided(cond, uncond sampler.Denoiser, per int) (sampler.Denoiser, sampler.Sampler) {
	solve := d.sampler.Sampler
	if d.like != nil {
		solve = d.like.solver(solve, d.limit.inPlace(d.model, per))
	}
	if d.guide == nil {
		return cond, solve
	}
	how := d.guide.Guidance
	how.PerImage = per
	g := sampler.NewGuider(how, cond, uncond)
	if how.PlusPlus {
		return g.Denoise, g.CFGPP
	}
	return g.Denoise, solve
}

// planGuidance opens the guiding model.
func (o *sampleOptions) planGuidance(p *samplePlan) error {
	if !o.given("guidance") {
		return nil
	}
	if math.IsNaN(o.guidance) || math.IsInf(o.guidance, 0) {
		return usagef("--guidance is %g, want a number", o.guidance)
	}
	g := &guide{Guidance: sampler.Guidance{Weight: o.guidance, To: math.Inf(1)}}
	if err := o.planMethod(p, g); err != nil {
		return err
	}
	var err error
	if o.given("guidance-interval") {
		if g.From, g.To, err = parseInterval(o.interval); err != nil {
			return usagef("--guidance-interval: %w", err)
		}
	}
	p.guide = g
	if o.gnet == "" {
		if p.model.labels == 0 {
			return withHint(usagef("--guidance: %s has no classes to leave out", p.model.name), "name a guiding model with --gnet")
		}
		return nil
	}
	if g.model, err = openModel(o.gnet); err != nil {
		return fmt.Errorf("--gnet: %w", err)
	}
	a, b := p.model, g.model
	if a.channels != b.channels || a.height != b.height || a.width != b.width || b.labels != 0 && a.labels != b.labels {
		return fmt.Errorf("--gnet: %s draws %d×%d×%d with %d classes, %s %d×%d×%d with %d",
			b.name, b.channels, b.height, b.width, b.labels, a.name, a.channels, a.height, a.width, a.labels)
	}
	return nil
}

// planMethod reads how guidance is done.
func (o *sampleOptions) planMethod(p *samplePlan, g *guide) error {
	switch o.method {
	case "cfg":
	case "cfg++":
		if name := p.sampler.Name; name != "ddim" && name != "euler-ancestral" || p.options.Churn > 0 || p.options.Clip > 0 || p.afs {
			return withHint(usagef("--guidance-method cfg++ has steps of its own and does not go with --sampler %s and these options", name),
				"it goes with ddim (euler) and euler-ancestral, without churn, --clip and --afs")
		}
		g.PlusPlus = true
	default:
		return usagef("unknown --guidance-method %q; valid are cfg, cfg++", o.method)
	}
	if !o.given("guidance-rescale") {
		return nil
	}
	phi, space, named := strings.Cut(o.rescale, ":")
	var err error
	if g.Rescale, err = strconv.ParseFloat(phi, 64); err != nil || !(g.Rescale >= 0 && g.Rescale <= 1) {
		return usagef("--guidance-rescale %s: %q is not a number from 0 to 1", o.rescale, phi)
	}
	if named {
		k := slices.Index(rescaleSpaces, space)
		if k < 0 {
			return usagef("--guidance-rescale %s: unknown prediction %q; valid are %s", o.rescale, space, strings.Join(rescaleSpaces, ", "))
		}
		g.Space = sampler.Space(k)
	}
	return nil
}

// A threshold limits denoised pictures to the model's range.
type threshold struct {
	kind     string  // "" none, static, dynamic
	quantile float64 // of dynamic
	most     float64 // its upper bound, +Inf for none
}

// defaultQuantile is diffusers' for dynamic thresholding.
const defaultQuantile = 0.995

// planThreshold reads --threshold.
func (o *sampleOptions) planThreshold(p *samplePlan) error {
	kind, q, quantile := strings.Cut(o.threshold, ":")
	q, most, bounded := strings.Cut(q, ":")
	t := threshold{kind: kind, most: math.Inf(1)}
	switch {
	case kind == "none" && !quantile:
		t.kind = ""
	case kind == "static" && !quantile:
	case kind == "dynamic":
		t.quantile = defaultQuantile
		if quantile {
			var err error
			if t.quantile, err = strconv.ParseFloat(q, 64); err != nil || !(t.quantile > 0 && t.quantile <= 1) {
				return usagef("--threshold %s: %q is not a quantile above 0 and up to 1", o.threshold, q)
			}
		}
		if bounded {
			var err error
			if t.most, err = strconv.ParseFloat(most, 64); err != nil || !(t.most >= 1) {
				return usagef("--threshold %s: %q is not a bound of 1 or more", o.threshold, most)
			}
		}
	default:
		return usagef("unknown --threshold %q; valid are none, static, dynamic, dynamic:QUANTILE, dynamic:QUANTILE:MOST", o.threshold)
	}
	p.limit = t
	return nil
}

// inPlace is the limit to estimates that are there already, pictures of per values; nil for none.
func (t threshold) inPlace(m *model, per int) func(dst []float64) {
	if t.kind == "" {
		return nil
	}
	limited := t.apply(func(_, _ []float64, _ float64) {}, m, per)
	return func(dst []float64) { limited(dst, nil, 0) }
}

// apply wraps a denoiser of model m for pictures of per values.
func (t threshold) apply(d sampler.Denoiser, m *model, per int) sampler.Denoiser {
	switch t.kind {
	case "static":
		return sampler.StaticThreshold(d, m.low, m.high)
	case "dynamic":
		return sampler.DynamicThreshold(d, per, t.quantile, t.most, m.low, m.high)
	}
	return d
}

// String is what planThreshold reads, "" for none.
func (t threshold) String() string {
	switch {
	case t.kind == "dynamic" && !math.IsInf(t.most, 1):
		return fmt.Sprintf("dynamic:%g:%g", t.quantile, t.most)
	case t.kind == "dynamic":
		return fmt.Sprintf("dynamic:%g", t.quantile)
	}
	return t.kind
}
