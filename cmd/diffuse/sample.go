package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/sampler"
	"diffuse/skiptune"
	"diffuse/zoo"
)

// sampleOptions are the flags of "diffuse sample" as typed.
type sampleOptions struct {
	seeds string
	num   int
	class string
	batch int

	sampler string
	grid    gridOptions
	solver  sampler.Options
	skip    string
	rng     string

	stepNoise   string
	shareSteps  bool
	listSolvers bool
	restart     string
	afs, toZero bool
	like        bool // --like-diffusers

	guidance  float64
	gnet      string
	interval  string
	method    string
	rescale   string
	threshold string

	from, mask string
	strength   float64
	resample   int

	between, frames string // --interpolate-seeds

	outdir, picture, npz string
	columns, scale       int
	animate, animateShow string
	preview              bool
	skipExisting         bool
	noMetadata           bool
	noise, trace         string
	dryRun               bool

	given   func(flag string) bool // whether the user typed a flag
	drawing []*pflag.Flag          // those that say what is drawn, and how

	paramsFrom   string
	wantSHA      string            // of the model that --params-from tells of
	recalledGrid map[string]string // flags of the grid that its levels came from
	wantGuide    string            // likewise of the guiding model
}

// defaultBatch is the number of pictures computed together unless --batch says otherwise.
const defaultBatch = 16

// defaultFrames is the number of frames of an interpolation.
const defaultFrames = "24"

// defaultPicture is where the grid goes if no other output is asked for.
const defaultPicture = "diffuse.png"

func newSampleOptions() *sampleOptions {
	return &sampleOptions{batch: defaultBatch, grid: defaultGrid(), solver: sampler.DefaultOptions(), rng: "diffuse", guidance: 1, method: "cfg", threshold: "none", scale: 1, animateShow: showStates, frames: defaultFrames}
}

func sampleCommand(u *ui) *cobra.Command {
	o := newSampleOptions()
	c := &cobra.Command{
		Use:   "sample [MODEL]",
		Short: "Draw pictures",
		Long: `Draw pictures with a model and write them as one grid (diffuse.png), as one
PNG a seed (--outdir), or as arrays (--npz).

` + modelHelp + `
Without MODEL, the embedded model "fashion" draws clothes. Sampler, steps and
noise range not given take the values that suit the model.

A picture depends on its seed and these options only, not on --batch, --threads
or the pictures drawn with it (but see --share-steps). Classes: without --class, seed s shows class
s mod K of a model with K classes (with --noise, picture i shows class i mod K);
with a list, picture i shows element i mod the list's length.

--from starts from a picture with noise on it (SDEdit); --strength says how much
of the run is left, and so how much may change. With --mask, what is black in it
is kept: at every evaluation the estimate of the denoiser is replaced by the
picture there (DDNM). New parts fit better to it with --resample, 4 for example,
or with a sampler that adds noise, such as dpmpp-sde.

` + skiptune.Syntax,
		Example: `  diffuse sample
  diffuse sample --class sneaker,bag --num 20 --grid shoes-and-bags.png
  diffuse sample fashion-teacher --seeds 0-63,100 --sampler heun --steps 18 --outdir out
  diffuse sample runs/mine --seeds 0-9999 --npz samples.npz
  diffuse sample model.safetensors --skip 0.55:1 --steps 6
  diffuse sample big.safetensors --guidance 1.5 --gnet small.safetensors --guidance-interval 0.2,5
  diffuse sample fashion-teacher --from sneaker.png --strength 0.7 --class ankle-boot
  diffuse sample fashion-teacher --from shirt.png --mask right.png --resample 4 --class shirt
  diffuse sample fashion-teacher --interpolate-seeds 3:17 --class bag --animate bags.gif
  diffuse sample mixture.gmm.json --noise a.safetensors --trace b.safetensors`,
		Args:              between(0, 1, "at most one model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			o.given = c.Flags().Changed
			if o.listSolvers {
				return listSamplers(u)
			}
			modelArg := zoo.Default
			if len(args) > 0 {
				modelArg = args[0]
			}
			if c.Flags().Changed("params-from") {
				var err error
				if modelArg, err = o.recall(u, c.Flags(), args); err != nil {
					return err
				}
			}
			if err := o.contradictions(c.Flags()); err != nil {
				return err
			}
			return runSample(c.Context(), u, o, modelArg)
		},
	}
	o.bindDrawing(c)
	o.bindEditing(c.Flags())
	o.bindBetween(c.Flags())
	o.bindOutputs(c.Flags())
	c.Flags().BoolVar(&o.listSolvers, "list-samplers", false, "print the samplers with their aliases and options and stop")
	return c
}

