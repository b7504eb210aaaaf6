package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"diffuse/checkpoint"
)

// A Task is what a [Loop] repeats. Its methods are called by one goroutine.
type Task interface {
	Step() (loss float64, err error)            // shows a batch of pictures; the loss is for the eye
	Shown() int64                               // pictures shown so far
	Healthy() error                             // tells of weights that are not finite
	Line(tick int64, l Lap) (Statistics, error) // the statistics since the last line
	State(*checkpoint.File) error               // puts everything that the rest of the run depends on into the file
	SetState(*checkpoint.File) error            // takes it back, or changes nothing and says why
}

// Statistics are one line of stats.jsonl, whose JSON has the pictures shown so far as "nimg".
type Statistics interface {
	fmt.Stringer       // words for the log
	Scalars() []Scalar // numbers for TensorBoard
}

// A Lap is what a line of statistics tells of the clock and the machine: the only fields that differ in repetitions of a run.
type Lap struct {
	Seconds     float64 `json:"sec_per_tick"`      // time spent in steps (in this session, if the tick was interrupted)
	Maintenance float64 `json:"sec_maintenance"`   // time spent on pictures, snapshots and checkpoints since the line before
	Rate        float64 `json:"images_per_sec"`    // pictures per second of step time
	PeakMemory  int64   `json:"peak_memory_bytes"` // most memory the process has held so far
	Time        float64 `json:"timestamp"`         // seconds since 1970
}

func (l Lap) String() string {
	return fmt.Sprintf("%.1f s/tick  %.4g images/s  peak memory %.0f MB", l.Seconds, l.Rate, float64(l.PeakMemory)/1e6)
}

// A Pace says how long a run is and how often it does what, in pictures and ticks.
type Pace struct {
	Duration, Tick                               int64
	Batch                                        int // pictures per step
	CheckpointTicks, PictureTicks, SnapshotTicks int // 0 means only at the end
	EvaluateTicks                                int
	What                                         string // a word on what is trained, for the log
}

// Hooks are what a run's maker does between its steps. They may be nil; an error from one stops the run.
type Hooks struct {
	Validate func(Tick) error                                // called at every tick, first
	Pictures func(Tick) error                                // draws the grid of pictures
	Snapshot func(Tick) error                                // saves a model
	Progress func(Progress)                                  // called after every step
	Log      func(string)                                    // receives the lines of log.txt
	Evaluate func(context.Context, Tick) (Evaluation, error) // measures, after the checkpoint; see Job.Evaluate

	TensorBoard bool // write a file for TensorBoard, too; a run that has one goes on with it anyway
}

// A Loop is a run in a folder: steps, ticks, checkpoints, and the journal. It belongs to one goroutine.
type Loop struct {
	Dir string

	task    Task
	pace    Pace
	hooks   Hooks
	ticks   int64 // lines of statistics written
	steps   int64 // since the last line
	journal *journal
	clock   meter
	lock    *FolderLock
	saved   int64 // pictures shown at the last checkpoint, -1 before the first
}

// StartLoop begins a run in folder dir, which must be empty or not exist yet: it locks it, lets describe write what the run is, and
// writes the first checkpoint. Close the Loop.
func StartLoop(dir string, t Task, p Pace, h Hooks, describe func(dir string) error) (*Loop, error) {
	if err := vacant(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("starting a run: %w", err)
	}
	lock, err := Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("starting a run: %w", err)
	}
	l := &Loop{Dir: dir, task: t, pace: p, hooks: h, lock: lock, saved: -1}
	if err = vacant(dir); err == nil { // another one may have come and gone
		err = describe(dir)
	}
	if err == nil {
		err = l.open("started")
	}
	if err != nil {
		lock.Unlock()
		return nil, err
	}
	return l, nil
}

