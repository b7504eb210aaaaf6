package main

import (
	"context"
	"fmt"
	"math"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/sampler"
	"diffuse/unet"
)

type likelihoodOptions struct {
	data, split, in    string
	num                int
	class, skip        string
	probes             int
	exact              bool
	tolerance          float64
	sigmaMin, sigmaMax float64
	batch              int
}

func likelihoodCommand(u *ui) *cobra.Command {
	o := likelihoodOptions{num: 16, probes: 8, tolerance: 1e-4, batch: defaultBatch}
	c := &cobra.Command{
		Use:   "likelihood MODEL --data D",
		Short: "Measure how likely a model finds pictures",
		Long: `Measure how likely a model finds pictures: the density that its probability
flow gives them, in bits per dimension (fewer is better).

Each picture is carried from the lowest noise level to the highest by an
adaptive solver while the divergence of the flow is integrated, either exactly
(--exact; as many gradients as a picture has values, for small models) or by
random probes, whose spread gives the error that is printed. The end of the
flow counts as pure noise of level sigma-max.

Pictures are bytes. Noise of one byte's width is added (uniform
dequantization), so that the result is comparable between models and an upper
bound on the bits that a code for the bytes would need.
--in takes arrays as they are, and the result is a density in nats.

` + modelHelp,
		Example: `  diffuse likelihood fashion-teacher --data fashion-mnist --split test --num 8
  diffuse likelihood mixture.gmm.json --in x.safetensors --exact --json`,
		Args:              between(1, 1, "one model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			if err := conflicts(c.Flags(), "in", "data", "split", "num"); err != nil {
				return err
			}
			if err := conflict(c.Flags(), "exact", "probes"); err != nil {
				return err
			}
			return runLikelihood(c.Context(), u, o, args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "`PICTURES`: a data set, as for train")
	f.StringVar(&o.split, "split", "", "part of the data set, such as test")
	f.IntVar(&o.num, "num", o.num, "pictures to measure, drawn at random from a larger set (0 = all)")
	f.StringVar(&o.in, "in", "", "`FILE.safetensors` with x (N x C x H x W) and perhaps label, in place of pictures")
	f.StringVar(&o.class, "class", "", "class to assume for all pictures, or none (default: their own, if they have the model's)")
	f.StringVar(&o.skip, "skip", "", "skip weights, as for sample")
	f.IntVar(&o.probes, "probes", o.probes, "random probes of the divergence")
	f.BoolVar(&o.exact, "exact", false, "exact divergence in place of probes")
	f.Float64Var(&o.tolerance, "tolerance", o.tolerance, "error allowed in each step of the solver")
	f.Float64Var(&o.sigmaMin, "sigma-min", 0, "lowest noise level (default: the model's)")
	f.Float64Var(&o.sigmaMax, "sigma-max", 0, "highest noise level (default: the model's)")
	f.IntVar(&o.batch, "batch", o.batch, "probes computed together; results do not depend on it")
	return c
}

// A measured picture is one row of the result.
type measuredPicture struct {
	Picture    int      `json:"picture"`
	Class      string   `json:"class,omitempty"`
	LogDensity float64  `json:"log_density"` // natural logarithm
	StdErr     float64  `json:"std_err"`     // of it, from the spread of the probes
	Bits       *float64 `json:"bits_per_dim,omitempty"`
	Gradients  int      `json:"gradients"` // evaluations of the network with gradient, per probe
}

// A likelihoodReport is the result for all pictures. With --in the mean is in nats, with pictures in bits per dimension.
type likelihoodReport struct {
	Model    string            `json:"model"`
	Unit     string            `json:"unit"`
	Mean     float64           `json:"mean"`
	StdErr   float64           `json:"std_err"` // over the pictures; 0 if there is one
	Pictures []measuredPicture `json:"pictures"`
}

// A subject is a picture whose likelihood is wanted.
type subject struct {
	x     []float64
	label int
}

// mostProbes bounds what a slip can ask for: their error is a three-hundredth of one probe's by then.
const mostProbes = 100_000

func runLikelihood(ctx context.Context, u *ui, o likelihoodOptions, modelArg string) error {
	switch {
	case (o.data == "") == (o.in == ""):
		return withHint(usagef("likelihood needs --data or --in"), "diffuse likelihood MODEL --data PICTURES")
	case o.probes > mostProbes:
		return usagef("--probes is %d, want at most %d", o.probes, mostProbes)
	case o.probes < 1 || o.num < 0 || o.batch < 1:
		return usagef("--probes is %d, --num %d, --batch %d; want 1, 0 and 1 or more", o.probes, o.num, o.batch)
	}
	m, err := u.openWeights(modelArg)
	if err != nil {
		return err
	}
	if err := m.tune(o.skip, nil); err != nil {
		return err
	}
	m.warnOfStudent(u, "likelihoods")
	subjects, err := o.subjects(ctx, u, m)
	if err != nil {
		return err
	}
	s := sampler.LikelihoodOptions{SigmaMin: o.sigmaMin, SigmaMax: o.sigmaMax, Tolerance: o.tolerance}
	if o.sigmaMin == 0 {
		s.SigmaMin = m.defaults.SigmaMin
	}
	if o.sigmaMax == 0 {
		s.SigmaMax = m.defaults.SigmaMax
	}
	s.SigmaMin, s.SigmaMax = m.precond.Limit(s.SigmaMin, s.SigmaMax)
	if err := s.Validate(m.size()); err != nil {
		return usageError{err}
	}
	r := likelihoodReport{Model: m.name, Unit: "bits per dimension"}
	if o.in != "" {
		r.Unit = "nats"
	}
	bar := u.progress("measuring", "pictures", 0, float64(len(subjects)))
	defer bar.finish()
	for i, p := range subjects {
		row, err := o.measure(ctx, m, s, i, p)
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil {
			return fmt.Errorf("picture %d: %w", i, err)
		}
		r.Pictures = append(r.Pictures, row)
		bar.set(float64(i+1), "")
	}
	bar.finish()
	r.average()
	return r.print(u)
}

// subjects reads what is to be measured.
func (o likelihoodOptions) subjects(ctx context.Context, u *ui, m *model) ([]subject, error) {
	class := -1
	if o.class != "" && o.class != "none" {
		var err error
		if class, err = m.parseClass(o.class); err != nil {
			return nil, err
		}
	}
	var all []subject
	var err error
	if o.in != "" {
		all, err = readSubjects(o.in, m)
	} else {
		all, err = o.pictures(ctx, u, m)
	}
	if o.class != "" {
		for i := range all {
			all[i].label = class
		}
	}
	return all, err
}

// readSubjects reads arrays as they are.
func readSubjects(path string, m *model) ([]subject, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := f.Tensor("x")
	if err != nil {
		return nil, fmt.Errorf("input %s: %w", path, err)
	}
	if len(t.Shape) != 4 || t.Shape[0] < 1 || t.Shape[1] != m.channels || t.Shape[2] != m.height || t.Shape[3] != m.width {
		return nil, fmt.Errorf("input %s: tensor x has shape %v, want [N %d %d %d] for %s", path, t.Shape, m.channels, m.height, m.width, m.name)
	}
	x, err := finite(t)
	if err != nil {
		return nil, fmt.Errorf("input %s: tensor x: %w", path, err)
	}
	all := make([]subject, t.Shape[0])
	for i := range all {
		all[i] = subject{x[i*m.size() : (i+1)*m.size()], -1}
	}
	if l, ok := f.Tensors["label"]; ok && m.labels > 0 {
		labels, err := readLabels(l, len(all), m)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", path, err)
		}
		for i := range all {
			all[i].label = labels[i]
		}
	}
	return all, nil
}

