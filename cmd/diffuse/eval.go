package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/checkpoint"
	"diffuse/metric"
	"diffuse/zoo"
)

// evalOptions are the flags of "diffuse eval" as typed.
type evalOptions struct {
	*sampleOptions // when SAMPLES is a model

	ref, split, refSplit string
	metrics              string
	features, inception  string
	makeRef              string
	perClass             bool
	nearest              int // K of precision and recall
	most                 int // pictures of either side in precision and recall
	subsets, subsetSize  int // of KID
}

// evalCount is the number of pictures a model draws to be measured, unless --num or --seeds says otherwise.
const evalCount = 10_000

func evalCommand(u *ui) *cobra.Command {
	o := &evalOptions{sampleOptions: newSampleOptions(), nearest: 3, most: 10_000, subsets: 100, subsetSize: 1000}
	c := &cobra.Command{
		Use:   "eval SAMPLES {--ref R | --make-ref FILE}",
		Short: "Measure how close pictures are to real ones",
		Long: `Measure how close pictures are to real ones, by distances between the features that a
network sees in both.

SAMPLES is an npz file (arr_0, and arr_1 for classes), a folder of pictures, idx files,
or a model: then ` + fmt.Sprint(evalCount) + ` pictures are drawn (--num, --seeds), by the sampling flags of
"diffuse sample". Measuring the folder of a training run adds a line to its eval.jsonl.

R is a set of pictures, or statistics made by --make-ref or another tool (npz with mu and
sigma); against statistics there are no kid, prdc, sw and fd-infinity. Of files with both, as
ADM's, Inception's fd is taken against the statistics and the rest against the pictures.
Statistics of other features, weights or picture sizes are refused; npz files do not say
what they are of (.safetensors do), so there only the number of features can be checked.

Metrics (--metrics): fd, the Fréchet distance; fd-infinity, its extrapolation to infinitely
many pictures; kid, the kernel distance; prdc, precision, recall, density and coverage; is, the
Inception Score; sw, the sliced Wasserstein distance of the pixels; accuracy, the share of
pictures that a classifier finds in the class they were meant to show.

Features (--features): "fashion", a small classifier inside the program, for 28x28 grey
clothes; "random", an untrained network, for pictures of any kind; "inception", the network
that FID is defined on, whose weights you bring (--inception FILE). It may be
followed by a layer (` + inceptionLayerNames() + `) and a way to
bring pictures to its size (` + inceptionDoorNames() + `):
inception-2048/torch_fidelity is what "inception" alone means. The distance is called after
its features - fd-fashion, fd-random - and fid only with Inception's layer 2048.

Distances depend on the number of pictures: compare numbers of equal counts only.`,
		Example: `  diffuse eval fashion --ref fashion-mnist/
  diffuse eval fashion --skip 0.8:1 --steps 6 --num 2000 --ref fashion-mnist/ --metrics fd,accuracy
  diffuse eval samples.npz --ref photos/ --features random
  diffuse eval out/ --ref cifar10-stats.npz --features inception --inception pt_inception-2015-12-05-6726825d.pth
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
	o.bindDrawing(c)
	f := c.Flags()
	f.Lookup("seeds").Usage = "`LIST` of seeds such as 0-63,100 for a model; one picture each"
	f.Lookup("num").Usage = fmt.Sprintf("number of pictures: a model's seeds 0 to num-1 (default %d), or so many of SAMPLES, drawn at random (default: all)", evalCount)
	f.StringVar(&o.ref, "ref", "", "real pictures, or their statistics")
	f.StringVar(&o.split, "split", "", "part of SAMPLES, if they have parts: train or test (default train)")
	f.StringVar(&o.refSplit, "ref-split", "", "part of the reference, if it has parts: train or test (default train)")
	f.StringVar(&o.metrics, "metrics", "", "`LIST` of "+strings.Join(metricNames(), ", ")+" (default: fd, and of kid, prdc and accuracy what is possible)")
	f.StringVar(&o.features, "features", "", "feature network: "+strings.Join(featureNames, ", ")+" (default: inception if --inception is given, else the first that fits)")
	f.StringVar(&o.inception, "inception", "", "`FILE` with the Inception network's weights, .pth or .safetensors")
	f.StringVar(&o.makeRef, "make-ref", "", "`FILE` (.safetensors or .npz) to write the statistics of SAMPLES to, instead of measuring")
	f.BoolVar(&o.perClass, "per-class", false, "the Fréchet distance of every class, too")
	f.IntVar(&o.nearest, "nearest", o.nearest, "neighbours of precision, recall, density and coverage")
	f.IntVar(&o.most, "nearest-pictures", o.most, "pictures of either side, at most, for these four")
	f.IntVar(&o.subsets, "kid-subsets", o.subsets, "subsets of the kernel distance")
	f.IntVar(&o.subsetSize, "kid-subset-size", o.subsetSize, "pictures in each of them, at most")
	c.RegisterFlagCompletionFunc("features", completeWith(featureNames))
	return c
}

// meaningless refuses what is contradictory or has no effect, as far as the flags alone tell.
func (o *evalOptions) meaningless(f *pflag.FlagSet) error {
	for _, name := range []string{"ref", "make-ref", "inception", "features", "metrics", "split", "ref-split"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return usagef("--%s is empty", name)
		}
	}
	if (o.ref == "") == (o.makeRef == "") {
		return usagef("eval needs --ref (what to compare with) or --make-ref (where to write statistics), and not both")
	}
	if o.makeRef != "" {
		for _, name := range []string{"ref-split", "metrics", "per-class", "nearest", "nearest-pictures", "kid-subsets", "kid-subset-size"} {
			if f.Changed(name) {
				return usagef("--%s has no effect with --make-ref, which measures nothing", name)
			}
		}
	}
	if o.nearest < 1 || o.most <= o.nearest || o.subsets < 1 || o.subsetSize < 2 {
		return usagef("--nearest %d of --nearest-pictures %d, --kid-subsets %d of --kid-subset-size %d make no sense", o.nearest, o.most, o.subsets, o.subsetSize)
	}
	return nil
}

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
		return openStored(u, arg, o.split, o.num)
	}
	if f.Changed("split") {
		return nil, usagef("--split: SAMPLES is a model, which has no parts")
	}
	m, err := openModel(arg)
	if err != nil {
		return nil, err
	}
	if !f.Changed("num") && !f.Changed("seeds") {
		o.num = evalCount
		f.Set("num", fmt.Sprint(evalCount))
	}
	p, err := o.planDrawing(u, m)
	if err != nil {
		return nil, err
	}
	return drawnSet{p}, nil
}

func runEval(ctx context.Context, u *ui, o *evalOptions, f *pflag.FlagSet, arg string) error {
	wanted, err := parseMetrics(o.metrics)
	if err != nil {
		return err
	}
	samples, err := o.open(u, f, arg)
	if err != nil {
		return err
	}
	e, err := o.extractor(samples)
	if err != nil {
		return err
	}
	started := time.Now()
	if o.makeRef != "" {
		return o.writeReference(ctx, u, arg, samples, e)
	}
	ref, err := o.reference(u, e, samples)
	if err != nil {
		return err
	}
	m, err := newMeasurement(o, f, wanted, samples, ref, e)
	if err != nil {
		return err
	}
	if err := m.run(ctx, u); err != nil {
		return err
	}
	m.report.Seconds = time.Since(started).Seconds()
	if err := m.print(u); err != nil {
		return err
	}
	m.journal(u, arg)
	return nil
}

// featureNames lists what --features takes.
var featureNames = []string{"fashion", "random", "inception"}

// extractor chooses the feature network: the one asked for, else Inception if its weights were given, else the first that fits.
func (o *evalOptions) extractor(samples pictureSet) (*extractor, error) {
	h, w, c := samples.Size()
	name, door, hasDoor := strings.Cut(o.features, "/")
	switch {
	case name == "" && o.inception != "":
		name = "inception"
	case name == "":
		name = "random"
		if h == 28 && w == 28 && c == 1 {
			name = "fashion"
		}
	case !slices.Contains(featureNames, name) && !strings.HasPrefix(name, "inception-"), hasDoor && !strings.HasPrefix(name, "inception"):
		return nil, unknownName("feature network", o.features, featureNames)
	}
	if o.inception != "" && !strings.HasPrefix(name, "inception") {
		return nil, usagef("--inception contradicts --features %s: give one of them", o.features)
	}
	switch name {
	case "fashion":
		k, hash, err := fashionFeatures()
		if err != nil {
			return nil, err
		}
		if h != k.Height || w != k.Width || c != k.Channels {
			err := fmt.Errorf("the fashion features are for pictures of %d×%d×%d, these are %d×%d×%d", k.Height, k.Width, k.Channels, h, w, c)
			return nil, withHint(err, "--features random takes any size")
		}
		return &extractor{Extractor: k, hash: hash, batch: smallBatch}, nil
	case "random":
		r, err := metric.NewRandom(c)
		// Another size is another scale of texture, and grey has weights of its own.
		return &extractor{r, "formula", fmt.Sprintf("none, %d×%d×%d", h, w, c), smallBatch}, err
	}
	return o.openInception(name, door)
}

// fashionFeatures opens the classifier inside the program.
func fashionFeatures() (k *metric.Classifier, hash string, err error) {
	b, err := zoo.FashionFeatures()
	if err != nil {
		return nil, "", err
	}
	f, err := checkpoint.OpenBytes(b)
	if err != nil {
		return nil, "", fmt.Errorf("fashion features: %w", err)
	}
	k, err = metric.ReadClassifier(f)
	return k, fmt.Sprintf("%x", sha256.Sum256(b)), err
}

// openInception reads the user's weights. name may be "inception" or a layer such as "inception-64"; door is how pictures come in.
func (o *evalOptions) openInception(name, door string) (*extractor, error) {
	if o.inception == "" {
		err := usagef("--features %s needs the network's weights: --inception FILE", o.features)
		return nil, withHint(err, "pytorch-fid's pt_inception-2015-12-05-6726825d.pth, which is torch-fidelity's too, or its tensors under the same names as safetensors")
	}
	if name == "inception" {
		name = "inception-2048"
	}
	if door == "" {
		door = string(metric.TorchFidelity)
	}
	f, err := checkpoint.OpenWeights(o.inception)
	if err != nil {
		return nil, fmt.Errorf("--inception: %w", err)
	}
	defer f.Close()
	net, err := metric.NewInception(f.Tensors)
	if err != nil {
		return nil, fmt.Errorf("--inception %s: %w", o.inception, err)
	}
	e, err := net.Extractor(name + "/" + door)
	if err != nil {
		return nil, usageError{fmt.Errorf("--features: %w", err)}
	}
	hash, err := fileHash(o.inception)
	return &extractor{Extractor: e, hash: hash, batch: inceptionBatch}, err
}

// Pictures that go through a feature network between two looks at the clock and at interrupts: about a tenth of a second of the
// small ones, a second of Inception.
const smallBatch, inceptionBatch = 256, 16

// inceptionLayerNames lists what may follow "inception-".
func inceptionLayerNames() string {
	var names []string
	for l := metric.Inception64; l <= metric.InceptionLogits; l++ {
		names = append(names, l.String())
	}
	return strings.Join(names, ", ")
}

// inceptionDoorNames lists what may follow the layer and a slash.
func inceptionDoorNames() string {
	var names []string
	for _, d := range metric.FrontDoors() {
		names = append(names, string(d))
	}
	return strings.Join(names, ", ")
}