// ResumeLoop goes on with the run in folder dir from its last checkpoint, or from the beginning if it has none yet; lines of the journal from
// after the checkpoint are dropped. check, called with the pictures shown so far, says whether the run may go on this way.
// Close the Loop.
func ResumeLoop(dir string, t Task, p Pace, h Hooks, check func(images int64) error) (*Loop, error) {
	lock, err := Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("resuming: %w", err)
	}
	l := &Loop{Dir: dir, task: t, pace: p, hooks: h, lock: lock, saved: -1}
	if err = l.readState(); err != nil {
		err = fmt.Errorf("resuming: %w", err)
	} else if err = check(t.Shown()); err != nil {
		err = fmt.Errorf("resuming %s: %w", dir, err)
	}
	if err == nil {
		sweep(dir)
		err = l.open("resumed")
	}
	if err != nil {
		lock.Unlock()
		return nil, err
	}
	return l, nil
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

// sweep removes half-written files that a killed run left behind (named by checkpoint.AtomicFile).
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, ".*.????????.tmp"))
	for _, path := range left {
		os.Remove(path) // only litter: nobody reads them
	}
}

func (l *Loop) open(how string) error {
	var err error
	if l.journal, err = openJournal(l.Dir, l.task.Shown(), l.hooks.TensorBoard, l.hooks.Log); err != nil {
		return err
	}
	err = l.journal.say(l.task.Shown(), "%s: %d of %d images shown, batch %d, %s", how, l.task.Shown(), l.pace.Duration, l.pace.Batch, l.pace.What)
	if err == nil {
		err = l.checkpoint()
	}
	if err != nil {
		l.journal.close()
	}
	return err
}

// Close closes the run's files and unlocks its folder. It writes no checkpoint.
func (l *Loop) Close() error {
	l.journal.close()
	l.lock.Unlock()
	return nil
}

// Say adds a line to the log.
func (l *Loop) Say(format string, args ...any) error {
	return l.journal.say(l.task.Shown(), format, args...)
}

// Run steps until Pace.Duration pictures have been shown, and evaluates what is due or owed. When ctx is cancelled it finishes the step,
// writes a checkpoint and returns an *[Interrupted]. After any other error the last checkpoint is untouched, and the log says why.
func (l *Loop) Run(ctx context.Context) error {
	l.clock.start(l.task.Shown())
	for l.Owes() || l.task.Shown() < l.pace.Duration {
		if ctx.Err() != nil {
			if err := l.interrupt(); err != nil {
				return l.fail(err)
			}
			return &Interrupted{Dir: l.Dir, Images: l.task.Shown(), Duration: l.pace.Duration, cause: context.Cause(ctx)}
		}
		var err error
		if l.Owes() {
			err = l.evaluate(ctx)
		} else {
			err = l.step()
		}
		if err != nil {
			return l.fail(err)
		}
	}
	return nil
}

func (l *Loop) step() error {
	before := l.task.Shown()
	loss, err := l.task.Step()
	if err != nil {
		return err
	}
	l.steps++
	shown := l.task.Shown()
	l.clock.step(shown, loss)
	if l.hooks.Progress != nil {
		l.hooks.Progress(l.clock.progress(l.pace.Duration))
	}
	if last := shown >= l.pace.Duration; last || shown/l.pace.Tick > before/l.pace.Tick {
		return l.tick(last)
	}
	return nil
}

// tick writes a line of statistics, calls the hooks that are due and then writes the checkpoint, so that whatever the checkpoint counts as
// done is done.
func (l *Loop) tick(last bool) error {
	if err := l.task.Healthy(); err != nil {
		return err
	}
	l.ticks++
	l.steps = 0
	lap := Lap{PeakMemory: peakMemory(), Time: float64(time.Now().UnixMilli()) / 1000}
	lap.Seconds, lap.Maintenance, lap.Rate = l.clock.lap()
	line, err := l.task.Line(l.ticks, lap)
	if err != nil {
		return err
	}
	shown := l.task.Shown()
	if err := l.journal.tick(shown, line); err != nil {
		return err
	}
	due := func(every int) bool { return last || every > 0 && l.ticks%int64(every) == 0 }
	t := l.at(last)
	if l.hooks.Validate != nil {
		if err := l.hooks.Validate(t); err != nil {
			return err
		}
	}
	if l.hooks.Pictures != nil && due(l.pace.PictureTicks) {
		if err := l.hooks.Pictures(t); err != nil {
			return fmt.Errorf("drawing pictures after %d images: %w", shown, err)
		}
	}
	if l.hooks.Snapshot != nil && due(l.pace.SnapshotTicks) {
		if err := l.hooks.Snapshot(t); err != nil {
			return fmt.Errorf("saving a snapshot after %d images: %w", shown, err)
		}
	}
	if due(l.pace.CheckpointTicks) {
		if err := l.checkpoint(); err != nil {
			return err
		}
	}
	l.clock.pause()
	return nil
}

