package main

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"diffuse/checkpoint"
	"diffuse/distill"
	"diffuse/skiptune"
	"diffuse/train"
	"diffuse/unet"
	"diffuse/zoo"
)

// The presets of "diffuse distill": one JSON file each, of the same form as a run's settings.
//
//go:embed presets/distill/*.json
var distillPresets embed.FS

// distillSettings are everything that a distillation's result depends on, and how it is measured. A preset is a partial one; flags change
// single fields.
type distillSettings struct {
	About       string           `json:"about,omitempty"`       // of a preset
	Options     distill.Options  `json:"options"`               // stored by package distill itself
	Teacher     string           `json:"teacher,omitempty"`     // a path or an embedded model's name
	TeacherSHA  string           `json:"teacher_sha,omitempty"` // first digits of its file's SHA-256
	TeacherSkip string           `json:"teacher_skip,omitempty"`
	StudentSkip string           `json:"student_skip,omitempty"`
	Student     *unet.Config     `json:"student,omitempty"`   // network of the student, drawn at random; nil: a copy of the teacher, or InitFrom
	InitFrom    string           `json:"init_from,omitempty"` // another student, in place of the teacher
	InitSHA     string           `json:"init_sha,omitempty"`
	Classes     []float64        `json:"class_shares,omitempty"`
	Real        realPictures     `json:"real,omitzero"`       // for the adversarial loss
	Precision   precisionName    `json:"precision,omitempty"` // how all networks compute; "" = auto
	Snapshot    checkpoint.DType `json:"snapshot_type"`
	Description string           `json:"description,omitempty"`
	License     string           `json:"license,omitempty"`
	Eval        trainEval        `json:"eval"` // stored by package distill itself

	studentFile string    // with (part of) Student's configuration
	net         *unet.Net // what the generator starts as
	init        *model    // of InitFrom, nil without
}

func defaultDistillSettings() distillSettings {
	return distillSettings{Options: distill.DefaultOptions(), Snapshot: checkpoint.F32, Eval: defaultTrainEval()}
}

