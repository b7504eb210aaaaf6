package distill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"

	"diffuse/checkpoint"
	"diffuse/train"
)

// A Job is all that a distillation consists of. The networks start from their present weights, which must be made the same way when a run is resumed.
type Job struct {
	Options  Options
	Setup    any // what else the result depends on (the teacher's hash, …), stored in options.json; must turn into JSON
	Networks Networks

	// Hooks as of train.Job, on snapshots of Networks.EMA. Evaluate's first number decides what is best and what is a collapse.
	Pictures func(train.Tick) error
	Snapshot func(train.Tick) error
	Progress func(train.Progress)
	Log      func(string)

	Evaluate      func(context.Context, train.Tick) (Measured, error)
	EvaluateTicks int
	Evaluation    any // how Evaluate measures, for options.json; must turn into JSON

	TensorBoard bool // write a file for TensorBoard, too; a run that has one goes on with it anyway

	// AllowChange, if it is not nil, is asked for each field of options.json in which the job differs from the run that it resumes: see train.Job.
	AllowChange func(field string) bool

	// Best saves the student of the lowest distance so far, which has just been measured.
	Best func(train.Tick) error
}

// Measured is what Job.Evaluate found.
type Measured struct {
	train.Evaluation
	Distance float64 // the lower the better
}

// Stats is one line of stats.jsonl: what happened in one tick.
type Stats struct {
	Tick         int64   `json:"tick"`                       // counted from 1
	Images       int64   `json:"nimg"`                       // pictures that the generator was updated by since the run began
	Steps        int64   `json:"steps"`                      // updates of the generator since the run began, or since its warm-up
	FakeLoss     float64 `json:"loss_fake"`                  // means over the tick
	Loss         float64 `json:"loss_generator"`             //
	CriticLoss   float64 `json:"loss_critic,omitempty"`      // with an adversarial loss: of the fake network as a critic
	Persuasion   float64 `json:"loss_adversarial,omitempty"` // and of the generator before it
	FakeGradNorm float64 `json:"grad_norm_fake"`
	GradNorm     float64 `json:"grad_norm_generator"`
	FakeLR       float64 `json:"lr_fake"` // of the last step
	LR           float64 `json:"lr_generator"`
	EMABeta      float64 `json:"ema_beta"`
	Dropped      int64   `json:"dropped"` // pictures of the tick that were left out
	Cleaned      int64   `json:"cleaned"` // values of gradients in the tick that were replaced
	train.Lap
}

func (s Stats) String() string {
	left := ""
	if s.Dropped > 0 || s.Cleaned > 0 {
		left = fmt.Sprintf("  %d pictures dropped, %d gradient values replaced", s.Dropped, s.Cleaned)
	}
	if s.CriticLoss > 0 {
		left += fmt.Sprintf("  critic %.4g  adversarial %.4g", s.CriticLoss, s.Persuasion)
	}
	return fmt.Sprintf("tick %d  fake %.5g  generator %.5g  gradients %.4g %.4g  lr %.4g%s  %v",
		s.Tick, s.FakeLoss, s.Loss, s.FakeGradNorm, s.GradNorm, s.LR, left, s.Lap)
}

// Scalars are the numbers of a tick for TensorBoard.
func (s Stats) Scalars() []train.Scalar {
	return []train.Scalar{
		{Name: "distill/loss_fake", Value: s.FakeLoss}, {Name: "distill/loss_generator", Value: s.Loss},
		{Name: "distill/loss_critic", Value: s.CriticLoss}, {Name: "distill/loss_adversarial", Value: s.Persuasion},
		{Name: "distill/grad_norm_fake", Value: s.FakeGradNorm}, {Name: "distill/grad_norm_generator", Value: s.GradNorm},
		{Name: "distill/lr_generator", Value: s.LR}, {Name: "distill/dropped", Value: float64(s.Dropped)},
		{Name: "speed/images_per_sec", Value: s.Rate},
	}
}

// The files of a run folder that are not those of every loop.
const (
	bestStateFile = "best-state.safetensors"
)

// A Run is a distillation with its folder. It belongs to one goroutine.
type Run struct {
	*train.Loop
	*Trainer

	job  Job
	sums sums
	best best
}

// sums add up what a line of statistics shows, over the steps since the last one. They are part of the checkpoint.
type sums struct {
	steps, pictures, dropped, cleaned float64
	fakeLoss, loss, fakeGrad, grad    float64
	critic, adversarial               float64
	last                              StepResult
}

