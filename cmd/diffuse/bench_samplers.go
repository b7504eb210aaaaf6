package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/sampler"
	"diffuse/schedule"
)

// sweepOptions are the flags of "diffuse bench samplers" as typed.
type sweepOptions struct {
	*sampleOptions
	evalSettings
	samplers, steps, skips, schedules string // the lists whose product is measured
	blocks, exact                     int
	results, csv, plot                string
}

// A sweepCell is one way to draw, and what came of it.
type sweepCell struct {
	Sampler  string `json:"sampler"`
	Schedule string `json:"schedule"`
	Steps    int    `json:"steps"`
	Skip     string `json:"skip"`
	NFE      int    `json:"nfe"`

	Score   float64 `json:"score"`
	Error   float64 `json:"standard_error"`
	Seconds float64 `json:"seconds"` // of drawing and measuring
	Rate    float64 `json:"pictures_per_second"`
}

// way names what is drawn; cells of the same way are the same.
func (c sweepCell) way() string {
	return fmt.Sprintf("%s, %s, %s, skip %s", c.Sampler, c.Schedule, plural(c.Steps, "step"), c.Skip)
}

// sweepSteps is the --steps unless given: few, which is where solvers differ.
const sweepSteps = "4,6,8,10,14,18"

func benchSamplersCommand(u *ui) *cobra.Command {
	o := &sweepOptions{sampleOptions: newSampleOptions(), evalSettings: defaultEvalSettings(), blocks: 8, exact: 400,
		samplers: "ddim,heun,dpmpp-2m,dpmpp-3m,unipc,deis", steps: sweepSteps, skips: "1", schedules: "karras"}
	o.metrics = tuneMetrics[0]
	c := &cobra.Command{
		Use:   "samplers MODEL",
		Short: "Measure samplers, steps, schedules and skip weights against each other",
		Long: `Draw the same seeds by every combination of --samplers, --steps, --schedule and --skip
and measure the pictures: by a distance to real ones (--ref), or, without --ref, by how far
they are from the exact end of the probability flow, which --exact steps of heun stand for:
the root mean square over all numbers of a picture, on the scale -1 to 1. Standard errors
come from leaving out one block of seeds after the other.

With --results FILE every combination is a line there as soon as it is measured, and a run
that was interrupted goes on. --csv and --plot write the table as numbers and as a drawing of
quality over network evaluations.

The other flags are those of "diffuse sample" and "diffuse eval".`,
		Example: `  diffuse bench samplers fashion-teacher --samplers heun,dpmpp-2m,unipc --steps 4-12 --plot flow.svg
  diffuse bench samplers fashion-teacher --ref fashion-mnist/ --samplers dpmpp-2m --steps 3,6,12,18 --skip "1 0.9:1 0.8:1" --num 10000 --results cells.jsonl
  diffuse bench samplers mixture.gmm.json --num 1000 --csv solvers.csv`,
		Args:              between(1, 1, "one model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			o.given = c.Flags().Changed
			cells, err := o.check(c.Flags())
			if err != nil {
				return err
			}
			return runSweep(c.Context(), u, o, args[0], cells)
		},
	}
	o.bindSweep(c)
	return c
}

