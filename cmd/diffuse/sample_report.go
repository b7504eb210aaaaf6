package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"diffuse/sampler"
)

// A sampleReport says how pictures are or were made: the --dry-run and --json output, and, for single pictures, their metadata.
type sampleReport struct {
	Version   string               `json:"version"`
	Kernels   string               `json:"kernels"`
	Model     string               `json:"model"`
	ModelSHA  string               `json:"model_sha256,omitempty"`
	Sampler   string               `json:"sampler"`
	Steps     int                  `json:"steps,omitempty"` // of an adaptive solver, steps and nfe are means and known after the run
	NFE       int                  `json:"nfe,omitempty"`   // network evaluations per picture
	Sigmas    []float64            `json:"sigmas"`
	RNG       string               `json:"rng,omitempty"` // absent: diffuse's own
	Eta       float64              `json:"eta,omitempty"`
	Order     int                  `json:"order,omitempty"`
	Variant   string               `json:"variant,omitempty"`
	R         []float64            `json:"r,omitempty"`
	Solver    *solverMore          `json:"solver,omitempty"`     // absent: nothing of it was asked for
	StepNoise string               `json:"step_noise,omitempty"` // absent: white
	Adaptive  *adaptive            `json:"adaptive,omitempty"`
	Churn     *churnReport         `json:"churn,omitempty"`
	Skip      string               `json:"skip,omitempty"`
	From      *editReport          `json:"from,omitempty"`
	Between   *interpolationReport `json:"interpolation,omitempty"`
	Guidance  *guideReport         `json:"guidance,omitempty"`
	Threshold string               `json:"threshold,omitempty"`
	Height    int                  `json:"height"`
	Width     int                  `json:"width"`
	Channels  int                  `json:"channels"`
	Pictures  int                  `json:"pictures"`
	Seeds     string               `json:"seeds,omitempty"`   // as a list that --seeds reads
	Classes   []string             `json:"classes,omitempty"` // the distinct ones, in order of appearance
	Noise     bool                 `json:"noise_from_file,omitempty"`
	Flags     map[string]string    `json:"flags,omitempty"`      // of PNG files, for --params-from: see recordFlags
	ClassList []string             `json:"class_list,omitempty"` // of PNG files: the class of each picture where --class chose it
	Columns   int                  `json:"columns,omitempty"`    // of PNG files with a grid
	Scale     int                  `json:"scale,omitempty"`
	Outputs   *outputs             `json:"outputs,omitempty"`
	DryRun    bool                 `json:"dry_run,omitempty"`
	Seconds   float64              `json:"seconds,omitempty"`
	PerSecond float64              `json:"pictures_per_second,omitempty"`
}

type churnReport struct {
	Churn      float64 `json:"s_churn"`
	Min        float64 `json:"s_min"`
	Max        float64 `json:"s_max"`
	NoiseScale float64 `json:"s_noise"`
}

// adaptive says what steps were chosen by; counts are sums over the pictures and stand in reports of a whole run only, since a picture's bytes
// depend on its own alone.
type adaptive struct {
	sampler.Tolerance
	SharedBy    int `json:"shared_by,omitempty"` // pictures whose steps are chosen together
	Evaluations int `json:"evaluations,omitempty"`
	Accepted    int `json:"accepted,omitempty"`
	Rejected    int `json:"rejected,omitempty"`
}

// solverMore has the options of single solvers and of the first and last evaluation.
type solverMore struct {
	Final       string             `json:"final,omitempty"`
	ScaleDir    []float64          `json:"scale_dir,omitempty"`
	ScaleTime   []float64          `json:"scale_time,omitempty"`
	Corrector   int                `json:"corrector,omitempty"`
	Uncorrected int                `json:"uncorrected,omitempty"`
	Clip        float64            `json:"clip,omitempty"`
	ClipNoise   bool               `json:"clip_noise,omitempty"`
	Restart     []sampler.Interval `json:"restart,omitempty"`
	AFS         bool               `json:"afs,omitempty"`
	ToZero      bool               `json:"denoise_to_zero,omitempty"`
}

// solverMore returns nil if there is nothing to say.
func (p *samplePlan) solverMore() *solverMore {
	o := p.options
	m := solverMore{o.Final, o.ScaleDir, o.ScaleTime, o.Corrector, o.Uncorrected, o.Clip, o.ClipNoise, o.Restart, p.afs, p.toZero}
	if reflect.ValueOf(m).IsZero() {
		return nil
	}
	return &m
}