// fields names the numbers of s for the checkpoint.
func (s *sums) fields(adversarial bool) map[string]*float64 {
	f := map[string]*float64{
		"tick.updates": &s.steps, "tick.pictures": &s.pictures, "tick.dropped": &s.dropped, "tick.cleaned": &s.cleaned,
		"tick.fake_loss": &s.fakeLoss, "tick.loss": &s.loss, "tick.fake_grad_norm": &s.fakeGrad, "tick.grad_norm": &s.grad,
	}
	if adversarial {
		f["tick.critic_loss"], f["tick.adversarial_loss"] = &s.critic, &s.adversarial
	}
	return f
}

// best is what the evaluations have found so far; it is part of the checkpoint.
type best struct {
	distance float64 // +Inf before the first
	images   int64
}

// Start begins a distillation in folder dir, which must be empty or not exist yet. Close the Run.
func Start(dir string, job Job) (*Run, error) { return begin(dir, job, false) }

// Resume goes on with the distillation in folder dir from its last checkpoint, to the bytes of a run that was never stopped. The job must be the one the
// run was started with, except for how it is measured and, where no step so far depended on them, Duration and the decay of the rates; an error names
// the options that differ (*train.Changed), but for those that Job.AllowChange takes. Close the Run.
func Resume(dir string, job Job) (*Run, error) { return begin(dir, job, true) }