func (o *sweepOptions) bindSweep(c *cobra.Command) {
	f := c.Flags()
	section(f, "Combinations and measure", func() {
		f.StringVar(&o.samplers, "samplers", o.samplers, "`LIST` of samplers, see diffuse sample --list-samplers")
		// Where sample takes one value, a sweep takes a list.
		f.StringVar(&o.steps, "steps", o.steps, "`LIST` of numbers of steps such as 3-6,10,18")
		f.StringVar(&o.schedules, "schedule", o.schedules, "`LIST` of noise schedules, with spaces between")
		f.StringVar(&o.skips, "skip", o.skips, "`LIST` of skip weights, with spaces between")
		f.StringVar(&o.ref, "ref", "", "real pictures, or their statistics")
		f.StringVar(&o.refSplit, "ref-split", "", "part of the reference, if it has parts: train or test (default train)")
		f.StringVar(&o.metrics, "metric", o.metrics, "with --ref: "+strings.Join(tuneMetrics, ", "))
		f.StringVar(&o.features, "features", "", "feature network, as for diffuse eval (default: the first that fits)")
		f.StringVar(&o.inception, "inception", "", "`FILE` with the Inception network's weights")
		f.BoolVar(&o.noCache, "no-cache", false, "neither use nor keep a file with the features of --ref")
		f.IntVar(&o.exact, "exact", o.exact, "without --ref: steps of heun that stand for the exact solution")
		f.IntVar(&o.blocks, "blocks", o.blocks, "blocks of seeds for standard errors (0 = none)")
		f.StringVar(&o.results, "results", "", "`FILE.jsonl` to keep combinations in and to take them from")
		f.StringVar(&o.csv, "csv", "", "`FILE` for the table")
		f.StringVar(&o.plot, "plot", "", "`FILE` (.svg or .png) for a drawing of quality over network evaluations")
	})
	single := &cobra.Command{Use: c.Use} // takes the flags of sample that a sweep has other ones for
	o.bindDrawing(single)
	hidden := []string{"sampler", "sigmas", "timesteps"}
	single.Flags().VisitAll(func(flag *pflag.Flag) {
		if f.Lookup(flag.Name) == nil {
			flag.Hidden = slices.Contains(hidden, flag.Name)
			if a := flag.Annotations[sectionKey]; a != nil {
				a[1] = "1" + a[1] // after all of its own
			}
			f.AddFlag(flag)
		}
	})
	f.Lookup("seeds").Usage = "`LIST` of seeds such as 0-4999, the same for every combination"
	f.Lookup("num").Usage = fmt.Sprintf("pictures per combination: seeds 0 to num-1 (default %d with --ref, %d without)", tuneCount, exactCount)
	c.RegisterFlagCompletionFunc("metric", completeWith(tuneMetrics))
	c.RegisterFlagCompletionFunc("features", completeWith(featureNames))
}

// exactCount is the number of pictures per combination where the exact solution is the reference.
const exactCount = 64

// check refuses what makes no sense, as far as the flags alone tell, and multiplies the lists out.
func (o *sweepOptions) check(f *pflag.FlagSet) ([]sweepCell, error) {
	for _, name := range []string{"sampler", "sigmas", "timesteps"} {
		if f.Changed(name) {
			return nil, usagef("bench samplers has no --%s: it draws seeds by the product of --samplers, --steps, --schedule and --skip", name)
		}
	}
	for _, name := range []string{"metric", "features", "inception", "ref-split", "no-cache"} {
		if f.Changed(name) && o.ref == "" {
			return nil, usagef("--%s has no effect without --ref", name)
		}
	}
	if o.ref != "" && f.Changed("exact") {
		return nil, usagef("--exact has no effect with --ref")
	}
	if !slices.Contains(tuneMetrics, o.metrics) {
		return nil, unknownName("metric", o.metrics, tuneMetrics)
	}
	if o.blocks < 0 || o.blocks == 1 {
		return nil, usagef("--blocks is %d, want 0 or 2 or more", o.blocks)
	}
	if o.exact < 1 || o.exact > maxSteps {
		return nil, usagef("--exact is %d, want 1 to %d", o.exact, maxSteps)
	}
	if o.plot != "" {
		if err := checkPlot("plot", o.plot); err != nil {
			return nil, err
		}
	}
	for _, out := range [][2]string{{"results", o.results}, {"csv", o.csv}, {"plot", o.plot}} {
		if out[1] != "" {
			if err := checkOutput(out[0], out[1]); err != nil {
				return nil, err
			}
		} else if f.Changed(out[0]) {
			return nil, usagef("--%s is empty", out[0])
		}
	}
	return o.product()
}

// product multiplies the lists out: samplers outermost, steps innermost.
func (o *sweepOptions) product() ([]sweepCell, error) {
	steps, err := parseSeeds(o.steps)
	if err != nil {
		return nil, usagef("--steps: %s is no list of numbers and ranges such as 3-6,10", o.steps)
	}
	var cells []sweepCell
	for _, name := range strings.Split(o.samplers, ",") {
		info, err := lookupSampler(name)
		if err != nil {
			return nil, err
		}
		if info.Adaptive {
			return nil, usagef("--samplers: %s chooses its steps itself and has no place in a table by steps", info.Name)
		}
		if o.ref == "" && (drawsNoise(info) || o.solver.Eta > 0 || o.solver.Churn > 0) {
			err := usagef("--samplers: %s draws noise of its own and does not follow the probability flow", info.Name)
			return nil, withHint(err, "measure it against real pictures, --ref")
		}
		for _, sched := range strings.Fields(o.schedules) {
			for _, skip := range strings.Fields(o.skips) {
				for _, n := range steps {
					if n < 1 || n > maxSteps {
						return nil, usagef("--steps: %d, want 1 to %d", n, maxSteps)
					}
					cells = append(cells, sweepCell{Sampler: info.Name, Schedule: sched, Steps: int(n), Skip: skip})
				}
			}
		}
	}
	if len(cells) == 0 {
		return nil, usagef("nothing to measure: --skip and --schedule must not be empty")
	}
	return cells, nil
}