// bindDrawing adds the flags that say what to draw and how; they are shared by the commands that draw. Defaults that depend on the
// model say so.
func (o *sampleOptions) bindDrawing(c *cobra.Command) {
	f := c.Flags()
	defer o.noteDrawing(f, flagNames(f))
	section(f, "Pictures", func() {
		f.StringVar(&o.seeds, "seeds", "", "`LIST` of seeds such as 0-63,100; one picture each (default: enough for the grid)")
		f.IntVar(&o.num, "num", 0, "number of pictures: seeds 0 to num-1")
		f.StringVar(&o.class, "class", "", "`LIST` of class names or numbers, or none (default: all classes in turn)")
		f.IntVar(&o.batch, "batch", o.batch, "pictures computed together")
		f.StringVar(&o.rng, "rng", o.rng, "what a seed means: "+strings.Join(plainNames(rngNames()), ", "))
	})
	o.bindLevels(c)
	section(f, "Solver", func() {
		f.StringVar(&o.sampler, "sampler", "", "solver such as heun, dpmpp-2m, unipc; diffuse sample --list-samplers shows all (default: the model's)")
		o.bindSolver(c)
	})
	section(f, "Skip connections and guidance", func() {
		f.StringVar(&o.skip, "skip", "", "skip `WEIGHTS`, as diffuse sample --help explains them (default: the model's)")
		f.Float64Var(&o.guidance, "guidance", o.guidance, "guidance `W`: gnet + W (model - gnet); 1 is none")
		f.StringVar(&o.gnet, "gnet", "", "guiding `MODEL` (default: the model itself without a class)")
		f.StringVar(&o.interval, "guidance-interval", "", "guide only at noise levels `LO,HI`")
		f.StringVar(&o.method, "guidance-method", o.method, "cfg, or cfg++ whose steps add back the noise that the guiding model sees (W 0 to 1, ddim and euler-ancestral)")
		f.StringVar(&o.rescale, "guidance-rescale", "", "bring the contrast of guided predictions back by `PHI`, 0 to 1, measured in v, or PHI:epsilon, PHI:denoised")
		f.StringVar(&o.threshold, "threshold", o.threshold, "limit estimates of the picture: none, static (to the range of pictures), dynamic, dynamic:QUANTILE or dynamic:QUANTILE:MOST")
	})
	c.RegisterFlagCompletionFunc("gnet", completeModel)
	c.RegisterFlagCompletionFunc("rng", completeWith(rngNames()))
	c.RegisterFlagCompletionFunc("guidance-method", completeWith([]string{"cfg", "cfg++"}))
	c.RegisterFlagCompletionFunc("threshold", completeWith([]string{"none", "static", "dynamic"}))
	c.RegisterFlagCompletionFunc("sampler", completeWith(samplerNames()))
}

// bindLevels adds the flags that choose noise levels where the model has its own.
func (o *sampleOptions) bindLevels(c *cobra.Command) {
	f := c.Flags()
	section(f, "Noise levels", func() {
		f.IntVar(&o.grid.steps, "steps", 0, "solver steps (default: the model's)")
		f.StringVar(&o.grid.schedule, "schedule", o.grid.schedule, "noise schedule such as karras, exponential, cosine:shift=64@256; diffuse schedule --help lists all")
		f.Float64Var(&o.grid.sigmaMin, "sigma-min", 0, "lowest noise level above 0 (default: the schedule's or the model's)")
		f.Float64Var(&o.grid.sigmaMax, "sigma-max", 0, "noise level where sampling starts (default: the schedule's or the model's)")
		f.Float64Var(&o.grid.rho, "rho", 0, "exponent of the karras schedule (default: the model's)")
		o.grid.bindLists(f)
	})
	c.RegisterFlagCompletionFunc("schedule", completeWith(scheduleNames()))
}

// noteDrawing remembers the flags of f that it had not before.
func (o *sampleOptions) noteDrawing(f *pflag.FlagSet, before map[string]bool) {
	f.VisitAll(func(flag *pflag.Flag) {
		if !before[flag.Name] {
			o.drawing = append(o.drawing, flag)
		}
	})
}

