package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/unet"
)

type forwardOptions struct {
	in, out string
	skip    string
	batch   int
}

func forwardCommand(u *ui) *cobra.Command {
	o := forwardOptions{batch: 16}
	c := &cobra.Command{
		Use:   "forward MODEL --in A.safetensors --out B.safetensors",
		Short: "Evaluate a model once on arrays",
		Long: `Evaluate a model once on arrays.

The input file holds x (N x C x H x W, with sigma's noise in it), sigma (N) or
timestep (N), and optionally label (N, int64, -1 for none; or N x D, the numbers
that the network multiplies, one for each class, in their place). The output file gets
denoised, the estimate of the clean pictures, and raw, what the bare network
returned; both float32, N x C x H x W.

sigma is the noise level of x = y + sigma*n. timestep is the number that the
network itself is conditioned on (c_noise): 0 to 999 for vp and iddpm models,
ln(sigma)/4 for edm models. x is in terms of sigma in both cases.

` + modelHelp + `
An analytic model has no raw output.`,
		Example:           `  diffuse forward model.safetensors --in a.safetensors --out b.safetensors`,
		Args:              between(1, 1, "one model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			return runForward(c.Context(), u, o, args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&o.in, "in", "", "`FILE.safetensors` with x, sigma or timestep, and perhaps label")
	f.StringVar(&o.out, "out", "", "`FILE.safetensors` for denoised and raw")
	f.StringVar(&o.skip, "skip", "", "skip weights, as for sample")
	f.IntVar(&o.batch, "batch", o.batch, "pictures computed together; results do not depend on it")
	return c
}

// A forwardPass is the input of one forward pass and, when it is done, the output.
type forwardPass struct {
	n, c, h, w int
	x          []float64
	sigma      []float64
	labels     []int     // -1 = none; nil = none at all
	vectors    []float64 // of labels, in their place

	denoised, raw []float32
	rawChannels   int
}

func runForward(ctx context.Context, u *ui, o forwardOptions, modelArg string) error {
	switch {
	case o.in == "" || o.out == "":
		return withHint(usagef("forward needs --in and --out"), "diffuse forward MODEL --in A.safetensors --out B.safetensors")
	case o.batch < 1:
		return usagef("--batch is %d, want 1 or more", o.batch)
	}
	m, err := u.openModel(modelArg)
	if err != nil {
		return err
	}
	if err := distinct([][2]string{{"the model", m.path}, {"--in", o.in}}, [2]string{"--out", o.out}); err != nil {
		return err
	}
	if err := m.tune(o.skip, nil); err != nil {
		return err
	}
	e, err := readForwardPass(o.in, m)
	if err != nil {
		return err
	}
	if err := checkOutput("out", o.out); err != nil {
		return err
	}
	bar := u.progress("evaluating", "pictures", 0, float64(e.n))
	defer bar.finish()
	for lo := 0; lo < e.n; lo += o.batch {
		if ctx.Err() != nil {
			return errInterrupted
		}
		hi := min(lo+o.batch, e.n)
		e.run(m, lo, hi)
		bar.set(float64(hi), "")
	}
	if err := e.write(o.out); err != nil {
		return err
	}
	if u.json {
		return u.result(map[string]any{"model": m.name, "pictures": e.n, "out": o.out})
	}
	u.summary("%s: %d pictures through %s", o.out, e.n, m.name)
	return nil
}

// readForwardPass reads and checks the input arrays.
func readForwardPass(path string, m *model) (*forwardPass, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	e := &forwardPass{}
	if err := e.read(f, m); err != nil {
		return nil, fmt.Errorf("input %s: %w", path, err)
	}
	return e, nil
}

func (e *forwardPass) read(f *checkpoint.File, m *model) error {
	x, err := f.Tensor("x")
	if err != nil {
		return err
	}
	if len(x.Shape) != 4 || x.Shape[0] < 1 || x.Shape[1] != m.channels {
		return fmt.Errorf("tensor x has shape %v, want [N %d H W] for %s", x.Shape, m.channels, m.name)
	}
	e.n, e.c, e.h, e.w = x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	if m.net != nil {
		err = m.net.Net.CheckSize(e.h, e.w)
	} else if e.h != m.height || e.w != m.width {
		err = fmt.Errorf("tensor x has shape %v, want [N %d %d %d] for %s", x.Shape, m.channels, m.height, m.width, m.name)
	}
	if err != nil {
		return err
	}
	if e.x, err = finite(x); err != nil {
		return fmt.Errorf("tensor x: %w", err)
	}
	if err := e.readLevels(f, m.precond); err != nil {
		return err
	}
	if l, ok := f.Tensors["label"]; ok && m.labels > 0 {
		if len(l.Shape) == 2 {
			e.vectors, err = readLabelVectors(l, e.n, m)
		} else {
			e.labels, err = readLabels(l, e.n, m)
		}
	}
	return err
}

// readLabelVectors reads labels as a network takes them.
func readLabelVectors(l *checkpoint.Tensor, n int, m *model) ([]float64, error) {
	if want := []int{n, m.net.Net.LabelWidth()}; !slices.Equal(l.Shape, want) {
		return nil, fmt.Errorf("tensor label has shape %v, want %v", l.Shape, want)
	}
	v, err := finite(l)
	if err != nil {
		return nil, fmt.Errorf("tensor label: %w", err)
	}
	return v, nil
}

// readLevels reads sigma or timestep, exactly one of which must be there.
func (e *forwardPass) readLevels(f *checkpoint.File, p schedule.Precond) error {
	sigma, hasSigma := f.Tensors["sigma"]
	step, hasStep := f.Tensors["timestep"]
	if hasSigma == hasStep {
		return fmt.Errorf("needs one of the tensors sigma and timestep; it has %v", f.Names)
	}
	name, t := "sigma", sigma
	if hasStep {
		name, t = "timestep", step
	}
	if !slices.Equal(t.Shape, []int{e.n}) {
		return fmt.Errorf("tensor %s has shape %v, want [%d]", name, t.Shape, e.n)
	}
	v, err := finite(t)
	if err != nil {
		return fmt.Errorf("tensor %s: %w", name, err)
	}
	for i := range v {
		if hasStep {
			if v[i], err = sigmaOf(p, v[i]); err != nil {
				return fmt.Errorf("tensor timestep[%d]: %w", i, err)
			}
		}
		if v[i] <= 0 {
			return fmt.Errorf("tensor sigma[%d] is %g, want more than 0", i, v[i])
		}
	}
	e.sigma = v
	return nil
}

// sigmaOf finds the noise level whose c_noise is timestep; c_noise grows with sigma in every preconditioning.
func sigmaOf(p schedule.Precond, timestep float64) (float64, error) {
	if p.Scaling == nil {
		return 0, fmt.Errorf("an analytic model has no timesteps")
	}
	noise := func(logSigma float64) float64 {
		_, _, _, n := p.Scaling(math.Exp(logSigma))
		return n
	}
	lo, hi := -40.0, 40.0
	for hi-lo > 1e-13*max(1, math.Abs(lo)) {
		mid := (lo + hi) / 2
		if mid == lo || mid == hi {
			break
		}
		if noise(mid) < timestep {
			lo = mid
		} else {
			hi = mid
		}
	}
	sigma := math.Exp(hi)
	if p.Round != nil { // a staircase: step from its edge onto the level itself
		sigma = p.Round(sigma * (1 + 1e-9))
	}
	if got := noise(math.Log(sigma)); !(math.Abs(got-timestep) <= 1e-3*max(1, math.Abs(timestep))) {
		return 0, fmt.Errorf("%g is outside what a %s model knows (nearest %g)", timestep, p.Name, got)
	}
	return sigma, nil
}

// run evaluates pictures lo to hi.
func (e *forwardPass) run(m *model, lo, hi int) {
	n, per := hi-lo, e.c*e.h*e.w
	if m.gmm != nil {
		out := make([]float64, per)
		for i := lo; i < hi; i++ {
			m.gmm.Denoise(out, e.x[i*per:(i+1)*per], e.sigma[i])
			for _, v := range out {
				e.denoised = append(e.denoised, float32(v))
			}
		}
		return
	}
	x := tensor.New(n, e.h, e.w, e.c)
	tensor.FromNCHW(x, e.x[lo*per:hi*per])
	in := unet.Inputs{}
	if e.labels != nil {
		in.Labels = e.labels[lo:hi]
	}
	if e.vectors != nil {
		width := m.net.Net.LabelWidth()
		in.LabelVectors = tensor.New(n, width)
		for i, v := range e.vectors[lo*width : hi*width] {
			in.LabelVectors.Data[i] = float32(v)
		}
	}
	d := unet.Denoiser{Net: m.net.Net, Precond: m.precond, Height: e.h, Width: e.w}
	denoised, raw := d.Raw(x, e.sigma[lo:hi], in)
	e.rawChannels = raw.Shape[3]
	e.denoised = appendNCHW(e.denoised, denoised)
	e.raw = appendNCHW(e.raw, raw)
	tensor.Recycle(nil, denoised, raw)
}

func appendNCHW(list []float32, x *tensor.Tensor) []float32 {
	planes := make([]float32, x.Len())
	tensor.ToNCHW(planes, x)
	return append(list, planes...)
}

// write stores the results.
func (e *forwardPass) write(path string) error {
	tensors := map[string]*checkpoint.Tensor{"denoised": checkpoint.Float32([]int{e.n, e.c, e.h, e.w}, e.denoised)}
	if e.raw != nil {
		tensors["raw"] = checkpoint.Float32([]int{e.n, e.rawChannels, e.h, e.w}, e.raw)
	}
	return checkpoint.WriteFile(path, &checkpoint.File{Tensors: tensors})
}