// A sweep measures cells.
type sweep struct {
	o     *sweepOptions
	u     *ui
	model *model
	v     *evaluation              // with --ref
	exact map[[2]float64][]float64 // without: the exact solutions between two levels
	key   string                   // what scores depend on, besides the cell
}

func runSweep(ctx context.Context, u *ui, o *sweepOptions, modelArg string, cells []sweepCell) error {
	s, err := newSweep(u, o, modelArg, cells)
	if err != nil {
		return err
	}
	stored, err := readStored(u, o.results, s.key, "combinations of diffuse bench samplers", func(c sweepCell) bool { return c.Sampler != "" && c.Steps > 0 })
	if err != nil {
		return err
	}
	for i := range cells {
		if k := slices.IndexFunc(stored, func(c sweepCell) bool { return c.way() == cells[i].way() }); k >= 0 {
			cells[i] = stored[k]
			continue
		}
		if err := s.measure(ctx, &cells[i]); err != nil {
			if o.results != "" && i > 0 {
				return withHint(err, "%d of %d combinations are in %s; the same command goes on from there", i, len(cells), o.results)
			}
			return err
		}
		u.note("%d/%d: %s: %s ± %s", i+1, len(cells), cells[i].way(), shortest(cells[i].Score), shortest(cells[i].Error))
	}
	return s.write(cells)
}