func begin(dir string, job Job, resume bool) (*Run, error) {
	now, err := newRecord(job)
	if err != nil {
		return nil, err
	}
	t, err := NewTrainer(job.Options, job.Networks)
	if err != nil {
		return nil, err
	}
	r := &Run{Trainer: t, job: job, best: best{distance: math.Inf(1)}}
	o := job.Options
	pace := train.Pace{
		Duration: o.Duration, Tick: o.Tick, Batch: o.Batch,
		CheckpointTicks: o.CheckpointTicks, PictureTicks: o.PictureTicks, SnapshotTicks: o.SnapshotTicks, EvaluateTicks: job.EvaluateTicks,
		What: fmt.Sprintf("%d parameter tensors a network", len(t.Generator.Names)),
	}
	hooks := train.Hooks{Pictures: job.Pictures, Snapshot: job.Snapshot, Progress: job.Progress, Log: job.Log, TensorBoard: job.TensorBoard}
	if job.Evaluate != nil {
		hooks.Evaluate = r.evaluate
	}
	if !resume {
		r.Loop, err = train.StartLoop(dir, (*task)(r), pace, hooks, now.write)
		return r, err
	}
	was, err := readRecord(dir)
	if err != nil {
		return nil, fmt.Errorf("resuming: %w", err)
	}
	var changes []train.Change
	r.Loop, err = train.ResumeLoop(dir, (*task)(r), pace, hooks, func(images int64) (err error) {
		if changes, err = was.changes(now, images, job.AllowChange); err != nil {
			return err
		}
		return now.write(dir)
	})
	if err != nil || len(changes) == 0 {
		return r, err
	}
	if err := r.Say("with other options from here on: %s", train.List(changes)); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// task is a Run as its Loop sees it.
type task Run

func (r *task) Shown() int64 { return r.Trainer.Images }

// Step makes one step of the trainer and adds it up.
func (r *task) Step() (float64, error) {
	s, err := r.Trainer.Step()
	if err != nil {
		return 0, err
	}
	t := &r.sums
	t.last = s
	t.steps++
	t.pictures += float64(s.Pictures)
	t.dropped += float64(s.Dropped)
	t.cleaned += float64(s.Cleaned)
	t.fakeLoss += s.FakeLoss
	t.loss += s.Loss
	t.fakeGrad += s.FakeGradNorm
	t.grad += s.GradNorm
	t.critic += s.CriticLoss
	t.adversarial += s.AdversarialLoss
	return s.FakeLoss, nil
}

// Healthy tells of weights that are not finite, and of too many pictures left out.
func (r *task) Healthy() error {
	for _, n := range []struct {
		who string
		of  *train.Optimizer
	}{{"generator", r.Generator}, {"fake network", r.Fake}} {
		if _, bad := n.of.Norm(n.of.Data()); bad >= 0 {
			return fmt.Errorf("the weights %s of the %s are not finite; a lower rate may help, from a checkpoint before", n.of.Names[bad], n.who)
		}
	}
	if s := r.sums; s.dropped > s.pictures*r.Trainer.Options.MaxDropped {
		return fmt.Errorf("%.0f of %.0f pictures had values that are not finite and were left out, more than the share max_dropped = %g", s.dropped, s.pictures, r.Trainer.Options.MaxDropped)
	}
	return nil
}

// Line is the statistics of the steps since the last line.
func (r *task) Line(tick int64, l train.Lap) (train.Statistics, error) {
	s := r.sums
	line := Stats{
		Tick: tick, Images: r.Trainer.Images, Steps: r.Generator.Steps,
		FakeLoss: s.fakeLoss / s.steps, Loss: s.loss / s.steps, FakeGradNorm: s.fakeGrad / s.steps, GradNorm: s.grad / s.steps,
		CriticLoss: s.critic / s.steps, Persuasion: s.adversarial / s.steps,
		FakeLR: s.last.FakeLR, LR: s.last.LR, EMABeta: s.last.EMABeta,
		Dropped: int64(s.dropped), Cleaned: int64(s.cleaned), Lap: l,
	}
	r.sums = sums{}
	return line, nil
}

func (r *task) State(f *checkpoint.File) error {
	for key, v := range r.sums.fields(r.Trainer.Options.Adversarial) {
		f.Meta[key] = exact(*v)
	}
	f.Meta["best.distance"], f.Meta["best.images"] = exact(r.best.distance), strconv.FormatInt(r.best.images, 10)
	return r.Trainer.State(f)
}

func (r *task) SetState(f *checkpoint.File) error {
	var s sums
	var b best
	var errs []error
	for key, v := range s.fields(r.Trainer.Options.Adversarial) {
		var err error
		if *v, err = number(f.Meta, key); err != nil {
			errs = append(errs, err)
		}
	}
	var err1, err2 error
	b.distance, err1 = number(f.Meta, "best.distance")
	b.images, err2 = train.Counter(f.Meta, "best.images")
	if err := errors.Join(append(errs, err1, err2)...); err != nil {
		return err
	}
	if err := r.Trainer.SetState(f); err != nil {
		return err
	}
	r.sums, r.best = s, b
	return nil
}

// evaluate measures the student. A new best is saved with the whole state; a collapse, a distance above Options.Collapse times the best, takes that
// state back and halves the rates.
func (r *Run) evaluate(ctx context.Context, t train.Tick) (train.Evaluation, error) {
	m, err := r.job.Evaluate(ctx, t)
	if err != nil || ctx.Err() != nil {
		return m.Evaluation, err
	}
	path := filepath.Join(t.Dir, bestStateFile)
	switch o := r.Trainer.Options; {
	case m.Distance < r.best.distance:
		r.best = best{m.Distance, r.Trainer.Images}
		f := &checkpoint.File{Meta: map[string]string{}, Tensors: map[string]*checkpoint.Tensor{}}
		if err := (*task)(r).State(f); err != nil {
			return m.Evaluation, err
		}
		if err := checkpoint.WriteFile(path, f); err != nil {
			return m.Evaluation, err
		}
		if r.job.Best != nil {
			if err := r.job.Best(t); err != nil {
				return m.Evaluation, err
			}
		}
		m.Words += "  (best so far)"
		m.Changed = true
	case o.Collapse > 0 && !(m.Distance <= o.Collapse*r.best.distance):
		if err := r.restore(path); err != nil {
			return m.Evaluation, fmt.Errorf("going back to the best state: %w", err)
		}
		m.Words += fmt.Sprintf("  collapsed: above %g times the best; back to the networks of %d pictures, with rates times %g from here on", o.Collapse, r.best.images, r.Rate)
		m.Changed = true
	}
	return m.Evaluation, nil
}

// Best returns the lowest distance that was measured, 0 if none was.
func (r *Run) Best() float64 {
	if math.IsInf(r.best.distance, 1) {
		return 0
	}
	return r.best.distance
}

// restore takes the networks of the best state, and half the rate. The count of pictures goes on, and with it the random numbers: the same ones would fail
// the same way.
func (r *Run) restore(path string) error {
	f, err := checkpoint.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	images, rate := r.Trainer.Images, r.Rate
	if err := r.Trainer.SetState(f); err != nil {
		return err
	}
	if w := r.Trainer.Options.WarmImages; r.Trainer.Images < w && images >= w {
		r.Generator.Forget() // as at the end of the warm-up
	}
	r.Trainer.Images, r.Rate = images, rate/2
	return nil
}