// pictures reads bytes and dequantizes them: byte b becomes a number drawn evenly from b - 1/2 to b + 1/2, on the model's scale.
func (o likelihoodOptions) pictures(ctx context.Context, u *ui, m *model) ([]subject, error) {
	set, err := openStored(u, o.data, o.split, 0, dataset.Options{})
	if err != nil {
		return nil, err
	}
	set.draw(o.num)
	if h, w, c := set.Size(); h != m.height || w != m.width || c != m.channels {
		return nil, fmt.Errorf("%s holds pictures of %d×%d×%d, %s draws %d×%d×%d", o.data, c, h, w, m.name, m.channels, m.height, m.width)
	}
	theirs := set.Labels() == m.labels
	if m.labels > 0 && !theirs && o.class == "" {
		u.warn("%s has %s and %s has %d: pictures are measured without a class", o.data, classesOf(set), m.name, m.labels)
	}
	var all []subject
	err = set.Each(ctx, u, 64, func(pictures []imageio.Image, labels []int) error {
		for i, p := range pictures {
			s := subject{make([]float64, m.size()), -1}
			if theirs {
				s.label = labels[i]
			}
			r := sampler.Stream(uint64(len(all)), "dequantize")
			for k, b := range p.Pix { // H×W×C to C×H×W
				at := k%m.channels*m.height*m.width + k/m.channels
				s.x[at] = m.low + (m.high-m.low)*(float64(b)+r.Float64()-0.5)/255
			}
			all = append(all, s)
		}
		return nil
	})
	return all, err
}