// bind adds a flag for every setting; the flags change s.
func (s *distillSettings) bind(f *pflag.FlagSet) {
	o := &s.Options
	images := func(p *int64, name, usage string) { f.Var((*countValue)(p), name, usage) }
	section(f, "Networks", func() {
		f.StringVar(&s.Teacher, "teacher", s.Teacher, "`MODEL` to distil")
		f.StringVar(&s.InitFrom, "init-from", s.InitFrom, "`MODEL` for pictures and classes as the teacher's that the generator starts from, such as another student (default: the teacher)")
		f.StringVar(&s.studentFile, "student-config", "", "`FILE.json` with what of the student's network differs from the teacher's, such as {\"model_channels\": 32}; it starts at random, with a warm-up")
		f.StringVar(&s.TeacherSkip, "teacher-skip", s.TeacherSkip, "skip weights of the teacher, as for diffuse sample --skip")
		precisionFlag(f, &s.Precision)
		f.StringVar(&s.StudentSkip, "student-skip", s.StudentSkip, "skip weights of the student, in training and in its file")
		f.Float64SliceVar(&s.Classes, "class-shares", s.Classes, "`LIST` of the classes' shares of the pictures (default: all equal)")
		f.Lookup("class-shares").DefValue = "" // not the brackets of an empty list
	})
	section(f, "Method", func() {
		f.Float64Var(&o.Alpha, "alpha", o.Alpha, "weight of the squared difference in the generator's loss; 1 and 1.2 are the paper's")
		f.Float64Var(&o.TMax, "tmax", o.TMax, "noise levels of the generator's loss: the lowest so many of 1000")
		f.Float64Var(&o.SigmaInit, "sigma-init", o.SigmaInit, "noise level that the student starts from")
		f.IntVar(&o.Steps, "student-steps", o.Steps, "network evaluations in which the student makes a picture")
		images(&o.WarmImages, "warm-images", "warm-up: pictures, the first of the duration, by which the student learns what the teacher draws from the same noise (with --student-config a tenth of the duration, else none)")
		f.IntVar(&o.WarmSteps, "warm-steps", o.WarmSteps, "evaluations in which the teacher draws a picture of the warm-up")
		f.Float64Var(&o.WarmLR, "warm-lr", o.WarmLR, "learning rate of the student in the warm-up")
		f.Float64Var(&o.SigmaMin, "sigma-min", o.SigmaMin, "lowest of the 1000 noise levels")
		f.Float64Var(&o.SigmaMax, "sigma-max", o.SigmaMax, "highest of the 1000 noise levels")
		f.Float64Var(&o.PMean, "p-mean", o.PMean, "mean of ln sigma in the fake network's loss")
		f.Float64Var(&o.PStd, "p-std", o.PStd, "standard deviation of ln sigma in the fake network's loss")
		f.Float64Var(&o.SigmaData, "sigma-data", o.SigmaData, "standard deviation of the pictures on the scale -1 to 1")
		f.IntVar(&o.FakeUpdates, "fake-updates", o.FakeUpdates, "updates of the fake network per update of the generator")
		f.Float64Var(&o.FakeAugment, "fake-augment", o.FakeAugment, "probability of each augmentation of what the fake network learns from, for teachers that were trained with --augment; SiD has 0.12 to 0.15")
		f.Float64Var(&o.FakeTrainGuidance, "fake-train-guidance", o.FakeTrainGuidance, "guidance of the fake network while it learns (SiD-LSG's kappa 1)")
		f.Float64Var(&o.FakeGuidance, "fake-guidance", o.FakeGuidance, "guidance of the fake network in the generator's loss (kappa 2 and 3)")
		f.Float64Var(&o.TeacherGuidance, "teacher-guidance", o.TeacherGuidance, "guidance of the teacher (kappa 4)")
	})
	section(f, "Adversarial loss", func() { s.Real.bind(f, o) })
	section(f, "Optimisation", func() {
		images(&o.Duration, "duration", "pictures to update the generator by in all, such as 200k or 5M")
		f.IntVar(&o.Batch, "batch", o.Batch, "pictures per update")
		f.IntVar(&o.Microbatch, "microbatch", o.Microbatch, "pictures that one processor computes at a time (0 = at most 16, for the cache)")
		f.Float64Var(&o.LR, "lr", o.LR, "learning rate of the generator")
		f.Float64Var(&o.FakeLR, "fake-lr", o.FakeLR, "learning rate of the fake network")
		images(&o.LRRampup, "lr-rampup", "pictures over which both learning rates rise from 0")
		f.StringVar(&o.LRDecay, "lr-decay", o.LRDecay, "how both learning rates end: none, cosine or linear")
		f.Float64Var(&o.LRDecayFraction, "lr-decay-fraction", o.LRDecayFraction, "last part of the duration in which they fall to 0")
		f.Float64Var(&o.Beta1, "beta1", o.Beta1, "Adam's decay of the mean gradient, generator")
		f.Float64Var(&o.FakeBeta1, "fake-beta1", o.FakeBeta1, "Adam's decay of the mean gradient, fake network")
		f.Float64Var(&o.Beta2, "beta2", o.Beta2, "Adam's decay of the squared gradient")
		f.Float64Var(&o.Eps, "eps", o.Eps, "Adam's guard against division by zero")
		f.Float64Var(&o.LossScale, "loss-scale", o.LossScale, "factor on the generator's loss")
		f.Float64Var(&o.FakeLossScale, "fake-loss-scale", o.FakeLossScale, "factor on the fake network's loss")
		images(&o.EMAHalfLife, "ema-halflife", "half-life of the weights' average, in pictures")
		f.Float64Var(&o.EMARampup, "ema-rampup", o.EMARampup, "half-life at most this share of the pictures seen (negative = no limit)")
		f.Uint64Var(&o.Seed, "seed", o.Seed, "of all random numbers")
		f.Float64Var(&o.MaxDropped, "max-dropped", o.MaxDropped, "share of pictures with values that are not finite that is left out before the run stops")
		f.Float64Var(&o.Collapse, "collapse", o.Collapse, "distance over the best at which the best state is taken back (0 = never)")
	})
	section(f, "Record", func() {
		images(&o.Tick, "tick", "pictures per line of statistics")
		f.IntVar(&o.CheckpointTicks, "checkpoint-ticks", o.CheckpointTicks, "ticks between checkpoints")
		f.IntVar(&o.PictureTicks, "picture-ticks", o.PictureTicks, "ticks between grids of pictures (0 = only at the end)")
		f.IntVar(&o.SnapshotTicks, "snapshot-ticks", o.SnapshotTicks, "ticks between snapshots, the files to sample from (0 = only at the end)")
		f.Var((*dtypeValue)(&s.Snapshot), "snapshot-type", "numbers in snapshots: F32, F16 or BF16")
		f.StringVar(&s.Description, "description", s.Description, "a sentence about the model, kept in its file")
		f.StringVar(&s.License, "license", s.License, "of weights and data, kept in the model's file")
	})
	section(f, "Evaluation", func() { s.Eval.bind(f) })
	f.Lookup("eval-ref").Usage = `real pictures or statistics to measure snapshots against, "teacher" for pictures that the teacher draws, or "none" (default: the preset's, else none)`
}

