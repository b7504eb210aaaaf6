package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"diffuse/checkpoint"
	"diffuse/dataset"
)

// A Job is all that a run consists of. Net starts from its present weights; EMA is a second network of the same shape.
// The hooks may be nil; they run between steps, and an error from one stops the run.
type Job struct {
	Options  Options
	Setup    any    // what else the result depends on (network, data set's path, …), stored in options.json; must turn into JSON
	Origin   string // where Net's present weights come from, for the log; empty: drawn at random
	Net, EMA Network
	Data     dataset.Dataset

	Pictures func(Tick) error // draws the grid of pictures, every Options.PictureTicks and at the end
	Snapshot func(Tick) error // saves EMA as a model, every Options.SnapshotTicks and at the end
	Progress func(Progress)   // called after every step
	Log      func(string)     // receives the lines of log.txt

	// Evaluate measures EMA, every EvaluateTicks (0: only) and at the end, after the checkpoint: a run that is stopped meanwhile
	// owes the measurement to its next session. The context is that of Train; what Evaluate returns after it was cancelled does not count.
	Evaluate      func(context.Context, Tick) (Evaluation, error)
	EvaluateTicks int
	Evaluation    any // how Evaluate measures, for options.json; must turn into JSON, may change when a run is resumed

	Validation  *Validation // measured at every tick; nil: not. No byte of the training depends on it
	TensorBoard bool        // write a file for TensorBoard, too; a run that has one goes on with it anyway

	// AllowChange, if it is not nil, is asked for each field of options.json (options.lr, data.images, setup.…) in which the job differs from the run
	// that it resumes. If it agrees to all of them the run goes on as the job says: neither run's bytes, but a run. It should not agree
	// to what gives the weights another meaning.
	AllowChange func(field string) bool
}

// An Evaluation is what Job.Evaluate measured.
type Evaluation struct {
	Line  any    // for a line of metrics.jsonl, beside tick and images; must turn into JSON
	Words string // for the log

	Changed bool // what was measured has changed the task's state, in a [Loop]: a checkpoint follows

	Scalars map[string]float64 // numbers by name, for TensorBoard
}

// Tick tells the hooks where the run is.
type Tick struct {
	Dir   string // the run folder
	Stats Stats
	Last  bool // the run is complete
}

// Path returns the name of a file of this tick in the run folder, for example run/snapshot-000200704.safetensors for
// Path("snapshot", ".safetensors") after 200,704 images. A repetition of the tick gets the same name.
func (t Tick) Path(prefix, ext string) string {
	return filepath.Join(t.Dir, fmt.Sprintf("%s-%09d%s", prefix, t.Stats.Images, ext))
}

// A Run is a training run with its folder. It belongs to one goroutine.
type Run struct {
	*Loop
	*Trainer

	job    Job
	totals totals
}

// Interrupted is the error of a run that was cancelled. All its progress is in the checkpoint: Resume goes on from there.
type Interrupted struct {
	Dir      string
	Images   int64 // shown so far
	Duration int64 // to show in all
	cause    error
}

func (e *Interrupted) Error() string {
	return fmt.Sprintf("training was interrupted after %d of %d images; %s holds a checkpoint", e.Images, e.Duration, e.Dir)
}

// Unwrap returns the context's error.
func (e *Interrupted) Unwrap() error { return e.cause }

// ErrExists is wrapped by Start's error when there is already something in the run's folder.
var ErrExists = errors.New("the folder is not empty")

