package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/metric"
)

// tuneOptions are the flags of "diffuse tune" as typed.
type tuneOptions struct {
	*sampleOptions
	evalSettings
	space tuneSpace

	shape, interval, windows string
	blocks                   int
	results                  string
}

// tuneCount is the number of pictures per candidate unless --num or --seeds says otherwise.
const tuneCount = 2000

// tuneMetrics are the metrics that can be searched by: features alone give them, and less is better.
var tuneMetrics = []string{"fd", "fd-infinity", "kid"}

func tuneCommand(u *ui) *cobra.Command {
	o := &tuneOptions{sampleOptions: newSampleOptions(), evalSettings: defaultEvalSettings(), shape: "ramp", interval: "0.7,1", blocks: 8,
		space: tuneSpace{points: 4, rounds: 2, most: 60}}
	o.metrics = tuneMetrics[0]
	c := &cobra.Command{
		Use:   "tune MODEL --ref R",
		Short: "Search skip weights for a number of steps",
		Long: `Search skip weights (Skip-Tuning) for a sampler and a number of steps: a grid of weights,
then smaller and smaller steps around the best, by a distance to real pictures.

Every candidate draws the same seeds, so that differences between candidates are much more
certain than each distance: the table shows both with standard errors, by leaving out one
block of seeds after the other. The best of many candidates looks better than it is: measure
the weights found with other seeds (diffuse eval --seeds).

With --results FILE every candidate is a line there as soon as it is measured, and a search
that was interrupted goes on; with other settings, only the lines of the same settings count.

R, --features and --inception are as for "diffuse eval", the sampling flags as for
"diffuse sample"; ` + fmt.Sprint(tuneCount) + ` pictures are drawn per candidate (--num, --seeds).`,
		Example: `  diffuse tune fashion-teacher --ref fashion-mnist/ --sampler dpmpp-2m --steps 10
  diffuse tune runs/mine --ref photos/ --steps 6 --shape constant --range 0.6,1.1 --results tune.jsonl
  diffuse tune runs/mine --ref photos/ --steps 6 --window all,..1,0.1..5,1..`,
		Args:              between(1, 1, "one model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			o.given = c.Flags().Changed
			if err := o.check(c.Flags()); err != nil {
				return err
			}
			return runTune(c.Context(), u, o, args[0])
		},
	}
	f := c.Flags()
	section(f, "Search", func() {
		f.StringVar(&o.ref, "ref", "", "real pictures, or their statistics")
		f.StringVar(&o.refSplit, "ref-split", "", "part of the reference, if it has parts: train or test (default train)")
		f.StringVar(&o.metrics, "metric", o.metrics, "what to make small: "+strings.Join(tuneMetrics, ", "))
		f.StringVar(&o.features, "features", "", "feature network, as for diffuse eval (default: the first that fits)")
		f.StringVar(&o.inception, "inception", "", "`FILE` with the Inception network's weights")
		f.BoolVar(&o.noCache, "no-cache", false, "neither use nor keep a file with the features of --ref")
		f.StringVar(&o.shape, "shape", o.shape, "ramp, from the deepest connection to the finest, or constant")
		f.StringVar(&o.interval, "range", o.interval, "smallest and largest weight, `LO,HI`")
		f.StringVar(&o.windows, "window", "", "`LIST` of windows of noise levels to try, such as all,0.1..5,..1 (default: all)")
		f.IntVar(&o.space.points, "points", o.space.points, "points of the grid, per weight")
		f.IntVar(&o.space.rounds, "rounds", o.space.rounds, "refinements of the grid, each by half the step")
		f.IntVar(&o.space.most, "most", o.space.most, "candidates at most")
		f.IntVar(&o.blocks, "blocks", o.blocks, "blocks of seeds for standard errors (0 = none)")
		f.StringVar(&o.results, "results", "", "`FILE.jsonl` to keep measured candidates in and to take them from")
	})
	o.bindDrawing(c)
	f.Lookup("num").Usage = fmt.Sprintf("pictures per candidate: seeds 0 to num-1 (default %d)", tuneCount)
	f.Lookup("seeds").Usage = "`LIST` of seeds such as 0-4999, the same for every candidate"
	f.MarkHidden("skip")
	c.RegisterFlagCompletionFunc("metric", completeWith(tuneMetrics))
	c.RegisterFlagCompletionFunc("features", completeWith(featureNames))
	c.RegisterFlagCompletionFunc("shape", completeWith([]string{"ramp", "constant"}))
	return c
}