// settings puts the settings together: defaults or the stored run, what the teacher says, preset, flags. It opens the teacher.
func (o *distillOptions) settings(typed *pflag.FlagSet, resuming bool) (*distillSettings, *model, error) {
	s := defaultDistillSettings()
	typedName := typed.Lookup("teacher").Value.String()
	if resuming {
		if err := conflict(typed, "resume", "preset"); err != nil {
			return nil, nil, withHint(err, "a run keeps the settings it was started with")
		}
		if err := s.stored(o.out); err != nil {
			return nil, nil, err
		}
	} else if o.preset != "" {
		if err := readDistillPreset(o.preset, &s); err != nil {
			return nil, nil, err
		}
	}
	if typedName != "" {
		s.Teacher = typedName
	}
	teacher, err := s.openTeacher()
	if err != nil {
		return nil, nil, err
	}
	if !resuming {
		s.learn(teacher)
		if o.preset != "" { // a preset knows better than the teacher
			if err := readDistillPreset(o.preset, &s); err != nil {
				return nil, nil, err
			}
		}
	}
	mine := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	s.bind(mine)
	typed.Visit(func(f *pflag.Flag) {
		if mine.Lookup(f.Name) == nil || err != nil {
			return
		}
		value := f.Value.String()
		if f.Name == "class-shares" {
			value = value[1 : len(value)-1] // without the brackets that only printing adds
		}
		err = mine.Set(f.Name, value)
	})
	if err != nil {
		return nil, nil, usageError{err}
	}
	if s.Options.LRDecay == train.DecayNone && typed.Changed("lr-decay-fraction") {
		return nil, nil, withHint(usagef("--lr-decay-fraction has no effect without a decay"), "--lr-decay cosine or linear")
	}
	if s.studentFile != "" && !resuming && !typed.Changed("warm-images") && s.Options.WarmImages == 0 {
		s.Options.WarmImages = s.Options.Duration / 10
	}
	for _, flag := range []string{"warm-steps", "warm-lr"} {
		if typed.Changed(flag) && s.Options.WarmImages == 0 {
			return nil, nil, withHint(usagef("--%s has no effect without a warm-up", flag), "--warm-images 20k")
		}
	}
	if err := s.Real.check(typed, &s.Options, teacher); err != nil {
		return nil, nil, err
	}
	if err := s.complete(teacher, resuming); err != nil {
		return nil, nil, err
	}
	own := s.Eval.Ref == teacherPictures
	if err := s.Eval.check(typed); err != nil {
		return nil, nil, err
	}
	if own { // not the path that check has made of it
		s.Eval.Ref = teacherPictures
	}
	return &s, teacher, nil
}

// stored reads the settings of the run in folder dir.
func (s *distillSettings) stored(dir string) error {
	o, setup, eval, err := distill.ReadOptions(dir)
	if err != nil {
		return err
	}
	if err := decodeStrict(setup, s); err != nil {
		return fmt.Errorf("reading the setup of %s: %w", dir, err)
	}
	s.Options = o
	if len(eval) > 0 {
		if err := decodeStrict(eval, &s.Eval); err != nil {
			return fmt.Errorf("reading the evaluation of %s: %w", dir, err)
		}
	}
	return nil
}

func (s *distillSettings) openTeacher() (*model, error) {
	if s.Teacher == "" {
		return nil, withHint(usagef("distill needs --teacher"), "diffuse distill --teacher MODEL --out RUN; fashion-teacher is an embedded MODEL")
	}
	m, err := openModel(s.Teacher)
	if err != nil {
		return nil, fmt.Errorf("--teacher: %w", err)
	}
	if m.net == nil {
		return nil, usagef("--teacher: %s is not a network: a generator starts from the weights of one", m.name)
	}
	if m.net.Net.OutChannels < m.channels {
		return nil, usagef("--teacher: %s returns %d channels for pictures of %d", m.name, m.net.Net.OutChannels, m.channels)
	}
	return m, nil
}

// learn takes over what the teacher says about how it was trained, and keeps the noise levels within what it knows.
func (s *distillSettings) learn(teacher *model) {
	o := &s.Options
	if d := teacher.net.SigmaData; d > 0 {
		o.SigmaData = d
	}
	var card trainingCard
	if json.Unmarshal(teacher.net.Training, &card) == nil && card.Options != nil && card.Options.PStd > 0 {
		o.PMean, o.PStd, o.Flip = card.Options.PMean, card.Options.PStd, card.Options.Flip
	}
	o.SigmaMin, o.SigmaMax = teacher.precond.Limit(o.SigmaMin, o.SigmaMax)
	s.Description, s.License = teacher.net.Description, teacher.net.License
}

