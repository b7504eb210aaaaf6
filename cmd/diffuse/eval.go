package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/dataset"
)

// evalOptions are the flags of "diffuse eval" as typed.
type evalOptions struct {
	*sampleOptions // when SAMPLES is a model
	evalSettings

	split, makeRef string
}

// evalCount is the number of pictures a model draws to be measured, unless --num or --seeds says otherwise: that of the field (EDM, ADM).
const evalCount = 50_000

func evalCommand(u *ui) *cobra.Command {
	o := &evalOptions{sampleOptions: newSampleOptions(), evalSettings: defaultEvalSettings()}
	c := &cobra.Command{
		Use:   "eval SAMPLES {--ref R | --make-ref FILE}",
		Short: "Measure how close pictures are to real ones",
		Long: `Measure how close pictures are to real ones, by distances between the features that a
network sees in both.

SAMPLES is a folder of pictures, an npz file (arr_0, and arr_1 for classes) or any other
data set ("diffuse data --help"), or a model: then ` + fmt.Sprint(evalCount) + ` pictures are drawn, as papers do
(--num 10000 is quicker), by the sampling flags of "diffuse sample". Measuring the folder of a
training run adds a line to its eval.jsonl.

R is a set of pictures, or statistics made by --make-ref or another tool (npz with mu and
sigma); against statistics there are no kid, prdc, sw and fd-infinity. Of files with both, as
ADM's, Inception's fd is taken against the statistics and the rest against the pictures.
Statistics of other features, weights or picture sizes are refused; npz files do not say
what they are of (.safetensors do), so there only the number of features can be checked.

Metrics (--metrics): fd, the Fréchet distance; fd-infinity, its extrapolation to infinitely
many pictures; kid, the kernel distance; prdc, precision, recall, density and coverage; is, the
Inception Score; sw, the sliced Wasserstein distance of the pixels; accuracy, the share of
pictures that a classifier finds in the class they were meant to show; authenticity, the share
of pictures that are farther from the nearest of --ref than that is from its own nearest: a little
over a half for new pictures, less for a model that repeats what it was trained on.

Features (--features): "fashion", a small classifier inside the program, for 28x28 grey
clothes; "random", an untrained network, for pictures of any kind; "inception", the network
that FID is defined on, whose weights you bring (--inception FILE; they are found again from then
on). It may be followed by a layer (` + inceptionLayerNames() + `) and a way to
bring pictures to its size (` + inceptionDoorNames() + `):
inception-2048/torch_fidelity is what "inception" alone means. The distance is called after
its features - fd-fashion, fd-random - and fid only with Inception's layer 2048.

The features of --ref, or of SAMPLES with --make-ref, are kept for the next time, in the folder
.diffuse beside the pictures or in the user's cache folder, and are computed again when the
pictures have changed.

Distances depend on the number of pictures: compare numbers of equal counts only.`,
		Example: `  diffuse eval fashion --num 10000 --ref fashion-mnist/
  diffuse eval fashion --skip 0.8:1 --steps 6 --num 2000 --ref fashion-mnist/ --metrics fd,accuracy
  diffuse eval samples.npz --ref photos/ --features random
  diffuse eval out/ --ref cifar10-stats.npz --features inception --inception pt_inception-2015-12-05-6726825d.pth
  diffuse eval runs/photos --num 2000 --ref photos/ --metrics authenticity --neighbours nearest.png
  diffuse eval photos/ --make-ref photos-stats.safetensors --features random`,
		Args:              between(1, 1, "one set of pictures or model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			o.given = c.Flags().Changed
			if err := o.contradictions(c.Flags()); err != nil {
				return err
			}
			if err := o.meaningless(c.Flags()); err != nil {
				return err
			}
			return runEval(c.Context(), u, o, c.Flags(), args[0])
		},
	}
	f := c.Flags()
	section(f, "Measuring", func() {
		f.StringVar(&o.ref, "ref", "", "real pictures, or their statistics")
		f.StringVar(&o.split, "split", "", "part of SAMPLES, if they have parts: train or test (default train)")
		f.StringVar(&o.refSplit, "ref-split", "", "part of the reference, if it has parts: train or test (default train)")
		f.StringVar(&o.metrics, "metrics", "", "`LIST` of "+strings.Join(metricNames(), ", ")+" (default: fd, and of kid, prdc and accuracy what is possible)")
		f.StringVar(&o.features, "features", "", "feature network: "+strings.Join(featureNames, ", ")+" (default: inception if --inception is given, else the first that fits)")
		f.StringVar(&o.inception, "inception", "", "`FILE` with the Inception network's weights, .pth or .safetensors")
		f.StringVar(&o.makeRef, "make-ref", "", "`FILE` (.safetensors or .npz) to write the statistics of SAMPLES to, instead of measuring")
		f.StringVar(&o.neighbours, "neighbours", "", fmt.Sprintf("`FILE.png` for the %d samples nearest to pictures of --ref, each with its %d nearest", neighbourRows, neighbourColumns))
		f.BoolVar(&o.noCache, "no-cache", false, "neither use nor keep a file with the features of --ref, or of SAMPLES with --make-ref")
		f.BoolVar(&o.perClass, "per-class", false, "the Fréchet distance of every class, too")
		f.IntVar(&o.nearest, "nearest", o.nearest, "neighbours of precision, recall, density and coverage")
		f.IntVar(&o.most, "nearest-pictures", o.most, "pictures of either side, at most, for these four")
		f.IntVar(&o.subsets, "kid-subsets", o.subsets, "subsets of the kernel distance")
		f.IntVar(&o.subsetSize, "kid-subset-size", o.subsetSize, "pictures in each of them, at most")
	})
	o.bindDrawing(c)
	f.Lookup("seeds").Usage = "`LIST` of seeds such as 0-63,100 for a model; one picture each"
	f.Lookup("num").Usage = fmt.Sprintf("number of pictures: a model's seeds 0 to num-1 (default %d), or so many of SAMPLES, drawn at random (default: all)", evalCount)
	c.RegisterFlagCompletionFunc("features", completeWith(featureNames))
	return c
}

