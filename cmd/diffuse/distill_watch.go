package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"diffuse/checkpoint"
	"diffuse/distill"
	"diffuse/imageio"
	"diffuse/train"
	"diffuse/unet"
)

// A distillWatcher is a distillation's company: it shows progress, draws pictures, saves and measures the student.
type distillWatcher struct {
	u        *ui
	settings *distillSettings
	teacher  *model
	ema      *unet.Net
	bar      *progress
	loss     float64
	saved    string // the last snapshot
	v        *evaluation
}

// wrap makes a network one of package train, with the teacher's preconditioning.
func (w *distillWatcher) wrap(net *unet.Net) train.Network {
	return trainee{Denoiser: unet.Denoiser{Net: net.WithPrecision(w.settings.Precision.precision()), Precond: w.teacher.precond}}
}

func (w *distillWatcher) progress(p train.Progress) {
	w.loss = p.Loss
	w.bar.set(float64(p.Images), fmt.Sprintf("fake loss %.4g", p.Loss))
}

// log shows the lines of the run's log above the bar.
func (w *distillWatcher) log(line string) {
	if w.bar != nil {
		w.bar.finish()
	}
	w.u.note("%s", line)
}

// student is the averaged generator as it stands, with its card.
func (w *distillWatcher) student(images int64) (*unet.Model, error) {
	s, t := w.settings, w.teacher
	o := s.Options
	training, err := json.Marshal(studentCard{
		Height: t.height, Width: t.width, Method: "SiD", Teacher: t.name, TeacherSHA: t.sha, Options: &o,
	})
	if err != nil {
		return nil, err
	}
	m := *t.net
	m.Net, m.Card.Config, m.Training, m.ImagesTrained, m.Description, m.License = w.ema, w.ema.Config, training, images, s.Description, s.License
	m.Sampling = &unet.Sampling{Sampler: "consistency", Steps: o.Steps, SigmaMin: o.SigmaMin, SigmaMax: o.SigmaInit, Rho: o.Rho, Few: true, Skip: s.StudentSkip}
	return &m, nil
}

// A studentCard is what a student's file says about how it was made. It holds no paths: model files are given away.
type studentCard struct {
	Height     int              `json:"height"`
	Width      int              `json:"width"`
	Method     string           `json:"method"`
	Teacher    string           `json:"teacher"`
	TeacherSHA string           `json:"teacher_sha"`
	Options    *distill.Options `json:"distillation"`
}

// snapshot saves the student as a model file.
func (w *distillWatcher) snapshot(t train.Tick) error {
	w.saved = t.Path("snapshot", ".safetensors")
	return w.save(w.saved, t.Stats.Images)
}

// best saves the student that was just found to be the best.
func (w *distillWatcher) best(t train.Tick) error {
	return w.save(filepath.Join(t.Dir, "best.safetensors"), t.Stats.Images)
}

func (w *distillWatcher) save(path string, images int64) error {
	m, err := w.student(images)
	if err != nil {
		return err
	}
	return m.Save(path, w.settings.Snapshot)
}

// plan draws pictures of the seeds 0 to num-1 (0: as many as make a good grid) with the student as it stands.
func (w *distillWatcher) plan(t train.Tick, num int) (*samplePlan, error) {
	net, err := w.student(t.Stats.Images)
	if err != nil {
		return nil, err
	}
	m, err := fromNetwork(net)
	if err != nil {
		return nil, err
	}
	m.name = filepath.Base(t.Dir) + "/" + filepath.Base(t.Path("snapshot", ".safetensors"))
	o := newSampleOptions()
	o.num = num
	o.given = func(flag string) bool { return num > 0 && flag == "num" }
	return o.planDrawing(w.u, m)
}

// pictures draws a grid with the same seeds at every tick.
func (w *distillWatcher) pictures(t train.Tick) error {
	p, err := w.plan(t, 0)
	if err != nil {
		return err
	}
	if c := p.model.channels; c != 1 && c != 3 && c != 4 {
		return nil // not a picture that PNG knows
	}
	quiet := *w.u
	quiet.quiet = true
	var images []imageio.Image
	// Not the run's context: a grid takes a moment, and a checkpoint follows it.
	err = drawnSet{plan: p}.Each(context.Background(), &quiet, 0, func(pictures []imageio.Image, _ []int) error {
		images = append(images, pictures...)
		return nil
	})
	if err != nil {
		return err
	}
	sheet := imageio.Grid(images, p.columns, gridPadding, gridGround)
	return imageio.WritePNG(t.Path("pictures", ".png"), sheet, map[string]string{
		"parameters": fmt.Sprintf("Steps: %d, Sampler: %s, Images trained: %d", p.steps(), p.sampler.Name, t.Stats.Images),
	})
}

