package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/distill"
	"diffuse/train"
	"diffuse/unet"
)

// distillOptions are the flags of "diffuse distill" that are not settings of the run.
type distillOptions struct {
	preset       string
	out          string
	resume, list bool
	allowChange  bool
	tensorboard  bool
	dryRun       bool
	jobs         string
}

// A distillResult is what a distillation has come to.
type distillResult struct {
	images   int64
	distance float64 // the lowest measured, 0 if none was
	before   bool    // the run was complete before
}

func distillCommand(u *ui) *cobra.Command {
	var o distillOptions
	shown := defaultDistillSettings() // holds what is typed; only the typed fields are used
	c := &cobra.Command{
		Use:   "distill --teacher MODEL --out RUN",
		Short: "Make a one-step generator of a model",
		Long: `Turn a diffusion model, the teacher, into a generator that draws a picture in one
network evaluation: score identity distillation (SiD). It needs no pictures; with
some, --adversarial adds a loss that may lead beyond the teacher (SiDA).

` + modelHelp + `

RUN becomes the folder of the run, as "diffuse train" makes them: options.json,
log.txt, stats.jsonl, pictures-*.png, progress.apng (a film of these), snapshot-*.safetensors
(the averaged student) and checkpoint.safetensors. "diffuse sample RUN" draws with the student.
--resume continues a run with the settings it has and ends with the same bytes as
a run that was never stopped. Ctrl-C writes a checkpoint first. Only the end may be
another: --duration, --lr-decay and --lr-decay-fraction, before the rates have begun
to fall. So a run that goes on at full rates can be brought to its end whenever it
is good enough. --allow-change takes other settings, too, and says so in the log.

With --eval-ref the student is measured at snapshots, against pictures or, with
"--eval-ref teacher", against what the teacher draws: those pictures are drawn
once and kept as teacher.npz in RUN. best.safetensors is the student with the lowest distance
so far. A distance of --collapse times the best takes the best state back
and halves the learning rates.

The student is a copy of the teacher's network unless --student-config says what is
smaller in its own. Such a student draws noise at first: in a warm-up it learns,
picture by picture, what the teacher draws from the same noise in --warm-steps
evaluations. --init-from starts from another student, of any size.

--jobs does a list of distillations in turn: a job that fails does not stop those
after it, a finished one is passed over, and a table closes the list.

Settings come from the defaults (SiD's for CIFAR-10), then what the teacher says
about its training (sigma-data, p-mean, p-std), then the preset, then flags.`,
		Example: `  diffuse distill --teacher fashion-teacher --preset fashion-student --out runs/student
  diffuse distill --teacher runs/photos --out runs/photos-1step --eval-ref teacher --duration 2M
  diffuse distill --resume --out runs/student
  diffuse distill --resume --out runs/student --duration 2M --lr-decay linear   # its last quarter at falling rates
  diffuse distill --jobs alphas.yaml
  diffuse sample runs/student`,
		Args: between(0, 0, "flags only"),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.jobs != "" {
				var others []string
				own := c.NonInheritedFlags()
				c.Flags().Visit(func(f *pflag.Flag) {
					if f.Name != "jobs" && own.Lookup(f.Name) != nil {
						others = append(others, f.Name)
					}
				})
				if err := conflicts(c.Flags(), "jobs", others...); err != nil {
					return withHint(err, "settings of jobs stand in their list")
				}
				return runJobs(c.Context(), u, o.jobs)
			}
			_, err := runDistill(c.Context(), u, o, c.Flags())
			return err
		},
	}
	f := c.Flags()
	section(f, "Run", func() {
		f.StringVar(&o.out, "out", "", "`FOLDER` of the run")
		f.BoolVar(&o.resume, "resume", false, "go on with the run in --out, or start it if there is none")
		f.BoolVar(&o.allowChange, "allow-change", false, "with --resume: go on with other settings than those of the run, where the weights keep their meaning")
		f.StringVar(&o.preset, "preset", "", "start from settings by name: "+strings.Join(distillPresetNames(), ", "))
		f.BoolVar(&o.list, "list-presets", false, "print the presets and stop")
		f.StringVar(&o.jobs, "jobs", "", "`FILE` with a list of distillations, JSON lines or YAML, whose fields are named as these flags: all are done in turn")
		f.BoolVar(&o.tensorboard, "tensorboard", false, "write the numbers of the run for TensorBoard, too; a run goes on with that")
		f.BoolVar(&o.dryRun, "dry-run", false, "print the complete settings and what memory they need, and stop")
	})
	shown.bind(f)
	c.RegisterFlagCompletionFunc("preset", completeWith(distillPresetNames()))
	c.RegisterFlagCompletionFunc("teacher", completeModel)
	return c
}