type guideReport struct {
	Weight  float64  `json:"weight"`
	Model   string   `json:"gnet,omitempty"` // empty: the model itself without a class
	SHA     string   `json:"gnet_sha256,omitempty"`
	From    float64  `json:"from"`
	To      *float64 `json:"to,omitempty"`      // absent: no upper limit
	Method  string   `json:"method,omitempty"`  // absent: cfg
	Rescale string   `json:"rescale,omitempty"` // as --guidance-rescale reads it
}

type outputs struct {
	Grid   string `json:"grid,omitempty"`
	Outdir string `json:"outdir,omitempty"`
	NPZ    string `json:"npz,omitempty"`
	Trace  string `json:"trace,omitempty"`
	Film   string `json:"animation,omitempty"`
}

// report describes how the given pictures come about, without paths and without anything that their bytes do not depend on.
func (p *samplePlan) report(pictures []picture) sampleReport {
	v := version()
	r := sampleReport{
		Version: v.Version, Kernels: v.Kernels, Model: p.model.name, ModelSHA: p.model.sha,
		Sampler: p.sampler.Name, Steps: p.steps(), NFE: p.nfe, Sigmas: p.sigmas,
		Eta: p.options.Eta, Order: p.options.Order, Variant: p.options.Variant, R: p.options.R, Solver: p.solverMore(), Skip: p.skip, Threshold: p.limit.String(),
		Height: p.model.height, Width: p.model.width, Channels: p.model.channels, Pictures: len(pictures), Noise: p.given != nil, From: p.edit.report(), Between: p.between.report(pictures),
	}
	if p.given == nil && p.rng.kind != "diffuse" {
		r.RNG = p.rng.String()
	}
	if o := p.options; o.Churn > 0 || o.NoiseScale != 1 || slices.Contains(p.sampler.Extra, "churn_min") {
		r.Churn = &churnReport{o.Churn, o.ChurnMin, o.ChurnMax, o.NoiseScale}
	}
	if p.brownian && p.options.Eta > 0 && p.given == nil {
		r.StepNoise = "brownian"
	}
	if p.sampler.Adaptive {
		r.Steps, r.Adaptive = 0, &adaptive{Tolerance: p.options.Adaptive}
		if p.shareSteps {
			r.Adaptive.SharedBy = min(p.batch, len(p.pictures))
		}
	}
	if g := p.guide; g != nil {
		r.Guidance = &guideReport{Weight: g.Weight, From: g.From}
		if g.model != nil {
			r.Guidance.Model, r.Guidance.SHA = g.model.name, g.model.sha
		}
		if to := g.To; to < 1e300 {
			r.Guidance.To = &to
		}
		if g.PlusPlus {
			r.Guidance.Method = "cfg++"
		}
		if g.Rescale != 0 {
			r.Guidance.Rescale = fmt.Sprintf("%g:%s", g.Rescale, rescaleSpaces[g.Space])
		}
	}
	seeds := make([]uint64, len(pictures))
	for i, pic := range pictures {
		seeds[i] = pic.Seed
		if name := p.model.className(pic.Class); name != "" && len(r.Classes) < p.model.labels && !slices.Contains(r.Classes, name) {
			r.Classes = append(r.Classes, name)
		}
	}
	if p.given == nil && p.between == nil {
		r.Seeds = formatSeeds(seeds)
	}
	return r
}

