package train

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"diffuse/checkpoint"
	"diffuse/tensor"
)

// stateFormat marks a training checkpoint: its tensors are net.*, ema.*, adam_m.* and adam_v.*, in the memory layout of the
// network's parameters. Nothing in the file depends on the clock, so equal runs have equal files.
const stateFormat = "diffuse-training-1"

// totals add up what a line of statistics shows, over the steps since the last one. They are part of the checkpoint, so that
// a run interrupted in mid-tick goes on to the same line.
type totals struct {
	ticks     int64   // lines written so far
	steps     int64   // steps since the last line
	loss      float64 // sum of StepResult.Loss
	gradNorm  float64 // sum of StepResult.GradNorm
	maxNorm   float64 // largest StepResult.GradNorm
	lr, ema   float64 // those of the last step
	startedAt int64   // images at the start of the tick
}

// sections lists the four parts of the state: prefix and values per parameter.
func (t *Trainer) sections() map[string]func(i int) []float32 {
	return map[string]func(i int) []float32{
		"net.":    func(i int) []float32 { return t.Weights[i].Data },
		"ema.":    func(i int) []float32 { return t.Optimizer.EMA[i].Data },
		"adam_m.": func(i int) []float32 { return t.M[i] },
		"adam_v.": func(i int) []float32 { return t.V[i] },
	}
}

// writeState replaces the checkpoint at path. The old one stays until the new one is safely on the disk.
func (t *Trainer) writeState(path string, s totals) error {
	f := &checkpoint.File{
		Meta: map[string]string{
			"format":          stateFormat,
			"images":          strconv.FormatInt(t.Images, 10),
			"steps":           strconv.FormatInt(t.Steps, 10),
			"ticks":           strconv.FormatInt(s.ticks, 10),
			"tick.steps":      strconv.FormatInt(s.steps, 10),
			"tick.loss":       exact(s.loss),
			"tick.grad_norm":  exact(s.gradNorm),
			"tick.max_norm":   exact(s.maxNorm),
			"tick.lr":         exact(s.lr),
			"tick.ema_beta":   exact(s.ema),
			"tick.started_at": strconv.FormatInt(s.startedAt, 10),
		},
		Tensors: make(map[string]*checkpoint.Tensor),
	}
	for prefix, values := range t.sections() {
		for i, name := range t.Names {
			f.Tensors[prefix+name] = checkpoint.Float32(t.Weights[i].Shape, values(i))
		}
	}
	return checkpoint.WriteFile(path, f)
}

// exact prints a float64 so that reading it back gives the same bits.
func exact(v float64) string { return strconv.FormatFloat(v, 'x', -1, 64) }

// readState sets the weights, the average, Adam and the counters from the checkpoint at path. Every tensor must be there, in
// the network's shapes, and no other; nothing is changed unless all is well.
func (t *Trainer) readState(path string) (totals, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return totals{}, err
	}
	defer f.Close()
	s, err := t.decodeState(f)
	if err != nil {
		return totals{}, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return s, nil
}

func (t *Trainer) decodeState(f *checkpoint.File) (totals, error) {
	if got := f.Meta["format"]; got != stateFormat {
		return totals{}, fmt.Errorf("format is %q, want %q: not the state of a training run", got, stateFormat)
	}
	var s totals
	var images, steps int64
	var errs []error
	whole := func(key string, dst *int64) {
		v, err := strconv.ParseInt(f.Meta[key], 10, 64)
		if err != nil || v < 0 {
			errs = append(errs, fmt.Errorf("%s is %q, want a count", key, f.Meta[key]))
		}
		*dst = v
	}
	real := func(key string, dst *float64) {
		v, err := strconv.ParseFloat(f.Meta[key], 64)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s is %q, want a number", key, f.Meta[key]))
		}
		*dst = v
	}
	whole("images", &images)
	whole("steps", &steps)
	whole("ticks", &s.ticks)
	whole("tick.steps", &s.steps)
	real("tick.loss", &s.loss)
	real("tick.grad_norm", &s.gradNorm)
	real("tick.max_norm", &s.maxNorm)
	real("tick.lr", &s.lr)
	real("tick.ema_beta", &s.ema)
	whole("tick.started_at", &s.startedAt)
	if want := 4 * len(t.Names); len(f.Tensors) != want {
		errs = append(errs, fmt.Errorf("it holds %d tensors, the network wants %d", len(f.Tensors), want))
	}
	sections := t.sections()
	for prefix := range sections {
		for i, name := range t.Names {
			if err := checkTensor(f, prefix+name, t.Weights[i]); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return totals{}, err
	}
	for prefix, values := range sections {
		for i, name := range t.Names {
			v, err := f.Tensors[prefix+name].Float32()
			if err != nil {
				return totals{}, fmt.Errorf("tensor %q: %w", prefix+name, err)
			}
			copy(values(i), v)
		}
	}
	t.Images, t.Steps = images, steps
	return s, nil
}

// checkTensor reports whether the file has a float32 tensor of that name and of w's shape.
func checkTensor(f *checkpoint.File, name string, w *tensor.Tensor) error {
	v, err := f.Tensor(name)
	switch {
	case err != nil:
		return err
	case v.DType != checkpoint.F32:
		return fmt.Errorf("tensor %q is %s, want %s", name, v.DType, checkpoint.F32)
	case !slices.Equal(v.Shape, w.Shape):
		return fmt.Errorf("tensor %q has shape %v, the network wants %v", name, v.Shape, w.Shape)
	}
	return nil
}

// exists reports whether there is a file at path.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