// meaningless refuses what is contradictory or has no effect, as far as the flags alone tell.
func (o *evalOptions) meaningless(f *pflag.FlagSet) error {
	for _, name := range []string{"ref", "make-ref", "inception", "features", "metrics", "split", "ref-split", "neighbours"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return usagef("--%s is empty", name)
		}
	}
	if (o.ref == "") == (o.makeRef == "") {
		return usagef("eval needs --ref (what to compare with) or --make-ref (where to write statistics), and not both")
	}
	if o.makeRef != "" {
		for _, name := range []string{"ref-split", "metrics", "neighbours", "per-class", "nearest", "nearest-pictures", "kid-subsets", "kid-subset-size"} {
			if f.Changed(name) {
				return usagef("--%s has no effect with --make-ref, which measures nothing", name)
			}
		}
	}
	if o.neighbours != "" {
		if err := checkPNG("neighbours", o.neighbours); err != nil {
			return err
		}
		if err := checkOutput("neighbours", o.neighbours); err != nil {
			return err
		}
	}
	if o.nearest < 1 || o.most <= o.nearest || o.subsets < 1 || o.subsetSize < 2 {
		return usagef("--nearest %d of --nearest-pictures %d, --kid-subsets %d of --kid-subset-size %d make no sense", o.nearest, o.most, o.subsets, o.subsetSize)
	}
	if o.subsets > mostSubsets {
		return usagef("--kid-subsets is %d, want at most %d", o.subsets, mostSubsets)
	}
	return nil
}

// mostSubsets bounds what a slip can ask for.
const mostSubsets = 100_000

// drawingOnly refuses sampling flags for pictures that exist already.
func (o *evalOptions) drawingOnly(f *pflag.FlagSet) error {
	drawing := &cobra.Command{}
	newSampleOptions().bindDrawing(drawing)
	var wrong []string
	drawing.Flags().VisitAll(func(d *pflag.Flag) {
		if f.Changed(d.Name) && d.Name != "num" {
			wrong = append(wrong, "--"+d.Name)
		}
	})
	if len(wrong) > 0 {
		return usagef("%s: SAMPLES are pictures, not a model that draws them", strings.Join(wrong, ", "))
	}
	return nil
}

// open finds the pictures to measure.
func (o *evalOptions) open(u *ui, f *pflag.FlagSet, arg string) (pictureSet, error) {
	isModel, err := namesModel(arg)
	if err != nil {
		return nil, err
	}
	if !isModel {
		if statistics, pictures := contents(arg); statistics && !pictures {
			return nil, usagef("%s holds statistics, which are for --ref; SAMPLES are pictures or a model", arg)
		}
		if err := o.drawingOnly(f); err != nil {
			return nil, err
		}
		return openStored(u, arg, o.split, o.num, dataset.Options{})
	}
	if f.Changed("split") {
		return nil, usagef("--split: SAMPLES is a model, which has no parts")
	}
	if o.makeRef != "" && f.Changed("no-cache") {
		return nil, usagef("--no-cache has no effect: SAMPLES is a model, and what it draws is not kept")
	}
	m, err := u.openModel(arg)
	if err != nil {
		return nil, err
	}
	unasked := !f.Changed("num") && !f.Changed("seeds")
	if unasked {
		o.num = evalCount
		f.Set("num", fmt.Sprint(evalCount))
	}
	p, err := o.planDrawing(u, m)
	if err != nil {
		return nil, err
	}
	return drawnSet{plan: p, unasked: unasked}, nil
}

func runEval(ctx context.Context, u *ui, o *evalOptions, f *pflag.FlagSet, arg string) error {
	samples, err := o.open(u, f, arg)
	if err != nil {
		return err
	}
	h, w, c := samples.Size()
	if o.makeRef != "" {
		e, err := o.extractor(u, h, w, c)
		if err != nil {
			return err
		}
		return o.writeReference(ctx, u, arg, samples, e)
	}
	v, err := newEvaluation(u, o.evalSettings, h, w, c)
	if err != nil {
		return err
	}
	m, err := v.plan(samples)
	if err != nil {
		return err
	}
	for _, x := range [][2]string{{"nearest", "prdc"}, {"nearest-pictures", "prdc"}, {"kid-subsets", "kid"}, {"kid-subset-size", "kid"}} {
		if f.Changed(x[0]) && !m.wants(x[1]) {
			return usagef("--%s has no effect: %s is not measured", x[0], x[1])
		}
	}
	if err := distinct([][2]string{{"SAMPLES", arg}, {"--ref", o.ref}}, [2]string{"--neighbours", o.neighbours}); err != nil {
		return err
	}
	r, err := m.run(ctx, u)
	if err != nil {
		return err
	}
	if err := r.print(u); err != nil {
		return err
	}
	if _, drawn := samples.(drawnSet); drawn {
		r.journal(u, arg)
	}
	return nil
}