// runDistill makes one distillation, or what else the flags ask for.
func runDistill(ctx context.Context, u *ui, o distillOptions, typed *pflag.FlagSet) (r distillResult, err error) {
	if o.list {
		return r, listDistillPresets(u)
	}
	if o.out == "" {
		return r, withHint(usagef("distill needs --out"), "diffuse distill --teacher MODEL --out RUN")
	}
	if o.allowChange && !o.resume {
		return r, usagef("--allow-change has no effect without --resume")
	}
	resuming, err := o.existing()
	if err != nil {
		return r, err
	}
	if o.resume && !resuming && !typed.Changed("teacher") {
		err := usagef("--resume: %s holds no run to go on with, and a new one needs --teacher", o.out)
		return r, withHint(err, "diffuse distill --teacher MODEL --out %s", o.out)
	}
	s, teacher, err := o.settings(typed, resuming)
	if err != nil {
		return r, err
	}
	if err := s.Options.Validate(); err != nil {
		return r, usageError{err}
	}
	if o.dryRun {
		return r, s.describe(u, teacher)
	}
	return distillRun(ctx, u, o, s, teacher, resuming)
}

// existing tells whether --out holds a run to go on with. Anything else in the way is an error.
func (o *distillOptions) existing() (bool, error) {
	vacant, err := train.Vacant(o.out)
	if err != nil {
		return false, fmt.Errorf("--out: %s: %w", o.out, cause(err))
	}
	if vacant {
		return false, nil
	}
	_, _, _, err = distill.ReadOptions(o.out)
	switch {
	case err == nil && o.resume:
		return true, nil
	case err == nil:
		return false, withHint(fmt.Errorf("--out: %s holds a run already", o.out), "go on with it: diffuse distill --resume --out %s", o.out)
	case errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("--out: %s is not empty and not the folder of a run", o.out)
	}
	return false, fmt.Errorf("--out: %w", err)
}

// distillRun distils with complete settings.
func distillRun(ctx context.Context, u *ui, o distillOptions, s *distillSettings, teacher *model, resuming bool) (r distillResult, err error) {
	u.warnOfWeights(teacher)
	teacher.warnOfStudent(u, "a teacher")
	dir := o.out
	if s.init != nil {
		u.warnOfWeights(s.init)
	}
	generator := s.net
	w := &distillWatcher{u: u, settings: s, teacher: teacher, ema: generator.Clone()}
	rule, err := s.studentRule()
	if err != nil {
		return r, err
	}
	tuned := func(n *unet.Net) train.Network {
		if rule != nil {
			n = n.WithSkipRule(rule) // the weights stay n's
		}
		return w.wrap(n)
	}
	data, err := s.Real.open(u, teacher)
	if err != nil {
		return r, err
	}
	job := distill.Job{
		Options: s.Options, Setup: s.setup(),
		Networks: distill.Networks{
			Teacher: w.wrap(teacher.net.Net), Fake: w.wrap(teacher.net.Net.Clone().WithSkipRule(nil)), Generator: tuned(generator), EMA: tuned(w.ema),
			Height: teacher.height, Width: teacher.width, Channels: teacher.channels, Classes: s.classes(teacher), Data: data,
		},
		Pictures: w.pictures, Snapshot: w.snapshot, Best: w.best, Progress: w.progress, Log: w.log, TensorBoard: o.tensorboard,
	}
	if o.allowChange {
		job.AllowChange = distillChanges.allows
	}
	if s.Eval.on() {
		job.Evaluate, job.EvaluateTicks, job.Evaluation = w.evaluate, s.evaluateTicks(), s.Eval.stored()
		if s.Eval.Ref != teacherPictures { // those come into the run's folder, once there is one
			if err := w.newEvaluator(ctx, s.Eval.Ref, dir); err != nil {
				return r, fmt.Errorf("evaluation: %w", err)
			}
		}
	}
	begin := distill.Start
	if resuming {
		begin = distill.Resume
	}
	run, err := begin(dir, job)
	if err != nil {
		return r, distillChanges.hint(err)
	}
	defer run.Close()
	defer func() { r.images, r.distance = run.Images, run.Best() }()
	if run.Images >= s.Options.Duration && !run.Owes() {
		r.before = true
		return r, w.already(dir, run.Images)
	}
	if s.Eval.on() && w.v == nil {
		ref, err := w.drawReference(ctx, dir)
		if err == nil {
			err = w.newEvaluator(ctx, ref, dir)
		}
		if err != nil {
			return r, fmt.Errorf("evaluation: %w", err)
		}
	}
	recordSession(u, dir, run.Images)
	w.bar = u.progress("distilling", "images", float64(run.Images), float64(s.Options.Duration))
	err = run.Run(ctx)
	w.bar.finish()
	var stopped *train.Interrupted
	if errors.As(err, &stopped) {
		if err := w.snapshot(train.Tick{Dir: dir, Stats: train.Stats{Images: run.Images}}); err != nil {
			u.warn("no snapshot: %v", err)
		}
		w.film(dir)
		return r, withHint(fmt.Errorf("%w: %w", errInterrupted, err), "go on with: diffuse distill --resume --out %s", dir)
	}
	if err != nil {
		return r, err
	}
	return r, w.conclude(dir, run.Images)
}