func (l *Loop) at(last bool) Tick {
	return Tick{Dir: l.Dir, Stats: Stats{Tick: l.ticks, Images: l.task.Shown()}, Last: last}
}

// Owes tells whether the run has reached a tick whose evaluation is due and has not been written down, in this session or before it.
func (l *Loop) Owes() bool {
	if l.hooks.Evaluate == nil || l.steps > 0 || l.ticks == 0 || l.journal.evaluated >= l.task.Shown() {
		return false
	}
	every := int64(l.pace.EvaluateTicks)
	return l.task.Shown() >= l.pace.Duration || every > 0 && l.ticks%every == 0
}

// evaluate lets the run's maker measure and writes that down. The checkpoint comes first: measuring may take long, and fail.
func (l *Loop) evaluate(ctx context.Context) error {
	if err := l.checkpoint(); err != nil {
		return err
	}
	t := l.at(l.task.Shown() >= l.pace.Duration)
	e, err := l.hooks.Evaluate(ctx, t)
	l.clock.pause()
	if ctx.Err() != nil {
		return nil // it is still owed
	}
	if err != nil {
		return fmt.Errorf("evaluating after %d images: %w", l.task.Shown(), err)
	}
	if e.Changed {
		l.saved = -1
		if err := l.checkpoint(); err != nil {
			return err
		}
	}
	if err := l.journal.metric(l.Dir, metricsLine{Tick: l.ticks, Images: l.task.Shown(), Evaluation: e.Line}, e); err != nil {
		return err
	}
	return l.Say("tick %d  %s", l.ticks, e.Words)
}

// checkpoint makes the present state the one that ResumeLoop finds, unless it is already.
func (l *Loop) checkpoint() error {
	if l.saved == l.task.Shown() {
		return nil
	}
	if err := l.journal.sync(); err != nil {
		return err
	}
	f := &checkpoint.File{
		Meta:    map[string]string{"ticks": strconv.FormatInt(l.ticks, 10), "tick.steps": strconv.FormatInt(l.steps, 10)},
		Tensors: make(map[string]*checkpoint.Tensor),
	}
	err := l.task.State(f)
	if err == nil {
		err = checkpoint.WriteFile(filepath.Join(l.Dir, stateFile), f)
	}
	if err != nil {
		return fmt.Errorf("saving the state after %d images: %w", l.task.Shown(), err)
	}
	l.saved = l.task.Shown()
	return nil
}

// readState takes the state from the last checkpoint, if there is one.
func (l *Loop) readState() error {
	path := filepath.Join(l.Dir, stateFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	ticks, err1 := Counter(f.Meta, "ticks")
	steps, err2 := Counter(f.Meta, "tick.steps")
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	if err := l.task.SetState(f); err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	l.ticks, l.steps, l.saved = ticks, steps, l.task.Shown()
	return nil
}

// Counter reads a count, 0 or more, from a checkpoint's metadata.
func Counter(meta map[string]string, key string) (int64, error) {
	v, err := strconv.ParseInt(meta[key], 10, 64)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%s is %q, want a count", key, meta[key])
	}
	return v, nil
}

// interrupt ends a cancelled run in good order.
func (l *Loop) interrupt() error {
	if err := l.task.Healthy(); err != nil {
		return err
	}
	if err := l.Say("interrupted"); err != nil {
		return err
	}
	return l.checkpoint()
}

// fail logs an error that ends the run and says which checkpoint is left.
func (l *Loop) fail(err error) error {
	if l.saved >= 0 {
		err = fmt.Errorf("the run stopped: %w; the last good checkpoint in %s is from %d images", err, l.Dir, l.saved)
	}
	if e := l.Say("%v", err); e != nil {
		return errors.Join(err, e)
	}
	return err
}