// check refuses what makes no sense, as far as the flags alone tell, and reads the space.
func (o *tuneOptions) check(f *pflag.FlagSet) error {
	if err := o.contradictions(f); err != nil {
		return err
	}
	for _, name := range []string{"ref-split", "features", "inception", "metric", "window", "results"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return usagef("--%s is empty", name)
		}
	}
	switch {
	case f.Changed("skip"):
		return withHint(usagef("tune searches the skip weights itself: --skip contradicts it"), "--range, --shape and --window say where")
	case f.Changed("noise"):
		return usagef("tune draws seeds: --noise contradicts it")
	case o.ref == "":
		return usagef("tune needs --ref, the real pictures to come close to")
	case o.shape != "ramp" && o.shape != "constant":
		return usagef("unknown --shape %q; valid are ramp, constant", o.shape)
	case o.blocks < 0 || o.blocks == 1:
		return usagef("--blocks is %d, want 0 or 2 or more", o.blocks)
	}
	known := false
	for _, name := range tuneMetrics {
		known = known || name == o.metrics
	}
	if !known {
		return unknownName("metric", o.metrics, tuneMetrics)
	}
	var err error
	if o.space.lo, o.space.hi, err = parseInterval(o.interval); err != nil {
		return usagef("--range: %q is not LO,HI", o.interval)
	}
	o.space.ramp = o.shape == "ramp"
	if o.windows != "" {
		for _, w := range strings.Split(o.windows, ",") {
			if w = strings.TrimSpace(w); w == "all" {
				w = ""
			}
			o.space.windows = append(o.space.windows, w)
		}
	}
	if err := o.space.check(); err != nil {
		return err
	}
	if o.results == "" {
		return nil
	}
	return checkOutput("results", o.results)
}

// A tuner measures candidates.
type tuner struct {
	o      *tuneOptions
	u      *ui
	model  *model
	v      *evaluation
	key    string           // what the scores depend on, besides the candidate
	stored map[string]tuned // of the results file
	list   []tuned
}

func runTune(ctx context.Context, u *ui, o *tuneOptions, modelArg string) error {
	t, err := newTuner(u, o, modelArg)
	if err != nil {
		return err
	}
	// The plain network and the model's own weights are what the others are compared with.
	baseline, err := t.measure(ctx, "1")
	if err != nil {
		return err
	}
	if own := t.model.defaults.Skip; own != "" {
		if _, err := t.measure(ctx, own); err != nil {
			return err
		}
	}
	err = o.space.search(func(skip string) (float64, error) {
		c, err := t.measure(ctx, skip)
		return c.Score, err
	})
	if err != nil {
		if o.results != "" && len(t.list) > 0 {
			return withHint(err, "%d candidates are in %s; the same command goes on from there", len(t.list), o.results)
		}
		return err
	}
	return t.print(baseline)
}

// newTuner opens everything and refuses what can be refused.
func newTuner(u *ui, o *tuneOptions, modelArg string) (*tuner, error) {
	m, err := u.openModel(modelArg)
	if err != nil {
		return nil, err
	}
	if m.net == nil || m.net.Net.Skips() == 0 {
		return nil, usagef("tune: %s has no skip connections", m.name)
	}
	if err := distinct([][2]string{{"MODEL", m.path}, {"--ref", o.ref}}, [2]string{"--results", o.results}); err != nil {
		return nil, err
	}
	if !o.given("num") && !o.given("seeds") {
		o.num = tuneCount
		given := o.given
		o.given = func(flag string) bool { return flag == "num" || given(flag) }
	}
	t := &tuner{o: o, u: u, model: m}
	corner := tunePoint{weights: [2]float64{o.space.lo, o.space.hi}}
	for corner.window = range max(1, len(o.space.windows)) {
		if _, err := t.samples(o.space.skip(corner)); err != nil {
			return nil, err
		}
	}
	samples, err := t.samples("1")
	if err != nil {
		return nil, err
	}
	if n := samples.Len(); n < 2*o.blocks {
		return nil, usagef("%d pictures cannot be cut into %d --blocks", n, o.blocks)
	}
	if t.v, err = newEvaluation(u, o.evalSettings, m.height, m.width, m.channels); err != nil {
		return nil, err
	}
	if _, err := t.v.plan(samples); err != nil { // the reference's features can wait: all candidates may be in the file
		return nil, err
	}
	if err := t.describe(samples); err != nil {
		return nil, err
	}
	return t, t.readResults()
}

// samples are the pictures of a candidate.
func (t *tuner) samples(skip string) (drawnSet, error) {
	m, o := *t.model, *t.o.sampleOptions
	given := t.o.given
	o.skip, o.given = skip, func(flag string) bool { return flag == "skip" || given(flag) }
	p, err := o.planDrawing(t.u, &m)
	return drawnSet{plan: p}, err
}

