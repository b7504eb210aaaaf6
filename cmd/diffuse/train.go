package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/dataset"
	"diffuse/sampler"
	"diffuse/train"
	"diffuse/unet"
)

// trainOptions are the flags of "diffuse train" that are not settings of the run.
type trainOptions struct {
	preset, network string
	data, out       string
	transfer        string
	lrFind          string
	resume, list    bool
	allowChange     bool
	tensorboard     bool
	dryRun          bool
}

func trainCommand(u *ui) *cobra.Command {
	var o trainOptions
	shown := defaultSettings() // holds what is typed; only the typed fields are used
	c := &cobra.Command{
		Use:   "train --data D --out RUN",
		Short: "Train a model on pictures",
		Long: `Train a model on a data set: a folder of pictures whose sub-folders are the classes,
or anything else that "diffuse data" reads (zip archives, parquet files, CIFAR, idx,
npz).

RUN becomes the folder of the run: options.json, log.txt, stats.jsonl (a line a
tick), sessions.jsonl (which program on what machine), pictures-*.png (what the
averaged weights draw), snapshot-*.safetensors (models to sample from) and
checkpoint.safetensors; "diffuse report RUN" makes a page of it. An existing run is
only touched with --resume, which continues it with the settings it has and ends
with the same bytes as a run that was never stopped; where there is no run yet,
--resume starts one. Ctrl-C writes a checkpoint first.

With --val-fraction or --val-data the loss of the averaged weights on pictures that
are not trained on goes to validation.jsonl at every tick: in eight equal parts of
ln sigma from 0.002 to 80, with the same noise every time and in every run.

With --eval-ref the averaged weights are measured at snapshots as "diffuse eval"
measures, on pictures of the seeds 0 to num-1 by ` + watchSampler + ` in ` + fmt.Sprint(watchSteps) + ` steps; the
numbers go to metrics.jsonl and the log. The training does not depend on it:
--resume takes other --eval flags, too.

Settings come from the defaults, then the preset, then flags.`,
		Example: `  diffuse train --preset fashion --data /usr/share/datasets/fashion-mnist --out runs/fashion
  diffuse train --data photos --resolution 32 --lr-find rates.svg
  diffuse train --data photos --resolution 32 --out runs/photos --duration 2M
  diffuse train --data photos --out runs/photos --eval-ref training --eval-every 200k
  diffuse train --data faces --resolution 32 --transfer runs/photos --out runs/faces
  diffuse train --resume --out runs/photos
  diffuse train --resume --out runs/photos --duration 4M`,
		Args: between(0, 0, "flags only"),
		RunE: func(c *cobra.Command, _ []string) error {
			return runTrain(c.Context(), u, o, c.Flags())
		},
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "`SET` of pictures: a folder or a file (diffuse data --help)")
	f.StringVar(&o.out, "out", "", "`FOLDER` of the run")
	f.BoolVar(&o.resume, "resume", false, "go on with the run in --out")
	f.BoolVar(&o.allowChange, "allow-change", false, "with --resume: go on with other settings than those of the run, where the weights keep their meaning")
	f.BoolVar(&o.tensorboard, "tensorboard", false, "write the numbers of the run for TensorBoard, too; a run goes on with that")
	f.StringVar(&o.preset, "preset", "", "start from settings by name: "+strings.Join(presetNames(), ", "))
	f.BoolVar(&o.list, "list-presets", false, "print the presets and stop")
	f.StringVar(&o.transfer, "transfer", "", "start from the weights of a `MODEL`, where names and shapes agree")
	f.StringVar(&o.lrFind, "lr-find", "", "draw the loss over a rising learning rate into `FILE.svg` or .png, suggest a rate, and stop")
	f.StringVar(&o.network, "network", "", "`FILE.json` with (part of) a network configuration")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the complete settings and what each level of the network costs, and stop")
	shown.bind(f)
	sectionTrain(f)
	c.RegisterFlagCompletionFunc("transfer", completeModel)
	c.RegisterFlagCompletionFunc("preset", completeWith(presetNames()))
	return c
}

func runTrain(ctx context.Context, u *ui, o trainOptions, typed *pflag.FlagSet) error {
	if o.list {
		return listPresets(u)
	}
	resuming, err := o.existing()
	if err != nil {
		return err
	}
	s, err := o.settings(typed, resuming)
	if err != nil {
		return err
	}
	wrong := o.wrong(s, typed, resuming)
	if s.Data == "" {
		return wrong
	}
	data, held, err := openSets(u, s)
	if err != nil {
		return errors.Join(err, wrong)
	}
	h, w, c := data.Size()
	if err := errors.Join(wrong, s.fit(h, w, c, data.Labels()), s.checkLoss(h, w, c)); err != nil {
		return err
	}
	s.warnNarrow(u)
	if o.dryRun {
		return showPlan(u, s)
	}
	if o.lrFind != "" {
		return findRate(ctx, u, o.lrFind, s, data)
	}
	return trainRun(ctx, u, o, s, data, held, resuming)
}

