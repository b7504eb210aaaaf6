package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

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
	Dir string
	*Trainer

	job     Job
	totals  totals
	journal *journal
	clock   meter
	lock    *FolderLock
	saved   int64 // images at the last checkpoint, -1 before the first
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
	t, err := job.trainer()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("starting a run: %w", err)
	}
	l, err := Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("starting a run: %w", err)
	}
	r, err := start(dir, job, rec, t, l)
	if err != nil {
		l.Unlock()
	}
	return r, err
}

// start writes the first files of a run in its locked folder.
func start(dir string, job Job, rec record, t *Trainer, l *FolderLock) (*Run, error) {
	if err := vacant(dir); err != nil { // another one may have come and gone
		return nil, err
	}
	if err := rec.write(dir); err != nil {
		return nil, err
	}
	return open(dir, job, t, l, totals{}, -1, "started")
}

// vacant is nil if a run may start in dir.
func vacant(dir string) error {
	ok, err := Vacant(dir)
	if err != nil {
		return fmt.Errorf("starting a run: %w", err)
	}
	if !ok {
		return fmt.Errorf("starting a run in %s: %w", dir, ErrExists)
	}
	return nil
}

// Resume goes on with the run in folder dir from its last checkpoint; a run that was killed before its first one begins
// anew from the job's weights, which its maker must have made the same way. Lines of the journal from after the
// checkpoint are dropped: those steps are done again. The job must be the one the run was started with, except that its
// end, Duration and the decay of the learning rate, may change if no step so far depended on it; an error names the
// options that differ ([*Changed]), but for those that Job.AllowChange takes. The folder is locked until Close of the Run; one that is locked already is a *[Locked].
func Resume(dir string, job Job) (*Run, error) {
	if _, err := readRecord(dir); err != nil { // no lock is left in a folder of another kind
		return nil, fmt.Errorf("resuming: %w", err)
	}
	l, err := Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("resuming: %w", err)
	}
	r, err := resume(dir, job, l)
	if err != nil {
		l.Unlock()
	}
	return r, err
}

// resume is Resume in a locked folder.
func resume(dir string, job Job, l *FolderLock) (*Run, error) {
	was, err := readRecord(dir)
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
	t, err := job.trainer()
	if err != nil {
		return nil, err
	}
	var tot totals
	saved, path := int64(-1), filepath.Join(dir, stateFile)
	if _, err := os.Stat(path); err == nil {
		if tot, err = t.readState(path); err != nil {
			return nil, fmt.Errorf("resuming: %w", err)
		}
		saved = t.Images
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("resuming: %w", err)
	}
	changes, err := was.changes(now, t.Images, job.AllowChange)
	if err != nil {
		return nil, fmt.Errorf("resuming %s: %w", dir, err)
	}
	if len(changes) > 0 || was.Options != now.Options || !was.sameEvaluation(now) {
		if err := now.write(dir); err != nil {
			return nil, err
		}
	}
	sweep(dir)
	r, err := open(dir, job, t, l, tot, saved, "resumed")
	if err != nil || len(changes) == 0 {
		return r, err
	}
	if err := r.journal.say(t.Images, "with other options from here on: %s", list(changes)); err != nil {
		r.journal.close()
		return nil, err
	}
	return r, nil
}

// trainer makes the job's Trainer.
func (job *Job) trainer() (*Trainer, error) {
	if job.Validation != nil {
		if err := job.Validation.check(job.Data); err != nil {
			return nil, err
		}
	}
	return NewTrainer(job.Options, job.Net, job.EMA, job.Data)
}

// sweep removes half-written files that a killed run left behind (named by checkpoint.AtomicFile).
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, ".*.????????.tmp"))
	for _, path := range left {
		os.Remove(path) // only litter: nobody reads them
	}
}

func open(dir string, job Job, t *Trainer, l *FolderLock, tot totals, saved int64, how string) (*Run, error) {
	j, err := openJournal(dir, t.Images, job.TensorBoard, job.Log)
	if err != nil {
		return nil, err
	}
	r := &Run{Dir: dir, Trainer: t, job: job, totals: tot, journal: j, lock: l, saved: saved}
	err = j.say(t.Images, "%s: %d of %d images shown, batch %d, %d parameter tensors", how, t.Images, t.Options.Duration, t.Options.Batch, len(t.Adam.Names))
	if err == nil && saved < 0 && job.Origin != "" {
		err = j.say(t.Images, "initial weights: %s", job.Origin)
	}
	if err == nil && saved < 0 {
		err = r.checkpoint()
	}
	if err != nil {
		j.close()
		return nil, err
	}
	return r, nil
}

// Close closes the run's files and unlocks its folder. It writes no checkpoint.
func (r *Run) Close() error {
	r.journal.close()
	r.lock.Unlock()
	return nil
}

// Train trains until Options.Duration images have been shown, and evaluates what is due or owed. When ctx is cancelled it finishes the step, writes a
// checkpoint and returns an *Interrupted. After any other error the last checkpoint is untouched, and the log says why.
func (r *Run) Train(ctx context.Context) error {
	r.clock.start(r.Images)
	for r.Owes() || r.Images < r.Options.Duration {
		if ctx.Err() != nil {
			if err := r.interrupt(); err != nil {
				return r.fail(err)
			}
			return &Interrupted{Dir: r.Dir, Images: r.Images, Duration: r.Options.Duration, cause: context.Cause(ctx)}
		}
		if r.Owes() {
			if err := r.evaluate(ctx); err != nil {
				return r.fail(err)
			}
			continue
		}
		s, err := r.Step()
		if err != nil {
			return r.fail(err)
		}
		r.totals.add(s)
		r.clock.step(r.Images, s.Loss)
		if r.job.Progress != nil {
			r.job.Progress(r.clock.progress(r.Options.Duration))
		}
		last := r.Images >= r.Options.Duration
		if last || r.Images/r.Options.Tick > (r.Images-int64(r.Options.Batch))/r.Options.Tick {
			if err := r.tick(s, last); err != nil {
				return r.fail(err)
			}
		}
	}
	return nil
}