// describe puts all that scores depend on, but for the skip weights, in the key.
func (t *tuner) describe(samples drawnSet) error {
	r := samples.plan.report(samples.plan.pictures)
	r.Skip = ""
	b, err := json.Marshal(map[string]any{"sampling": r, "reference": t.v.ref.what, "features": t.v.e.Name(), "features_sha256": t.v.e.hash,
		"metric": t.o.metrics, "blocks": t.o.blocks})
	t.key = string(b)
	return err
}

// measure scores one candidate, or finds its score in the results file.
func (t *tuner) measure(ctx context.Context, skip string) (tuned, error) {
	for _, c := range t.list {
		if c.Skip == skip {
			return c, nil
		}
	}
	c, known := t.stored[skip]
	if !known {
		started := time.Now()
		samples, err := t.samples(skip)
		if err != nil {
			return c, err
		}
		c = tuned{Skip: skip}
		if c.Score, c.Without, err = t.v.scoreBlocks(ctx, t.u, samples, t.o.blocks); err != nil {
			return c, err
		}
		c.Seconds = time.Since(started).Seconds()
		if err := t.keep(c); err != nil {
			return c, err
		}
	}
	t.list = append(t.list, c)
	t.u.note("%d: skip %s: %s %s ± %s", len(t.list), c.Skip, t.o.metrics, shortest(c.Score), shortest(c.standardError()))
	return c, nil
}

// scoreBlocks measures the evaluation's only metric of samples, and again without each of so many blocks of neighbouring pictures.
func (v *evaluation) scoreBlocks(ctx context.Context, u *ui, samples pictureSet, blocks int) (score float64, without []float64, err error) {
	m, err := v.plan(samples)
	if err != nil {
		return 0, nil, err
	}
	all, err := extract(ctx, u, samples, v.e, kept{rows: true, gaussian: true})
	if err != nil {
		return 0, nil, err
	}
	if err := m.readReference(ctx, u); err != nil {
		return 0, nil, err
	}
	value := func(s *featureSet) (float64, error) {
		part := *m
		part.generated, part.report.Metrics, part.report.order = s, map[string]measured{}, nil
		if err := part.kinds[0].compute(&part, ctx, u); err != nil {
			return 0, err
		}
		x := part.report.Metrics[part.report.order[0]].Value
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return 0, fmt.Errorf("%s of %s is %v", part.report.order[0], samples.Describe(), x)
		}
		return x, nil
	}
	if score, err = value(all); err != nil {
		return 0, nil, err
	}
	for b := range blocks {
		if ctx.Err() != nil {
			return 0, nil, errInterrupted
		}
		rest, err := all.outside(b*all.N/blocks, (b+1)*all.N/blocks)
		if err != nil {
			return 0, nil, err
		}
		x, err := value(rest)
		if err != nil {
			return 0, nil, err
		}
		without = append(without, x)
	}
	return score, without, nil
}

// outside is the set without the pictures from lo to hi.
func (s *featureSet) outside(lo, hi int) (*featureSet, error) {
	rest := &featureSet{Features: metric.Features{N: s.N - (hi - lo), D: s.D}}
	rest.X = append(append(make([]float64, 0, rest.N*s.D), s.X[:lo*s.D]...), s.X[hi*s.D:]...)
	var err error
	rest.gaussian, err = metric.Fit(rest.Features)
	return rest, err
}

// print writes the table, best first, and what to type.
func (t *tuner) print(baseline tuned) error {
	list := ranked(t.list)
	best := list[0]
	if t.u.json {
		type row struct {
			tuned
			StandardError float64 `json:"standard_error"`
			Gain          float64 `json:"gain"` // over the plain network
			GainError     float64 `json:"gain_standard_error"`
		}
		rows := make([]row, len(list))
		for i, c := range list {
			g, e := c.gain(baseline)
			rows[i] = row{c, c.standardError(), g, e}
		}
		return t.u.result(map[string]any{"settings": json.RawMessage(t.key), "metric": t.o.metrics, "candidates": rows, "skip": best.Skip})
	}
	w := tabwriter.NewWriter(t.u.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "skip\t%s-%s\t±\tgain over 1\t±\n", t.o.metrics, t.v.e.Name())
	for _, c := range list {
		g, e := c.gain(baseline)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.Skip, shortest(c.Score), shortest(c.standardError()), shortest(g), shortest(e))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if best.Skip == baseline.Skip {
		fmt.Fprintln(t.u.stdout, "\nno skip weights of this search are better than none")
		return nil
	}
	fmt.Fprintf(t.u.stdout, "\nuse: --skip %s\n", best.Skip)
	return nil
}