// wrong collects all that can be said against the settings before the pictures are read.
func (o *trainOptions) wrong(s *trainSettings, typed *pflag.FlagSet, resuming bool) error {
	var all []error
	if o.lrFind != "" {
		all = append(all, checkPlot("lr-find", o.lrFind), conflicts(typed, "lr-find", "resume", "dry-run"))
	} else if o.out == "" {
		all = append(all, withHint(usagef("train needs --out"), "diffuse train --data D --out RUN"))
	}
	switch {
	case s.Data == "" && o.resume && o.out != "":
		all = append(all, withHint(usagef("--resume: %s holds no run to go on with, and a new one needs --data", o.out), "diffuse train --data D --out %s", o.out))
	case s.Data == "":
		all = append(all, withHint(usagef("train needs --data"), "diffuse train --data D --out RUN; the Debian package dataset-fashion-mnist is one such D"))
	}
	if o.resume {
		all = append(all, withHint(conflict(typed, "resume", "preset"), "a run keeps the settings it was started with"))
	} else if o.allowChange {
		all = append(all, usagef("--allow-change has no effect without --resume"))
	}
	if resuming && o.transfer != "" {
		all = append(all, usagef("--transfer: the run in %s has weights already", o.out))
	}
	all = append(all, s.trainValidation.check(), s.Eval.check(typed), conflict(typed, "first-op", "patch-size"))
	all = append(all, s.objectiveConflicts(typed)...)
	if err := s.Options.Validate(); err != nil {
		all = append(all, usageError{err})
	}
	return errors.Join(all...)
}

// existing tells whether --out holds a run to go on with. Anything else in the way is an error.
func (o *trainOptions) existing() (bool, error) {
	if o.out == "" {
		return false, nil
	}
	vacant, err := train.Vacant(o.out)
	if err != nil {
		return false, fmt.Errorf("--out: %s: %w", o.out, cause(err))
	}
	if vacant {
		return false, nil
	}
	_, _, err = train.ReadOptions(o.out)
	switch {
	case err == nil && o.resume:
		return true, nil
	case err == nil:
		return false, withHint(fmt.Errorf("--out: %s holds a run already", o.out), "go on with it: diffuse train --resume --out %s", o.out)
	case errors.Is(err, os.ErrNotExist):
		return false, fmt.Errorf("--out: %s is not empty and not the folder of a run", o.out)
	}
	return false, err
}

// settings puts the settings together: defaults or the stored run, preset, network file, flags.
func (o *trainOptions) settings(typed *pflag.FlagSet, resuming bool) (*trainSettings, error) {
	s := defaultSettings()
	var err error
	switch {
	case resuming:
		options, setup, err := train.ReadOptions(o.out)
		if err != nil {
			return nil, err
		}
		if err := decodeStrict(setup, &s); err != nil {
			return nil, fmt.Errorf("reading the setup of %s: %w", o.out, err)
		}
		s.Options = options
		if s.Eval, err = evaluationOf(o.out); err != nil {
			return nil, err
		}
	case o.preset != "":
		if s, err = readPreset(o.preset); err != nil {
			return nil, err
		}
	}
	if typed.Changed("model-type") && !resuming {
		kind := typed.Lookup("model-type").Value.String()
		s.Network = unet.DefaultConfig(kind)
		if kind == "uvit" { // the pictures' size decides
			s.Network.ChannelMult, s.Network.UViT.RopeBase = nil, 0
		}
	}
	if o.network != "" {
		if err := readNetwork(o.network, &s.Network); err != nil {
			return nil, err
		}
	}
	if err := s.override(typed); err != nil {
		return nil, usageError{err}
	}
	if b := s.Options.Batch; typed.Changed("batch") && !typed.Changed("microbatch") && b > 0 { // a preset's is for its own batch
		s.Options.Microbatch = min(s.Options.Microbatch, b)
	}
	s.tellAugmentation()
	if o.transfer != "" && !resuming {
		if s.Transfer, err = newTransfer(o.transfer); err != nil {
			return nil, err
		}
	}
	if o.data != "" {
		s.Data, err = filepath.Abs(o.data)
	}
	return &s, err
}