// newSweep opens everything, plans every cell, and refuses what can be refused.
func newSweep(u *ui, o *sweepOptions, modelArg string, cells []sweepCell) (*sweep, error) {
	m, err := u.openModel(modelArg)
	if err != nil {
		return nil, err
	}
	if err := distinct([][2]string{{"MODEL", m.path}, {"--ref", o.ref}}, [2]string{"--results", o.results}, [2]string{"--csv", o.csv}, [2]string{"--plot", o.plot}); err != nil {
		return nil, err
	}
	if !o.given("num") && !o.given("seeds") {
		o.num = exactCount
		if o.ref != "" {
			o.num = tuneCount
		}
		given := o.given
		o.given = func(flag string) bool { return flag == "num" || given(flag) }
	}
	s := &sweep{o: o, u: u, model: m, exact: map[[2]float64][]float64{}}
	var samples drawnSet
	for i := range cells {
		if samples, err = s.samples(cells[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", cells[i].way(), err)
		}
		cells[i].NFE = samples.plan.nfe
	}
	if n := samples.Len(); n < 2*o.blocks {
		return nil, usagef("%d pictures cannot be cut into %d --blocks", n, o.blocks)
	}
	if o.ref != "" {
		if s.v, err = newEvaluation(u, o.evalSettings, m.height, m.width, m.channels); err != nil {
			return nil, err
		}
		if _, err := s.v.plan(samples); err != nil {
			return nil, err
		}
	}
	return s, s.describe(samples)
}

// samples are the pictures of a cell.
func (s *sweep) samples(c sweepCell) (drawnSet, error) {
	m, o := *s.model, *s.o.sampleOptions
	o.sampler, o.skip, o.grid.schedule, o.grid.steps = c.Sampler, c.Skip, c.Schedule, c.Steps
	given := s.o.given
	o.given = func(flag string) bool {
		switch flag {
		case "skip":
			return c.Skip != "1" || m.net != nil // analytic models have no skip connections to leave alone
		case "sampler", "steps", "schedule":
			return true
		}
		return given(flag)
	}
	p, err := o.planDrawing(s.u, &m)
	return drawnSet{plan: p}, err
}

// exactSamples are the same pictures at the end of the flow between the ends of a list of levels, by heun without the options of the solvers that
// are measured.
func (s *sweep) exactSamples(ends [2]float64) (drawnSet, error) {
	sweepOptions, draw := *s.o, *s.o.sampleOptions
	plain := *s
	plain.o, sweepOptions.sampleOptions = &sweepOptions, &draw
	draw.solver, draw.restart, draw.stepNoise = sampler.DefaultOptions(), "", ""
	draw.afs, draw.toZero, draw.shareSteps = false, false, false
	ofSolvers := append(sortedFlags(), "step-noise", "share-steps")
	draw.given = func(flag string) bool { return !slices.Contains(ofSolvers, flag) && s.o.given(flag) }
	exact, err := plain.samples(sweepCell{Sampler: "heun", Schedule: "karras", Steps: s.o.exact, Skip: "1"})
	if err != nil {
		return exact, err
	}
	p := exact.plan
	lowest := p.sigmas[max(0, len(p.sigmas)-2)] // the last level above 0
	if ends[1] > 0 {
		lowest = ends[1]
	}
	if !(lowest < ends[0]) {
		return exact, usagef("bench samplers: no exact solution between the levels %g and %g", ends[0], lowest)
	}
	p.sigmas = schedule.Karras(max(2, s.o.exact), lowest, ends[0], p.model.defaults.Rho)
	if ends[1] > 0 {
		p.sigmas = p.sigmas[:len(p.sigmas)-1]
	}
	p.nfe = 0
	p.rehearse()
	return exact, nil
}

// ends are the levels between which a list leads.
func ends(sigmas []float64) [2]float64 { return [2]float64{sigmas[0], sigmas[len(sigmas)-1]} }

// describe puts all that scores depend on, but for the cell, in the key.
func (s *sweep) describe(samples drawnSet) error {
	r := samples.plan.report(samples.plan.pictures)
	r.Sampler, r.Steps, r.NFE, r.Sigmas, r.Skip, r.Eta, r.Order, r.Variant = "", 0, 0, nil, "", 0, 0, ""
	r.Flags = samples.plan.recordFlags()
	settings := map[string]any{"sampling": r, "range": []float64{s.o.grid.sigmaMin, s.o.grid.sigmaMax, s.o.grid.rho}, "blocks": s.o.blocks}
	if s.v != nil {
		settings["reference"], settings["features"], settings["features_sha256"], settings["metric"] = s.v.ref.what, s.v.e.Name(), s.v.e.hash, s.o.metrics
	} else {
		settings["exact"] = s.o.exact
	}
	b, err := json.Marshal(settings)
	s.key = string(b)
	return err
}

// measure fills in a cell and keeps it.
func (s *sweep) measure(ctx context.Context, c *sweepCell) error {
	samples, err := s.samples(*c)
	if err != nil {
		return err
	}
	if between := ends(samples.plan.sigmas); s.v == nil && s.exact[between] == nil {
		exact, err := s.exactSamples(between)
		if err != nil {
			return err
		}
		if s.exact[between], err = exact.values(ctx, s.u, "exact solutions"); err != nil {
			return err
		}
	}
	var without []float64
	started := time.Now()
	if s.v != nil {
		c.Score, without, err = s.v.scoreBlocks(ctx, s.u, samples, s.o.blocks)
	} else {
		c.Score, without, err = s.distance(ctx, samples)
	}
	if err != nil {
		return err
	}
	c.Seconds = time.Since(started).Seconds()
	c.Rate = float64(samples.Len()) / c.Seconds
	if without != nil {
		c.Error = jackknife(without)
	}
	if s.o.results == "" {
		return nil
	}
	if err := appendLine(s.o.results, sweepLine{*c, json.RawMessage(s.key)}); err != nil {
		return fmt.Errorf("--results: %w", err)
	}
	return nil
}

// A sweepLine is a line of a results file.
type sweepLine struct {
	sweepCell
	Settings json.RawMessage `json:"settings"`
}

// distance is the root mean square difference from the exact solutions, and that without each block of pictures.
func (s *sweep) distance(ctx context.Context, samples drawnSet) (all float64, without []float64, err error) {
	x, err := samples.values(ctx, s.u, "sampling")
	if err != nil {
		return 0, nil, err
	}
	per, exact := samples.plan.model.size(), s.exact[ends(samples.plan.sigmas)]
	squares, total := make([]float64, samples.Len()), 0.0
	for i, v := range x {
		d := v - exact[i]
		squares[i/per] += d * d
		total += d * d
	}
	for b := range s.o.blocks {
		lo, hi := b*len(squares)/s.o.blocks, (b+1)*len(squares)/s.o.blocks
		rest := total
		for _, v := range squares[lo:hi] {
			rest -= v
		}
		without = append(without, math.Sqrt(max(rest, 0)/float64((len(squares)-hi+lo)*per)))
	}
	return math.Sqrt(total / float64(len(x))), without, nil
}

// values draws all pictures, N×C×H×W on the model's scale.
func (s drawnSet) values(ctx context.Context, u *ui, what string) ([]float64, error) {
	p := s.plan
	bar := u.progress(what, "pictures", 0, float64(len(p.pictures)))
	defer bar.finish()
	var all []float64
	for lo := 0; lo < len(p.pictures); lo += p.batch {
		x, err := p.drawBatch(ctx, lo, p.pictures[lo:min(lo+p.batch, len(p.pictures))], nil, bar)
		if err != nil {
			return nil, err
		}
		all = append(all, x...)
	}
	return all, nil
}
