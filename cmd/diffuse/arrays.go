package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"diffuse/checkpoint"
	"diffuse/sampler"
)

// given is the content of a --noise file: everything random about a run.
type given struct {
	count  int       // pictures
	start  []float64 // N×C×H×W of unit variance
	step   []float64 // steps×N×C×H×W, nil if absent
	steps  int       // rows of step
	labels []int     // nil if absent

	unused []string // tensors of the file that have no meaning here
}

// readNoise reads a --noise file made for pictures of model m.
func readNoise(path string, m *model) (*given, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	g := &given{}
	if err := g.read(f, m); err != nil {
		return nil, fmt.Errorf("noise file %s: %w", path, err)
	}
	return g, nil
}

func (g *given) read(f *checkpoint.File, m *model) error {
	t, err := f.Tensor("noise")
	if err != nil {
		return err
	}
	picture := []int{m.channels, m.height, m.width}
	if len(t.Shape) != 4 || t.Shape[0] < 1 || !slices.Equal(t.Shape[1:], picture) {
		return fmt.Errorf("tensor noise has shape %v, want [N %d %d %d] for %s", t.Shape, m.channels, m.height, m.width, m.name)
	}
	g.count = t.Shape[0]
	if g.start, err = finite(t); err != nil {
		return fmt.Errorf("tensor noise: %w", err)
	}
	if s, ok := f.Tensors["step_noise"]; ok {
		if len(s.Shape) != 5 || !slices.Equal(s.Shape[1:], t.Shape) {
			return fmt.Errorf("tensor step_noise has shape %v, want [steps %s]", s.Shape, strings.Trim(fmt.Sprint(t.Shape), "[]"))
		}
		g.steps = s.Shape[0]
		if g.step, err = finite(s); err != nil {
			return fmt.Errorf("tensor step_noise: %w", err)
		}
	}
	for _, name := range f.Names {
		if l := f.Tensors[name]; name == "label" && m.labels > 0 {
			if g.labels, err = readLabels(l, g.count, m); err != nil {
				return err
			}
		} else if name != "noise" && name != "step_noise" {
			g.unused = append(g.unused, name)
		}
	}
	return nil
}

// readLabels reads one class per picture, -1 for none.
func readLabels(t *checkpoint.Tensor, n int, m *model) ([]int, error) {
	if len(t.Shape) != 1 || t.Shape[0] != n {
		return nil, fmt.Errorf("tensor label has shape %v, want [%d]", t.Shape, n)
	}
	v, err := t.Int64()
	if err != nil {
		return nil, fmt.Errorf("tensor label: %w", err)
	}
	labels := make([]int, n)
	for i, c := range v {
		if c < -1 || c >= int64(m.labels) {
			return nil, fmt.Errorf("tensor label[%d] is %d; %s has %d classes", i, c, m.name, m.labels)
		}
		labels[i] = int(c)
	}
	return labels, nil
}

// finite decodes a tensor and refuses NaN and infinities.
func finite(t *checkpoint.Tensor) ([]float64, error) {
	v, err := t.Float64()
	if err != nil {
		return nil, err
	}
	for i, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("element %d is %v", i, x)
		}
	}
	return v, nil
}

// batch returns the starting noise of pictures [lo, hi) and a source of their later draws. step tells how many solver steps are
// done: step_noise has perStep rows a step, and a draw in the step after that takes the next of its own, whether or not earlier
// steps drew.
func (g *given) batch(lo, hi int, step *int, perStep int) (start []float64, noise sampler.Noise, failed *error) {
	per := len(g.start) / g.count
	failed = new(error)
	at, drawn := -1, 0
	return slices.Clone(g.start[lo*per : hi*per]), func(dst []float64, _, _ float64) {
		if *step != at {
			at, drawn = *step, 0
		}
		row := at*perStep + drawn
		drawn++
		switch {
		case g.step == nil:
			*failed = fmt.Errorf("the sampler draws noise in step %d, but the noise file has no step_noise", at+1)
		case drawn > perStep:
			*failed = fmt.Errorf("the sampler draws noise more often than %d times in step %d; step_noise has as many rows a step", perStep, at+1)
		case row >= g.steps:
			*failed = fmt.Errorf("the sampler draws noise in step %d, but step_noise has %d rows, %d a step", at+1, g.steps, perStep)
		default:
			copy(dst, g.step[(row*g.count+lo)*per:])
			return
		}
		clear(dst)
	}, failed
}

// A trace collects every state of a run, all pictures together. Where the levels are not known before, it grows, and all pictures must be of
// one batch.
type trace struct {
	count, per int
	sigmas     []float64
	x          []float64 // (steps+1)×N×C×H×W
	denoised   []float64 // steps×N×C×H×W
}

// maxTrace bounds the memory of a trace, in bytes.
const maxTrace = 8 << 30

// checkTrace refuses a trace that no memory would hold.
func checkTrace(count, per int, sigmas []float64) error {
	values := float64(2*len(sigmas)-1) * float64(count) * float64(per)
	if 8*values > maxTrace {
		err := usagef("--trace of %d pictures and %d steps would take %.1f GB of memory", count, len(sigmas)-1, 8*values/1e9)
		return withHint(err, "trace fewer pictures or steps at a time")
	}
	return nil
}

func newTrace(count, per int, sigmas []float64) *trace {
	t := &trace{count: count, per: per, sigmas: slices.Clip(sigmas)}
	t.x = make([]float64, len(sigmas)*count*per)
	t.denoised = make([]float64, (len(sigmas)-1)*count*per)
	return t
}

// begin stores the starting state of pictures from lo on.
func (t *trace) begin(lo int, _ float64, x []float64) { copy(t.x[lo*t.per:], x) }

// end: the last step is the result.
func (t *trace) end(int, []float64) {}

// add stores one step of pictures from lo on.
func (t *trace) add(lo int, s sampler.State) {
	if s.Step == len(t.sigmas) {
		t.sigmas = append(t.sigmas, s.Sigma)
		t.x = append(t.x, s.X...)
		t.denoised = append(t.denoised, s.Denoised...)
		return
	}
	copy(t.x[(s.Step*t.count+lo)*t.per:], s.X)
	copy(t.denoised[((s.Step-1)*t.count+lo)*t.per:], s.Denoised)
}

// write stores the trace as safetensors, in double precision.
func (t *trace) write(path string, m *model) error {
	n, c, h, w := t.count, m.channels, m.height, m.width
	steps := len(t.sigmas) - 1
	return checkpoint.WriteFile(path, &checkpoint.File{Tensors: map[string]*checkpoint.Tensor{
		"sigmas":   checkpoint.Float64([]int{steps + 1}, t.sigmas),
		"x":        checkpoint.Float64([]int{steps + 1, n, c, h, w}, t.x),
		"denoised": checkpoint.Float64([]int{steps, n, c, h, w}, t.denoised),
	}})
}