// openData opens a set of pictures as the run wants them and hides the classes if asked to.
func openData(u *ui, s *trainSettings, flag, path, split string) (dataset.Dataset, error) {
	o, err := s.read()
	if err != nil {
		return nil, err
	}
	o.Split = split
	d, err := openSet(u, path, o)
	if err != nil {
		return nil, fmt.Errorf("--%s: %w", flag, err)
	}
	if flag == "data" && d.Len() < s.Options.Batch {
		u.warn("%s holds %d pictures, fewer than the %d of a step, which will show some more than once", path, d.Len(), s.Options.Batch)
	}
	if s.Unlabelled {
		d = unlabelled{d}
	}
	return d, nil
}

// unlabelled is a data set without its classes.
type unlabelled struct{ dataset.Dataset }

func (unlabelled) Labels() int          { return 0 }
func (unlabelled) ClassNames() []string { return nil }

func (d unlabelled) Prefetch(indices []int) { dataset.Prefetch(d.Dataset, indices) }

func (d unlabelled) Get(i int, dst []uint8) (int, error) {
	_, err := d.Dataset.Get(i, dst)
	return -1, err
}

// trainRun trains with complete settings.
func trainRun(ctx context.Context, u *ui, o trainOptions, s *trainSettings, data, held dataset.Dataset, resuming bool) error {
	dir := o.out
	if resuming {
		l, err := train.Lock(dir)
		if err != nil {
			return err // before anything that takes long
		}
		l.Unlock()
	}
	net, err := unet.New(s.Network, sampler.Stream(s.Options.Seed, "weights"))
	if err != nil {
		return err
	}
	if err := s.initialise(u, dir, resuming, net); err != nil {
		return err
	}
	ema := net.Clone()
	w := &watcher{u: u, settings: s, classes: data.ClassNames(), ema: ema}
	job := train.Job{
		Options: s.Options, Setup: s.setup(), Origin: s.Transfer.origin(), Net: trainable(s, net), EMA: trainable(s, ema), Data: data,
		Validation: s.validation(held), TensorBoard: o.tensorboard,
		Pictures: func(t train.Tick) error { return w.pictures(ctx, t) }, Snapshot: w.snapshot, Progress: w.progress, Log: w.log,
	}
	e, err := w.newEvaluator(ctx, dir, data)
	if err != nil {
		return fmt.Errorf("evaluation: %w", err)
	}
	if e != nil {
		job.Evaluate, job.EvaluateTicks, job.Evaluation = e.evaluate, s.evaluateTicks(), s.Eval.stored()
	}
	begin := train.Start
	if resuming {
		begin = train.Resume
	}
	if o.allowChange {
		job.AllowChange = trainChanges.allows
	}
	run, err := begin(dir, job)
	if err != nil {
		return trainChanges.hint(err)
	}
	defer run.Close()
	if run.Images >= s.Options.Duration && !run.Owes() {
		return w.already(dir, run.Images)
	}
	recordSession(u, dir, run.Images)
	w.start(float64(run.Images))
	err = run.Train(ctx)
	w.bar.finish()
	var stopped *train.Interrupted
	if errors.As(err, &stopped) {
		if err := w.snapshot(train.Tick{Dir: dir, Stats: train.Stats{Images: run.Images}}); err != nil {
			u.warn("no snapshot: %v", err)
		}
		return withHint(fmt.Errorf("%w: %w", errInterrupted, err), "go on with: diffuse train --resume --out %s", dir)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return withHint(err, "make room, then go on with: diffuse train --resume --out %s", dir)
	}
	if err != nil {
		return err
	}
	return w.conclude(dir, run.Images)
}

// setup is what options.json keeps beside the training options.
func (s trainSettings) setup() any { return fieldsBut(s, "options", "eval") }

// fieldsBut returns the JSON fields of a struct without those named.
func fieldsBut(v any, names ...string) map[string]json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // plain data
		panic(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		panic(err)
	}
	for _, name := range names {
		delete(fields, name)
	}
	return fields
}

func listPresets(u *ui) error {
	all := map[string]trainSettings{}
	for _, name := range presetNames() {
		s, err := readPreset(name)
		if err != nil {
			return err
		}
		all[name] = s
	}
	if u.json {
		return u.result(all)
	}
	for _, name := range presetNames() {
		b, err := presetFiles.ReadFile("presets/" + name + ".json")
		if err != nil {
			return err
		}
		fmt.Fprintf(u.stdout, "%s: %s\n%s\n", name, all[name].About, b)
	}
	return nil
}