// newEvaluator opens the reference of the run in folder dir, and computes its features.
func (w *distillWatcher) newEvaluator(ctx context.Context, ref, dir string) error {
	e, t := w.settings.Eval, w.teacher
	o := defaultEvalSettings()
	o.ref, o.refSplit, o.metrics, o.features, o.inception, o.noCache = ref, e.RefSplit, e.Metrics, e.Features, e.Inception, e.NoCache
	v, err := newEvaluation(w.u, o, t.height, t.width, t.channels)
	if err != nil {
		return err
	}
	p, err := w.plan(train.Tick{Dir: dir}, e.Pictures)
	if err != nil {
		return err
	}
	w.v = v
	return v.prepare(ctx, w.u, drawnSet{plan: p})
}

// teacherPictures is the reference that stands for what the teacher draws.
const teacherPictures = "teacher"

// drawReference draws as many pictures with the teacher as are measured, by seeds far from theirs, unless a session before has done it, and
// returns their file.
func (w *distillWatcher) drawReference(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "teacher.npz")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	const first = uint64(1) << 32
	o := newSampleOptions()
	o.seeds = fmt.Sprintf("%d-%d", first, first+uint64(w.settings.Eval.Pictures)-1)
	o.given = func(flag string) bool { return flag == "seeds" }
	p, err := o.planDrawing(w.u, w.teacher)
	if err != nil {
		return "", err
	}
	w.u.note("drawing the reference, %d pictures of the teacher, into %s", len(p.pictures), path)
	set := drawnSet{plan: p}
	h, width, c := set.Size()
	var pixels []uint8
	var labels []int64
	err = set.Each(ctx, w.u, 0, func(pictures []imageio.Image, classes []int) error {
		for i, pic := range pictures {
			pixels, labels = append(pixels, pic.Pix...), append(labels, int64(classes[i]))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	arrays := []checkpoint.Array{{Name: "arr_0", Tensor: checkpoint.Uint8([]int{len(labels), h, width, c}, pixels)}}
	if set.ClassNames() != nil {
		arrays = append(arrays, checkpoint.Array{Name: "arr_1", Tensor: checkpoint.Int64([]int{len(labels)}, labels)})
	}
	return path, checkpoint.WriteNPZ(path, arrays...)
}

// evaluate is distill.Job's: the first metric is the distance.
func (w *distillWatcher) evaluate(ctx context.Context, t train.Tick) (m distill.Measured, err error) {
	started := time.Now()
	defer func() { w.bar.pause(time.Since(started)) }()
	p, err := w.plan(t, w.settings.Eval.Pictures)
	if err != nil {
		return m, err
	}
	r, err := w.v.measure(ctx, w.u, drawnSet{plan: p})
	if err != nil {
		return m, err
	}
	m.Evaluation = train.Evaluation{Line: r, Words: r.words()}
	m.Distance = r.Metrics[r.order[0]].Value
	return m, nil
}

// already says that a run was complete before it was resumed.
func (w *distillWatcher) already(dir string, images int64) error {
	if w.u.json {
		return w.u.result(map[string]any{"run": dir, "images": images})
	}
	w.u.summary("%s: all %d pictures were made already; draw with it: diffuse sample %s", dir, images, dir)
	return nil
}

// film shows the run's grids one after the other. The run does not depend on it.
func (w *distillWatcher) film(dir string) {
	if err := filmRun(dir); err != nil {
		w.u.warn("no film of the run: %v", err)
	}
}

// conclude says what the run has left.
func (w *distillWatcher) conclude(dir string, images int64) error {
	w.film(dir)
	if w.u.json {
		return w.u.result(map[string]any{"run": dir, "images": images, "snapshot": w.saved})
	}
	w.u.summary("%s: distilled with %d pictures; draw with it: diffuse sample %s", dir, images, dir)
	return nil
}