// measure finds the likelihood of picture number i.
func (o likelihoodOptions) measure(ctx context.Context, m *model, s sampler.LikelihoodOptions, i int, p subject) (measuredPicture, error) {
	if !o.exact {
		r := sampler.Stream(uint64(i), "probes")
		for range o.probes {
			v := make([]float64, m.size())
			for j := range v {
				v[j] = float64(2*r.IntN(2) - 1)
			}
			s.Probes = append(s.Probes, v)
		}
	}
	l, err := sampler.LogLikelihood(m.gradient(ctx, p.label, o.batch), p.x, s)
	row := measuredPicture{Picture: i, Class: m.className(p.label), LogDensity: l.LogDensity, StdErr: l.StdErr, Gradients: l.Evaluations}
	if o.data != "" {
		// A step of one byte is (high - low)/255 wide, so that a density per byte is smaller by that.
		bits := -l.LogDensity/float64(m.size())/math.Ln2 + math.Log2(255/(m.high-m.low))
		row.Bits = &bits
	}
	return row, err
}

// gradient returns the model's denoiser with its gradient, for batches of pictures of one class, of which at most batch are computed together.
// Once ctx is done it returns NaN at once, which ends any integration.
func (m *model) gradient(ctx context.Context, label, batch int) sampler.Gradient {
	return func(dst, grad, x, v []float64, sigma float64) {
		if ctx.Err() != nil {
			dst[0] = math.NaN()
			return
		}
		if m.gmm != nil {
			m.gmm.DenoiseGradient(dst, grad, x, v, sigma)
			return
		}
		d := unet.Denoiser{Net: m.net.Net, Precond: m.precond, Height: m.height, Width: m.width}
		for lo := 0; lo < len(x); lo += batch * m.size() {
			hi := min(lo+batch*m.size(), len(x))
			if m.labels > 0 {
				d.Labels = make([]int, (hi-lo)/m.size())
				for i := range d.Labels {
					d.Labels[i] = label
				}
			}
			d.Gradient(dst[lo:hi], grad[lo:hi], x[lo:hi], v[lo:hi], sigma)
		}
	}
}

// average fills Mean and StdErr.
func (r *likelihoodReport) average() {
	values := make([]float64, len(r.Pictures))
	for i, p := range r.Pictures {
		if values[i] = p.LogDensity; p.Bits != nil {
			values[i] = *p.Bits
		}
		r.Mean += values[i] / float64(len(values))
	}
	n := float64(len(values))
	if n < 2 {
		return
	}
	sq := 0.0
	for _, v := range values {
		sq += (v - r.Mean) * (v - r.Mean)
	}
	r.StdErr = math.Sqrt(sq / (n - 1) / n)
}

func (r *likelihoodReport) print(u *ui) error {
	if u.json {
		return u.result(r)
	}
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "picture\tclass\tlog density\tstd err\tbits/dim\tgradients\t")
	for _, p := range r.Pictures {
		bits := "-"
		if p.Bits != nil {
			bits = fmt.Sprintf("%.4f", *p.Bits)
		}
		fmt.Fprintf(w, "%d\t%s\t%.4f\t%.4f\t%s\t%d\t\n", p.Picture, p.Class, p.LogDensity, p.StdErr, bits, p.Gradients)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Pictures) == 1 { // the line above says all
		return nil
	}
	_, err := fmt.Fprintf(u.stdout, "mean %.4f %s, standard error %.4f over %d pictures\n", r.Mean, r.Unit, r.StdErr, len(r.Pictures))
	return err
}
