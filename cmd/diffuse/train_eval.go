package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"diffuse/dataset"
	"diffuse/train"
)

// trainEval says how a run is measured while it goes on. No byte of the training depends on it: options.json keeps it apart from the
// settings, and it may change when a run is resumed.
type trainEval struct {
	Ref       string `json:"ref,omitempty"` // pictures, statistics, ownPictures or "none"; "" is none
	RefSplit  string `json:"ref_split,omitempty"`
	Metrics   string `json:"metrics,omitempty"`
	Features  string `json:"features,omitempty"`
	Inception string `json:"inception,omitempty"`
	NoCache   bool   `json:"no_cache,omitempty"`
	Pictures  int    `json:"pictures"` // seeds 0 to Pictures-1
	Every     int64  `json:"every"`    // images, rounded up to whole snapshots
}

// ownPictures is the reference that stands for what the run is trained on.
const ownPictures = "training"

// defaultTrainEval measures nothing until a reference is named. Five thousand pictures tell snapshots of one run apart.
func defaultTrainEval() trainEval { return trainEval{Metrics: "fd", Pictures: 5000} }

// on tells whether a reference is named.
func (e *trainEval) on() bool { return e.Ref != "" && e.Ref != "none" }

// bind adds a flag for every field.
func (e *trainEval) bind(f *pflag.FlagSet) {
	f.StringVar(&e.Ref, "eval-ref", e.Ref, `real pictures or statistics to measure snapshots against, "training" for those of --data, or "none" (default: the preset's, else none)`)
	f.StringVar(&e.RefSplit, "eval-ref-split", e.RefSplit, "part of --eval-ref, if it has parts: train or test (default train)")
	f.StringVar(&e.Metrics, "eval-metrics", e.Metrics, "`LIST` of metrics, as for diffuse eval")
	f.StringVar(&e.Features, "eval-features", e.Features, "feature network, as for diffuse eval (default: the first that fits)")
	f.StringVar(&e.Inception, "eval-inception", e.Inception, "`FILE` with the Inception network's weights")
	f.BoolVar(&e.NoCache, "eval-no-cache", e.NoCache, "neither use nor keep a file with the features of --eval-ref")
	f.IntVar(&e.Pictures, "eval-num", e.Pictures, "pictures to draw and measure: seeds 0 to num-1")
	f.Var((*countValue)(&e.Every), "eval-every", "images between evaluations, rounded up to whole snapshots (0 = every snapshot)")
}