// formatSeeds writes a list that parseSeeds reads.
func formatSeeds(seeds []uint64) string {
	var parts []string
	for i := 0; i < len(seeds); {
		j := i + 1
		for j < len(seeds) && seeds[j] == seeds[j-1]+1 {
			j++
		}
		if j-i == 1 {
			parts = append(parts, fmt.Sprint(seeds[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", seeds[i], seeds[j-1]))
		}
		i = j
	}
	return strings.Join(parts, ",")
}

// metadata is the text stored in a PNG: our JSON, and the line that picture viewers look for. A sheet is a grid
// of all pictures. With --no-metadata there is none.
func (p *samplePlan) metadata(pictures []picture, sheet bool) map[string]string {
	if p.noMetadata {
		return nil
	}
	r := p.report(pictures)
	r.Flags, r.ClassList = p.recordFlags(), p.classList(pictures)
	if sheet {
		r.Columns, r.Scale = p.columns, p.scale
	}
	b, err := json.Marshal(r)
	if err != nil { // numbers are finite, so this is our bug
		panic(err)
	}
	steps := fmt.Sprintf("Steps: %d, ", r.Steps)
	if r.Steps == 0 {
		steps = ""
	}
	line := steps + fmt.Sprintf("Sampler: %s, Seed: %s, Size: %dx%d, Model: %s, Model hash: %s, Version: diffuse %s",
		r.Sampler, r.Seeds, r.Width, r.Height, r.Model, r.ModelSHA, r.Version)
	return map[string]string{"diffuse": string(b), "parameters": line}
}

// mostGridPixels is about what programs still open, and some seconds of compression.
const mostGridPixels = 1 << 28

// gridFits refuses a grid that nobody could look at, and that would take minutes to write.
func (p *samplePlan) gridFits() error {
	if p.picture == "" {
		return nil
	}
	pixels := float64(len(p.pictures)) * float64(p.model.height*p.scale) * float64(p.model.width*p.scale)
	if pixels <= mostGridPixels {
		return nil
	}
	err := usagef("--grid: %s would make a picture of %.0f million pixels, more than %d", plural(len(p.pictures), "picture"), pixels/1e6, mostGridPixels/1_000_000)
	return withHint(err, "--outdir writes one file a picture, --npz arrays")
}

// planOutputs checks where the results go, before any is made.
func (p *samplePlan) planOutputs(u *ui, o *sampleOptions) error {
	if p.picture == "" && p.outdir == "" && p.npz == "" && p.trace == "" && p.animate == "" && !p.preview {
		p.picture = defaultPicture
	}
	if c := p.model.channels; (p.picture != "" || p.outdir != "" || p.animate != "" || p.preview) && c != 1 && c != 3 && c != 4 {
		err := usagef("pictures of %d channels cannot be shown", c)
		return withHint(err, "write arrays with --npz or --trace")
	}
	inputs := [][2]string{{"the model", p.model.path}}
	if p.guide != nil && p.guide.model != nil {
		inputs = append(inputs, [2]string{"--gnet", p.guide.model.path})
	}
	for _, f := range [][2]string{{"noise", o.noise}, {"from", o.from}, {"mask", o.mask}} {
		if o.given(f[0]) {
			inputs = append(inputs, [2]string{"--" + f[0], f[1]})
		}
	}
	if err := distinct(inputs, [2]string{"--grid", p.picture}, [2]string{"--npz", p.npz}, [2]string{"--trace", p.trace}, [2]string{"--animate", p.animate}); err != nil {
		return err
	}
	if err := p.gridFits(); err != nil {
		return err
	}
	for _, f := range [][2]string{{"grid", p.picture}, {"npz", p.npz}, {"trace", p.trace}, {"animate", p.animate}} {
		if f[1] == "" {
			continue
		}
		if f[0] == "grid" {
			if err := checkPNG(f[0], f[1]); err != nil {
				return err
			}
		}
		if err := checkOutput(f[0], f[1]); err != nil {
			return err
		}
	}
	if p.animate != "" {
		pictures, steps := len(p.pictures), len(p.levels)-1
		if p.between != nil {
			pictures, steps = 1, len(p.pictures)
		}
		if err := checkFilm(p.animate, p.animateShow, pictures, steps, p.model); err != nil {
			return err
		}
	}
	if p.preview && !isTerminal(u.stderr) {
		return usagef("--preview needs a terminal; the error output is none")
	}
	if p.trace != "" {
		if p.sampler.Adaptive && len(p.pictures) > p.batch {
			err := usagef("--trace: %s steps each picture between levels of its own, and a trace has room for one list", p.sampler.Name)
			return withHint(err, "trace one picture, or let one batch share its steps: --share-steps, --batch %d", len(p.pictures))
		}
		if err := checkTrace(len(p.pictures), p.model.size(), p.levels); err != nil {
			return err
		}
	}
	if p.outdir == "" {
		return nil
	}
	if info, err := os.Stat(p.outdir); err == nil && !info.IsDir() {
		return fmt.Errorf("--outdir: %s is not a folder", p.outdir)
	}
	seen := map[uint64]bool{}
	for _, pic := range p.pictures {
		if seen[pic.Seed] {
			return usagef("--outdir names pictures by seed, but seed %d is listed twice", pic.Seed)
		}
		seen[pic.Seed] = true
	}
	return nil
}

// outputs names the files for reports.
func (p *samplePlan) outputs() *outputs {
	return &outputs{p.picture, p.outdir, p.npz, p.trace, p.animate}
}

// announce is --dry-run.
func (p *samplePlan) announce(u *ui) error {
	r := p.report(p.pictures)
	r.Outputs, r.DryRun = p.outputs(), true
	if u.json {
		return u.result(r)
	}
	say := func(label, format string, args ...any) {
		fmt.Fprintf(u.stdout, "%-9s "+format+"\n", append([]any{label}, args...)...)
	}
	say("model", "%s (sha256 %s), %d×%d, %s", r.Model, r.ModelSHA, r.Width, r.Height, plural(r.Channels, "channel"))
	say("pictures", "%d, batches of %d", r.Pictures, p.batch)
	if r.Seeds != "" {
		say("seeds", "%s", r.Seeds)
	}
	if len(r.Classes) > 0 {
		say("classes", "%s", strings.Join(r.Classes, ", "))
	}
	if a := r.Adaptive; a != nil {
		say("sampler", "%s, steps by tolerance (rtol %g, atol %g)", r.Sampler, a.Relative, a.Absolute)
	} else {
		say("sampler", "%s, %s, %s per picture (NFE)", r.Sampler, plural(r.Steps, "step"), plural(r.NFE, "network evaluation"))
	}
	if text := p.model.bringsText(); text != "" {
		say("suited", "%s", text)
	}
	say("sigmas", "%s", formatFloats(r.Sigmas))
	if p.sampler.OwnLevels && r.Adaptive == nil {
		say("levels", "%s", formatFloats(p.levels))
	}
	if r.RNG != "" {
		say("rng", "%s", r.RNG)
	}
	if r.From != nil {
		say("from", "%s", r.From)
	}
	if r.Between != nil {
		say("between", "seeds %s, frames %s", r.Between.Seeds, r.Between.Frames)
	}
	if r.Skip != "" {
		say("skip", "%s", r.Skip)
	}
	if r.Guidance != nil {
		say("guidance", "%s", compact(r.Guidance))
	}
	if r.Threshold != "" {
		say("threshold", "%s", r.Threshold)
	}
	for _, f := range [][2]string{{"grid", p.picture}, {"outdir", p.outdir}, {"npz", p.npz}, {"trace", p.trace}, {"animate", p.animate}} {
		if f[1] != "" {
			say(f[0], "%s", f[1])
		}
	}
	return nil
}

// formatFloats writes a list as --sigmas reads it, shortened to six digits.
func formatFloats(list []float64) string {
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = fmt.Sprintf("%.6g", v)
	}
	return strings.Join(parts, ",")
}

// conclude says what was made.
func (p *samplePlan) conclude(u *ui, took time.Duration) error {
	r := p.report(p.pictures)
	r.Outputs, r.Seconds = p.outputs(), took.Seconds()
	r.PerSecond = float64(r.Pictures) / max(r.Seconds, 1e-9)
	if a := r.Adaptive; a != nil {
		a.Evaluations, a.Accepted, a.Rejected = p.spent.evaluations, p.spent.accepted, p.spent.rejected
		r.NFE, r.Steps = mean(a.Evaluations, r.Pictures), mean(a.Accepted, r.Pictures)
	}
	if u.json {
		return u.result(r)
	}
	var places []string
	for _, f := range []string{p.picture, p.outdir, p.npz, p.trace, p.animate} {
		if f != "" {
			places = append(places, f)
		}
	}
	where := ""
	if places != nil {
		where = strings.Join(places, ", ") + ": "
	}
	u.summary("%s%s by %s, %s, %s (NFE %d), %.2f s, %.1f pictures/s",
		where, plural(r.Pictures, "picture"), r.Model, r.Sampler, plural(r.Steps, "step"), r.NFE, r.Seconds, r.PerSecond)
	return nil
}

// mean is the rounded mean of a sum over n pictures.
func mean(sum, n int) int { return int(math.Round(float64(sum) / float64(n))) }