// complete checks what depends on the teacher, and makes paths absolute.
func (s *distillSettings) complete(teacher *model, resuming bool) error {
	if resuming && s.TeacherSHA != teacher.sha {
		return fmt.Errorf("--teacher: the run was started with a file of SHA-256 %s, %s has %s", s.TeacherSHA, teacher.name, teacher.sha)
	}
	s.TeacherSHA = teacher.sha
	if err := absoluteModel(&s.Teacher); err != nil {
		return err
	}
	if err := absoluteModel(&s.InitFrom); err != nil {
		return err
	}
	lo, hi := teacher.precond.Limit(s.Options.SigmaMin, s.Options.SigmaMax)
	if lo != s.Options.SigmaMin || hi != s.Options.SigmaMax {
		return usagef("--sigma-min %g, --sigma-max %g: %s knows noise levels from %g to %g", s.Options.SigmaMin, s.Options.SigmaMax, teacher.name, lo, hi)
	}
	if n := len(s.Classes); n > 0 && n != teacher.labels {
		return usagef("--class-shares: %d shares, %s has %d classes", n, teacher.name, teacher.labels)
	}
	if s.Options.Guided() && teacher.labels == 0 {
		return usagef("guidance needs a teacher with classes, %s has none", teacher.name)
	}
	if s.Options.FakeAugment > 0 && teacher.net.Net.AugmentDim < train.AugmentLabels {
		return usagef("--fake-augment: %s knows no augmentation", teacher.name)
	}
	if err := s.initialise(teacher); err != nil {
		return err
	}
	if _, err := s.studentRule(); err != nil {
		return usagef("--student-skip: %w", err)
	}
	if err := teacher.tune(s.TeacherSkip, nil); err != nil {
		return fmt.Errorf("--teacher-skip: %w", err)
	}
	return nil
}

// studentRule is what the student does to its skip connections, nil for nothing.
func (s *distillSettings) studentRule() (unet.SkipRule, error) {
	if s.StudentSkip == "" {
		return nil, nil
	}
	t, err := skiptune.Parse(s.StudentSkip, skipSides(s.net))
	if err != nil {
		return nil, err
	}
	return t.At, nil
}

// absoluteModel makes the path in a MODEL argument absolute, since a run may be resumed from another folder.
func absoluteModel(arg *string) error {
	if _, embedded := zoo.Entries()[*arg]; embedded || *arg == "" {
		return nil
	}
	var err error
	*arg, err = filepath.Abs(*arg)
	return err
}

// classes returns the shares of the classes that pictures are made of, nil for a teacher without classes.
func (s *distillSettings) classes(teacher *model) []float64 {
	switch {
	case teacher.labels == 0:
		return nil
	case len(s.Classes) > 0:
		return s.Classes
	}
	return slices.Repeat([]float64{1}, teacher.labels)
}

// setup is what options.json keeps beside the options of package distill.
func (s *distillSettings) setup() any { return fieldsBut(*s, "options", "eval") }

// evaluateTicks is as for training: snapshots' own interval or a multiple of it.
func (s *distillSettings) evaluateTicks() int {
	t := trainSettings{Options: train.Options{Tick: s.Options.Tick, Batch: s.Options.Batch, SnapshotTicks: s.Options.SnapshotTicks}, Eval: s.Eval}
	return t.evaluateTicks()
}

func distillPresetNames() []string { return namesIn(distillPresets, "presets/distill") }

// readDistillPreset lays a preset over s.
func readDistillPreset(name string, s *distillSettings) error {
	b, err := distillPresets.ReadFile("presets/distill/" + name + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return unknownName("preset", name, distillPresetNames())
	}
	if err == nil {
		err = decodeStrict(b, s)
	}
	if err != nil {
		return fmt.Errorf("preset %s: %w", name, err)
	}
	return nil
}

func listDistillPresets(u *ui) error {
	all := map[string]json.RawMessage{}
	for _, name := range distillPresetNames() {
		b, err := distillPresets.ReadFile("presets/distill/" + name + ".json")
		if err != nil {
			return err
		}
		s := defaultDistillSettings()
		if err := decodeStrict(b, &s); err != nil {
			return fmt.Errorf("preset %s: %w", name, err)
		}
		all[name] = b
		if !u.json {
			fmt.Fprintf(u.stdout, "%s: %s\n%s\n", name, s.About, b)
		}
	}
	if u.json {
		return u.result(all)
	}
	return nil
}