// check refuses what makes no sense, and makes the paths absolute, since a run may be resumed from another folder.
func (e *trainEval) check(typed *pflag.FlagSet) error {
	if !e.on() {
		for _, name := range []string{"eval-ref-split", "eval-metrics", "eval-features", "eval-inception", "eval-no-cache", "eval-num", "eval-every"} {
			if typed.Changed(name) {
				return withHint(usagef("--%s has no effect without --eval-ref", name), "--eval-ref training measures against the pictures of --data")
			}
		}
		return nil
	}
	if e.Pictures < 2 || e.Every < 0 {
		return usagef("--eval-num %d, --eval-every %d: want 2 or more pictures, 0 or more images", e.Pictures, e.Every)
	}
	if e.Ref == ownPictures && e.RefSplit != "" {
		return usagef("--eval-ref-split contradicts --eval-ref training: those are the pictures trained on")
	}
	for _, path := range []*string{&e.Ref, &e.Inception} {
		if *path == "" || *path == ownPictures {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	return nil
}

// evaluateTicks is the number of ticks between evaluations: snapshots' own interval or a multiple of it, so that every number belongs to a file.
func (s *trainSettings) evaluateTicks() int {
	if s.Options.SnapshotTicks == 0 {
		return 0
	}
	snapshot := max(s.Options.Tick, int64(s.Options.Batch)) * int64(s.Options.SnapshotTicks)
	return s.Options.SnapshotTicks * int(max(1, (s.Eval.Every+snapshot-1)/snapshot))
}

// An evaluator measures a run's averaged weights, as "diffuse eval" would measure its snapshots.
type evaluator struct {
	w *watcher
	v *evaluation
}

// newEvaluator opens the reference of a run on data, and computes its features. It is nil if the run is not measured.
func (w *watcher) newEvaluator(ctx context.Context, dir string, data dataset.Dataset) (*evaluator, error) {
	s := w.settings
	if !s.Eval.on() {
		return nil, nil
	}
	o := defaultEvalSettings()
	o.ref, o.refSplit, o.metrics, o.features, o.inception = s.Eval.Ref, s.Eval.RefSplit, s.Eval.Metrics, s.Eval.Features, s.Eval.Inception
	o.noCache = s.Eval.NoCache
	var err error
	if o.read, err = s.read(); err != nil {
		return nil, err
	}
	if o.ref == ownPictures {
		o.own = &storedSet{Dataset: data, path: s.Data, split: s.Split}
	}
	v, err := newEvaluation(w.u, o, s.height, s.width, s.Network.InChannels)
	if err != nil {
		return nil, err
	}
	e := &evaluator{w, v}
	samples, err := e.samples(train.Tick{Dir: dir})
	if err != nil {
		return nil, err
	}
	return e, v.prepare(ctx, w.u, samples)
}

// samples are the pictures of the averaged weights as they stand, by the solver that draws the grids.
func (e *evaluator) samples(t train.Tick) (pictureSet, error) {
	net, err := e.w.model(t.Stats.Images)
	if err != nil {
		return nil, err
	}
	m, err := fromNetwork(net)
	if err != nil {
		return nil, err
	}
	m.name = filepath.Base(t.Dir) + "/" + filepath.Base(t.Path("snapshot", ".safetensors"))
	o := newSampleOptions()
	o.sampler, o.grid.steps, o.num = watchSampler, watchSteps, e.w.settings.Eval.Pictures
	o.given = func(flag string) bool { return flag == "sampler" || flag == "steps" || flag == "num" }
	p, err := o.planDrawing(e.w.u, m)
	if err != nil {
		return nil, err
	}
	return drawnSet{plan: p}, nil
}

// evaluate is train.Job's.
func (e *evaluator) evaluate(ctx context.Context, t train.Tick) (train.Evaluation, error) {
	started := time.Now()
	defer func() { e.w.bar.pause(time.Since(started)) }()
	samples, err := e.samples(t)
	if err != nil {
		return train.Evaluation{}, err
	}
	r, err := e.v.measure(ctx, e.w.u, samples)
	if err != nil {
		return train.Evaluation{}, err
	}
	scalars := map[string]float64{}
	for _, name := range r.order {
		scalars[name] = r.Metrics[name].Value
	}
	return train.Evaluation{Line: r, Words: r.words(), Scalars: scalars}, nil
}

// evaluationOf reads how the run in folder dir is measured.
func evaluationOf(dir string) (trainEval, error) {
	e := defaultTrainEval()
	stored, err := train.ReadEvaluation(dir)
	if err != nil || len(bytes.TrimSpace(stored)) == 0 {
		return e, err
	}
	if err := decodeStrict(stored, &e); err != nil {
		return e, fmt.Errorf("reading the evaluation of %s: %w", dir, err)
	}
	return e, nil
}

// stored is what options.json keeps, nil for a run that is not measured.
func (e *trainEval) stored() any {
	if !e.on() {
		return nil
	}
	return e
}

// words are the numbers on one line of a run's log.
func (r *evalReport) words() string {
	var all []string
	for _, name := range r.order {
		all = append(all, name+" "+shortest(r.Metrics[name].Value))
	}
	return fmt.Sprintf("%s  (%d pictures, %.0f s)", strings.Join(all, "  "), r.Pictures, r.Seconds)
}