// bindOutputs adds the flags that say where pictures go.
func (o *sampleOptions) bindOutputs(f *pflag.FlagSet) {
	section(f, "Outputs", func() {
		f.StringVar(&o.outdir, "outdir", "", "`FOLDER` for one PNG a seed, 000017.png; same names are overwritten")
		f.StringVar(&o.picture, "grid", "", "`FILE.png` for all pictures in one (default diffuse.png, if no other output is asked for)")
		f.StringVar(&o.npz, "npz", "", "`FILE` for arrays arr_0 (uint8, N x H x W x C) and arr_1 (int64 labels)")
		f.IntVar(&o.columns, "columns", 0, "columns of the grid (default: one per class, or square)")
		f.IntVar(&o.scale, "scale", o.scale, "enlarge the grid by a whole number")
		f.StringVar(&o.animate, "animate", "", "`FILE` (.gif, or .png and .apng for animated PNG) that shows the grid after every step")
		f.StringVar(&o.animateShow, "animate-show", o.animateShow, "x, the states from noise to picture, or denoised, what the network takes to be behind them")
		f.BoolVar(&o.preview, "preview", false, "show the pictures in the terminal while they are drawn")
		f.BoolVar(&o.skipExisting, "skip-existing", false, "draw only the pictures that --outdir does not have")
		f.BoolVar(&o.noMetadata, "no-metadata", false, "do not write into PNG files how they were made")
		f.StringVar(&o.paramsFrom, "params-from", "", "`PICTURE`, a PNG file of diffuse, whose seeds, classes and options are used where others are not given")
		f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done and stop")
	})
	section(f, "Comparing with other programs", func() {
		f.StringVar(&o.noise, "noise", "", "`FILE.safetensors` with noise (N x C x H x W, unit variance), and perhaps step_noise and label, in place of seeds")
		f.StringVar(&o.trace, "trace", "", "`FILE.safetensors` for sigmas, x and denoised of every step")
	})
}

// contradictions refuses flags that cannot both be meant.
func (o *sampleOptions) contradictions(f *pflag.FlagSet) error {
	if err := conflict(f, "seeds", "num", "noise"); err != nil {
		return err
	}
	if err := conflict(f, "noise", "step-noise"); err != nil {
		return err
	}
	if err := conflicts(f, "skip-existing", "grid", "npz", "trace", "animate"); err != nil {
		return withHint(err, "files of all pictures need them all drawn")
	}
	if err := conflict(f, "rng", "noise"); err != nil {
		return err
	}
	if err := o.grid.contradictions(f); err != nil {
		return err
	}
	if err := o.editingContradictions(f); err != nil {
		return err
	}
	if err := o.betweenContradictions(f); err != nil {
		return err
	}
	switch {
	case f.Changed("num") && o.num < 1:
		return usagef("--num is %d, want 1 or more", o.num)
	case o.num > maxSeeds:
		return usagef("--num is %d, want at most %d", o.num, maxSeeds)
	case o.batch < 1:
		return usagef("--batch is %d, want 1 or more", o.batch)
	case o.scale < 1 || o.scale > 64:
		return usagef("--scale is %d, want 1 to 64", o.scale)
	case f.Changed("columns") && o.columns < 1:
		return usagef("--columns is %d, want 1 or more", o.columns)
	case f.Changed("animate-show") && !f.Changed("animate"):
		return usagef("--animate-show without --animate has no effect")
	case o.skipExisting && !f.Changed("outdir"):
		return usagef("--skip-existing without --outdir has no effect")
	}
	for _, name := range []string{"gnet", "guidance-interval", "guidance-method", "guidance-rescale"} {
		if f.Changed(name) && !f.Changed("guidance") {
			return withHint(usagef("--%s without --guidance has no effect", name), "add --guidance W, for example 1.5")
		}
	}
	for _, name := range []string{"grid", "outdir", "npz", "trace", "animate", "params-from", "noise", "seeds", "sigmas", "timesteps", "class", "skip", "gnet", "restart", "from", "mask", "interpolate-seeds", "frames"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return usagef("--%s is empty", name)
		}
	}
	return nil
}

// samplerNames lists what --sampler completes to.
func samplerNames() []string {
	var names []string
	for _, i := range sampler.All() {
		names = append(names, i.Name+"\t"+i.About)
	}
	return names
}

// plainNames drops the descriptions of a completion list.
func plainNames(list []string) []string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i], _, _ = strings.Cut(s, "\t")
	}
	return names
}
