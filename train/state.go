package train

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"diffuse/checkpoint"
	"diffuse/tensor"
)

// stateFormat marks a training checkpoint: its tensors are net.*, ema.*, adam_m.* and adam_v.*, with Options.EMAStds also power0.* and
// power1.*, in the memory layout of the network's parameters. Nothing in the file depends on the clock, so equal runs have equal files.
const stateFormat = "diffuse-training-1"

// totals add up what a line of statistics shows, over the steps since the last one. They are part of the checkpoint, so that
// a run interrupted in mid-tick goes on to the same line.
type totals struct {
	steps    int64   // since the last line
	loss     float64 // sum of StepResult.Loss
	gradNorm float64 // sum of StepResult.GradNorm
	maxNorm  float64 // largest StepResult.GradNorm
	last     StepResult
}

// add counts one more step.
func (s *totals) add(r StepResult) {
	s.steps++
	s.loss += r.Loss
	s.gradNorm += r.GradNorm
	s.maxNorm = max(s.maxNorm, r.GradNorm)
	s.last = r
}

// A section is one of the parts of the state: the prefix of its tensors' names and their values.
type section struct {
	prefix string
	values func(i int) []float32 // of parameter i
}

func (t *Trainer) sections() []section {
	four := []section{
		{"net.", func(i int) []float32 { return t.Adam.Weights[i].Data }},
		{"ema.", func(i int) []float32 { return t.Adam.EMA[i].Data }},
		{"adam_m.", func(i int) []float32 { return t.Adam.M[i] }},
		{"adam_v.", func(i int) []float32 { return t.Adam.V[i] }},
	}
	return append(four, t.powerSections()...)
}

// addSections puts the tensors of sections into a file.
func (t *Trainer) addSections(f *checkpoint.File, sections []section) {
	for _, part := range sections {
		for i, name := range t.Adam.Names {
			f.Tensors[part.prefix+name] = checkpoint.Float32(t.Adam.Weights[i].Shape, part.values(i))
		}
	}
}

// state puts everything that the rest of the run depends on into f, but for what its Loop counts itself.
func (t *Trainer) state(f *checkpoint.File, s totals) {
	f.Meta["format"] = stateFormat
	f.Meta["images"] = strconv.FormatInt(t.Images, 10)
	f.Meta["steps"] = strconv.FormatInt(t.Adam.Steps, 10)
	f.Meta["tick.loss"], f.Meta["tick.grad_norm"], f.Meta["tick.max_norm"] = exact(s.loss), exact(s.gradNorm), exact(s.maxNorm)
	t.powerMeta(f.Meta)
	t.addSections(f, t.sections())
}

// exact prints a float64 so that reading it back gives the same bits.
func exact(v float64) string { return strconv.FormatFloat(v, 'x', -1, 64) }

// decodeState sets the weights, the average, Adam and the counters from f. Every tensor must be there, in
// the network's shapes, and no other; nothing is changed unless all is well.
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
	whole("tick.steps", &s.steps)
	real("tick.loss", &s.loss)
	real("tick.grad_norm", &s.gradNorm)
	real("tick.max_norm", &s.maxNorm)
	if want := len(t.sections()) * len(t.Adam.Names); len(f.Tensors) != want {
		errs = append(errs, fmt.Errorf("it holds %d tensors, the network wants %d", len(f.Tensors), want))
	}
	for _, part := range t.sections() {
		for i, name := range t.Adam.Names {
			if err := CheckTensor(f, part.prefix+name, t.Adam.Weights[i]); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return totals{}, err
	}
	for _, part := range t.sections() {
		for i, name := range t.Adam.Names {
			v, err := f.Tensors[part.prefix+name].Float32()
			if err != nil {
				return totals{}, fmt.Errorf("tensor %q: %w", part.prefix+name, err)
			}
			copy(part.values(i), v)
		}
	}
	t.Images, t.Adam.Steps = images, steps
	return s, nil
}

// CheckTensor reports whether the file has a float32 tensor of that name and of w's shape.
func CheckTensor(f *checkpoint.File, name string, w *tensor.Tensor) error {
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