// tick writes a line of statistics, calls the hooks that are due and then writes the checkpoint, so that whatever the
// checkpoint counts as done is done.
func (r *Run) tick(s StepResult, last bool) error {
	if err := r.healthy(); err != nil {
		return err
	}
	r.totals.ticks++
	n := float64(r.totals.steps)
	st := Stats{
		Tick: r.totals.ticks, Images: r.Images, Steps: r.Adam.Steps,
		Loss: r.totals.loss / n, GradNorm: r.totals.gradNorm / n, MaxGradNorm: r.totals.maxNorm,
		LR: s.LR, EMABeta: s.EMABeta,
		PeakMemory: peakMemory(), Time: float64(time.Now().UnixMilli()) / 1000,
	}
	st.Seconds, st.Maintenance, st.Rate = r.clock.lap()
	r.totals = totals{ticks: r.totals.ticks}
	if err := r.journal.tick(st); err != nil {
		return err
	}
	due := func(every int) bool { return last || every > 0 && st.Tick%int64(every) == 0 }
	t := Tick{Dir: r.Dir, Stats: st, Last: last}
	if r.job.Validation != nil {
		if err := r.validate(st.Tick); err != nil {
			return err
		}
	}
	if r.job.Pictures != nil && due(r.Options.PictureTicks) {
		if err := r.job.Pictures(t); err != nil {
			return fmt.Errorf("drawing pictures after %d images: %w", r.Images, err)
		}
	}
	if r.job.Snapshot != nil && due(r.Options.SnapshotTicks) {
		if err := r.job.Snapshot(t); err != nil {
			return fmt.Errorf("saving a snapshot after %d images: %w", r.Images, err)
		}
	}
	if len(r.powers) > 0 && due(r.Options.SnapshotTicks) {
		if err := r.writePowers(t.Path(powerStem, ".safetensors")); err != nil {
			return err
		}
	}
	if due(r.Options.CheckpointTicks) {
		if err := r.checkpoint(); err != nil {
			return err
		}
	}
	r.clock.pause()
	return nil
}

// Owes tells whether the run has reached a tick whose evaluation is due and has not been written down, in this session or before it.
func (r *Run) Owes() bool {
	if r.job.Evaluate == nil || r.totals.steps > 0 || r.totals.ticks == 0 || r.journal.evaluated >= r.Images {
		return false
	}
	every := int64(r.job.EvaluateTicks)
	return r.Images >= r.Options.Duration || every > 0 && r.totals.ticks%every == 0
}

// evaluate lets the job measure and writes that down. The checkpoint comes first: measuring may take long, and fail.
func (r *Run) evaluate(ctx context.Context) error {
	if err := r.checkpoint(); err != nil {
		return err
	}
	t := Tick{Dir: r.Dir, Stats: Stats{Tick: r.totals.ticks, Images: r.Images, Steps: r.Adam.Steps}, Last: r.Images >= r.Options.Duration}
	e, err := r.job.Evaluate(ctx, t)
	r.clock.pause()
	if ctx.Err() != nil {
		return nil // it is still owed
	}
	if err != nil {
		return fmt.Errorf("evaluating after %d images: %w", r.Images, err)
	}
	if err := r.journal.metric(r.Dir, metricsLine{Tick: t.Stats.Tick, Images: r.Images, Evaluation: e.Line}, e); err != nil {
		return err
	}
	return r.journal.say(r.Images, "tick %d  %s", t.Stats.Tick, e.Words)
}

// healthy finds out whether the last update left weights that are not finite, before anything of it is saved.
func (r *Run) healthy() error {
	if _, bad := r.Adam.Norm(r.Adam.Data()); bad >= 0 {
		return r.nonFinite("the weights %s are not finite", r.Adam.Names[bad])
	}
	return nil
}

// checkpoint makes the present state the one that Resume finds, unless it is already.
func (r *Run) checkpoint() error {
	if r.saved == r.Images {
		return nil
	}
	if err := r.journal.sync(); err != nil {
		return err
	}
	if err := r.writeState(filepath.Join(r.Dir, stateFile), r.totals); err != nil {
		return fmt.Errorf("saving the state after %d images: %w", r.Images, err)
	}
	r.saved = r.Images
	return nil
}

// interrupt ends a cancelled run in good order.
func (r *Run) interrupt() error {
	if err := r.healthy(); err != nil {
		return err
	}
	if err := r.journal.say(r.Images, "interrupted"); err != nil {
		return err
	}
	return r.checkpoint()
}

// fail logs an error that ends the run and says which checkpoint is left.
func (r *Run) fail(err error) error {
	if r.saved >= 0 {
		err = fmt.Errorf("training stopped: %w; the last good checkpoint in %s is from %d images", err, r.Dir, r.saved)
	}
	if e := r.journal.say(r.Images, "%v", err); e != nil {
		return errors.Join(err, e)
	}
	return err
}