// Start begins a run in folder dir, which must be empty or not exist yet, and writes its first checkpoint. The folder is locked until
// Close of the Run; one that is locked already is a *[Locked].
func Start(dir string, job Job) (*Run, error) {
	if err := vacant(dir); err != nil {
		return nil, err
	}
	rec, err := newRecord(job)
	if err != nil {
		return nil, err
	}
	r, err := job.run()
	if err != nil {
		return nil, err
	}
	if r.Loop, err = StartLoop(dir, (*task)(r), job.pace(r.Trainer), r.hooks(), rec.write); err != nil {
		return nil, err
	}
	if job.Origin != "" {
		if err := r.Say("initial weights: %s", job.Origin); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Resume goes on with the run in folder dir from its last checkpoint; a run that was killed before its first one begins
// anew from the job's weights, which its maker must have made the same way. Lines of the journal from after the
// checkpoint are dropped: those steps are done again. The job must be the one the run was started with, except that its
// end, Duration and the decay of the learning rate, may change if no step so far depended on it; an error names the
// options that differ ([*Changed]), but for those that Job.AllowChange takes. The folder is locked until Close of the Run; one that is locked already is a *[Locked].
func Resume(dir string, job Job) (*Run, error) {
	was, err := readRecord(dir) // no lock is left in a folder of another kind
	if err != nil {
		return nil, fmt.Errorf("resuming: %w", err)
	}
	now, err := newRecord(job)
	if err != nil {
		return nil, err
	}
	if _, err := was.changes(now, 0, job.AllowChange); err != nil { // before the state is read: a clearer error than its tensors would give
		return nil, fmt.Errorf("resuming %s: %w", dir, err)
	}
	r, err := job.run()
	if err != nil {
		return nil, err
	}
	var changes []Change
	r.Loop, err = ResumeLoop(dir, (*task)(r), job.pace(r.Trainer), r.hooks(), func(images int64) error {
		var err error
		if changes, err = was.changes(now, images, job.AllowChange); err != nil {
			return err
		}
		if len(changes) > 0 || was.Options != now.Options || !was.sameEvaluation(now) {
			return now.write(dir)
		}
		return nil
	})
	if err != nil || len(changes) == 0 {
		return r, err
	}
	if err := r.Say("with other options from here on: %s", List(changes)); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// run makes the job's Run, but for its folder.
func (job Job) run() (*Run, error) {
	if job.Validation != nil {
		if err := job.Validation.check(job.Data); err != nil {
			return nil, err
		}
	}
	t, err := NewTrainer(job.Options, job.Net, job.EMA, job.Data)
	return &Run{Trainer: t, job: job}, err
}

func (job Job) pace(t *Trainer) Pace {
	o := job.Options
	return Pace{
		Duration: o.Duration, Tick: o.Tick, Batch: o.Batch,
		CheckpointTicks: o.CheckpointTicks, PictureTicks: o.PictureTicks, SnapshotTicks: o.SnapshotTicks, EvaluateTicks: job.EvaluateTicks,
		What: fmt.Sprintf("%d parameter tensors", len(t.Adam.Names)),
	}
}

func (r *Run) hooks() Hooks {
	j := r.job
	h := Hooks{Pictures: j.Pictures, Snapshot: j.Snapshot, Progress: j.Progress, Log: j.Log, Evaluate: j.Evaluate, TensorBoard: j.TensorBoard}
	if j.Validation != nil {
		h.Validate = r.validate
	}
	if len(r.powers) > 0 {
		h.Snapshot = func(t Tick) error {
			if j.Snapshot != nil {
				if err := j.Snapshot(t); err != nil {
					return err
				}
			}
			return r.writePowers(t.Path(powerStem, ".safetensors"))
		}
	}
	return h
}

// Train trains until Options.Duration images have been shown: [Loop.Run].
func (r *Run) Train(ctx context.Context) error { return r.Run(ctx) }

// task is a Run as its Loop sees it.
type task Run

func (r *task) Shown() int64 { return r.Images }

func (r *task) Step() (float64, error) {
	s, err := r.Trainer.Step()
	if err != nil {
		return 0, err
	}
	r.totals.add(s)
	return s.Loss, nil
}

func (r *task) Line(tick int64, l Lap) (Statistics, error) {
	s := r.totals
	r.totals = totals{}
	n := float64(s.steps)
	return Stats{
		Tick: tick, Images: r.Images, Steps: r.Adam.Steps,
		Loss: s.loss / n, GradNorm: s.gradNorm / n, MaxGradNorm: s.maxNorm,
		LR: s.last.LR, EMABeta: s.last.EMABeta, Lap: l,
	}, nil
}

// Healthy finds out whether the last update left weights that are not finite, before anything of it is saved.
func (r *task) Healthy() error {
	if _, bad := r.Adam.Norm(r.Adam.Data()); bad >= 0 {
		return r.nonFinite("the weights %s are not finite", r.Adam.Names[bad])
	}
	return nil
}

func (r *task) State(f *checkpoint.File) error {
	r.Trainer.state(f, r.totals)
	return nil
}

func (r *task) SetState(f *checkpoint.File) (err error) {
	r.totals, err = r.decodeState(f)
	return err
}
