package distill

import (
	"errors"
	"fmt"
	"strconv"

	"diffuse/checkpoint"
	"diffuse/train"
)

// stateFormat marks a checkpoint of a distillation: its tensors are the weights of generator, average and fake network and the moments of both
// Adams, in the memory layout of the networks' parameters. The teacher is not in it, and nothing depends on the clock, so equal runs have equal files.
const stateFormat = "diffuse-distillation-1"

// A section is one part of the state: the prefix of its tensors' names and their values.
type section struct {
	prefix string
	of     *train.Optimizer
	values func(i int) []float32 // of parameter i
}

func (t *Trainer) sections() []section {
	g, f := t.Generator, t.Fake
	return []section{
		{"generator.", g, func(i int) []float32 { return g.Weights[i].Data }},
		{"ema.", g, func(i int) []float32 { return g.EMA[i].Data }},
		{"fake.", f, func(i int) []float32 { return f.Weights[i].Data }},
		{"generator_m.", g, func(i int) []float32 { return g.M[i] }},
		{"generator_v.", g, func(i int) []float32 { return g.V[i] }},
		{"fake_m.", f, func(i int) []float32 { return f.M[i] }},
		{"fake_v.", f, func(i int) []float32 { return f.V[i] }},
	}
}

// State puts everything that the rest of the run depends on into f: train.Task's.
func (t *Trainer) State(f *checkpoint.File) error {
	f.Meta["format"] = stateFormat
	f.Meta["images"] = strconv.FormatInt(t.Images, 10)
	f.Meta["steps"] = strconv.FormatInt(t.Generator.Steps, 10)
	f.Meta["fake_steps"] = strconv.FormatInt(t.Fake.Steps, 10)
	f.Meta["rate"] = exact(t.Rate)
	for _, s := range t.sections() {
		for i, name := range s.of.Names {
			f.Tensors[s.prefix+name] = checkpoint.Float32(s.of.Weights[i].Shape, s.values(i))
		}
	}
	return nil
}

// SetState takes networks, Adam and counters from f: train.Task's. Every tensor must be there in the networks' shapes, and no other; nothing is
// changed unless all is well.
func (t *Trainer) SetState(f *checkpoint.File) error {
	if got := f.Meta["format"]; got != stateFormat {
		return fmt.Errorf("format is %q, want %q: not the state of a distillation", got, stateFormat)
	}
	images, err1 := train.Counter(f.Meta, "images")
	steps, err2 := train.Counter(f.Meta, "steps")
	fakeSteps, err3 := train.Counter(f.Meta, "fake_steps")
	rate, err4 := number(f.Meta, "rate")
	errs := []error{err1, err2, err3, err4}
	want := 0
	for _, s := range t.sections() {
		want += len(s.of.Names)
		for i, name := range s.of.Names {
			if err := train.CheckTensor(f, s.prefix+name, s.of.Weights[i]); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	if len(f.Tensors) != want {
		errs = append(errs, fmt.Errorf("it holds %d tensors, the networks want %d", len(f.Tensors), want))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var read [][]float32
	for _, s := range t.sections() {
		for _, name := range s.of.Names {
			v, err := f.Tensors[s.prefix+name].Float32()
			if err != nil {
				return fmt.Errorf("tensor %q: %w", s.prefix+name, err)
			}
			read = append(read, v)
		}
	}
	for _, s := range t.sections() {
		for i := range s.of.Names {
			copy(s.values(i), read[0])
			read = read[1:]
		}
	}
	t.Images, t.Generator.Steps, t.Fake.Steps, t.Rate = images, steps, fakeSteps, rate
	return nil
}

// exact prints a float64 so that reading it back gives the same bits.
func exact(v float64) string { return strconv.FormatFloat(v, 'x', -1, 64) }

func number(meta map[string]string, key string) (float64, error) {
	v, err := strconv.ParseFloat(meta[key], 64)
	if err != nil {
		return 0, fmt.Errorf("%s is %q, want a number", key, meta[key])
	}
	return v, nil
}
