package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/sampler"
)

type invertOptions struct {
	*sampleOptions
	data, split, out string
	count            int
}

// An inversion is a solver and the one that undoes it.
type inversion struct {
	name string
	up   sampler.Sampler
}

// inversions are the solvers that can be run backwards; the last is the default.
func inversions() []inversion {
	return []inversion{{"ddim", sampler.DDIMInverse}, {"heun", sampler.HeunInverse}}
}

func invertCommand(u *ui) *cobra.Command {
	o := invertOptions{sampleOptions: newSampleOptions(), count: 16}
	c := &cobra.Command{
		Use:   "invert MODEL --data PICTURES --out NOISE",
		Short: "Find the noise that a model draws given pictures from",
		Long: `Find the noise that a model draws given pictures from: the probability flow is
run backwards, from the lowest noise level to the highest, by DDIM's inversion or
by Heun's method. NOISE is a file that sample --noise reads; classes go with it.

The pictures are then drawn again from that noise with the same settings, and the
difference is printed in grey levels (0 to 255). More steps make it smaller, and
heun comes far closer than ddim.

Pictures of another size are scaled to cover the model's, and their centre is cut out.

` + modelHelp,
		Example: `  diffuse invert fashion-teacher --data fashion-mnist --split test --num 8 --out noise.safetensors
  diffuse invert fashion-teacher --data sneaker.png --class sneaker --steps 50 --out noise.safetensors
  diffuse sample fashion-teacher --steps 50 --noise noise.safetensors --grid again.png`,
		Args:              between(1, 1, "one model"),
		ValidArgsFunction: completeModel,
		RunE: func(c *cobra.Command, args []string) error {
			o.given = c.Flags().Changed
			if err := o.meaningless(c.Flags()); err != nil {
				return err
			}
			return runInvert(c.Context(), u, o, args[0])
		},
	}
	f := c.Flags()
	o.bindLevels(c)
	section(f, "Solver", func() {
		f.StringVar(&o.sampler, "sampler", "", "solver: ddim, heun (default: the model's if it is one of them, else heun)")
		f.StringVar(&o.skip, "skip", "", "skip weights, as for sample")
	})
	o.noteDrawing(f, map[string]bool{"help": true})
	section(f, "Pictures", func() {
		f.StringVar(&o.data, "data", "", "`PICTURES`: a data set, as for train, or one picture")
		f.StringVar(&o.split, "split", "", "part of the data set, such as test")
		f.IntVar(&o.count, "num", o.count, "pictures to invert, drawn at random from a larger set (0 = all)")
		f.StringVar(&o.out, "out", "", "`FILE.safetensors` for noise (N x C x H x W, unit variance) and label")
		f.StringVar(&o.class, "class", "", "class to assume for all pictures, or none (default: their own, if they have the model's)")
		f.IntVar(&o.batch, "batch", o.batch, "pictures computed together; results do not depend on it")
	})
	c.RegisterFlagCompletionFunc("sampler", completeWith([]string{"ddim", "heun"}))
	return c
}

// meaningless refuses what is missing or contradictory, as far as the flags alone tell.
func (o *invertOptions) meaningless(f *pflag.FlagSet) error {
	if err := o.grid.contradictions(f); err != nil {
		return err
	}
	switch {
	case o.data == "" || o.out == "":
		return withHint(usagef("invert needs --data and --out"), "diffuse invert MODEL --data PICTURES --out noise.safetensors")
	case o.count < 0 || o.batch < 1:
		return usagef("--num is %d and --batch %d, want 0 and 1 or more", o.count, o.batch)
	}
	return checkOutput("out", o.out)
}

// An invertReport is the result.
type invertReport struct {
	Model    string            `json:"model"`
	Sampler  string            `json:"sampler"`
	Steps    int               `json:"steps"`
	Sigmas   []float64         `json:"sigmas"`
	Skip     string            `json:"skip,omitempty"`
	Out      string            `json:"out"`
	STD      float64           `json:"noise_std"` // 1 for noise as sampling draws it
	RMS      float64           `json:"rms"`       // of the pictures drawn again, in grey levels
	Max      float64           `json:"max"`
	Pictures []invertedPicture `json:"pictures"`
}

// An invertedPicture tells how far a picture that is drawn again is from itself, in grey levels.
type invertedPicture struct {
	Picture int     `json:"picture"`
	Class   string  `json:"class,omitempty"`
	RMS     float64 `json:"rms"`
	Max     float64 `json:"max"`
}

func runInvert(ctx context.Context, u *ui, o invertOptions, modelArg string) error {
	m, err := u.openModel(modelArg)
	if err != nil {
		return err
	}
	if err := distinct([][2]string{{"the model", m.path}, {"--data", o.data}}, [2]string{"--out", o.out}); err != nil {
		return err
	}
	p, up, err := o.plan(u, m)
	if err != nil {
		return err
	}
	x, err := o.pictures(ctx, u, p)
	if err != nil {
		return err
	}
	r := invertReport{Model: m.name, Sampler: p.sampler.Name, Steps: p.steps(), Sigmas: p.sigmas, Skip: p.skip, Out: o.out}
	bar := u.progress("inverting", "pictures", 0, float64(len(p.pictures)))
	defer bar.finish()
	per := m.size()
	noise := make([]float64, 0, len(x))
	for lo := 0; lo < len(p.pictures); lo += p.batch {
		hi := min(lo+p.batch, len(p.pictures))
		unit, err := p.invert(ctx, up, p.pictures[lo:hi], x[lo*per:hi*per])
		if err != nil {
			return err
		}
		noise = append(noise, unit...)
		p.begin(unit)
		back, err := p.draw(ctx, p.pictures[lo:hi], unit, nil, func(sampler.State) error { return nil })
		if err != nil {
			return err
		}
		for i, pic := range p.pictures[lo:hi] {
			row := invertedPicture{Picture: lo + i, Class: m.className(pic.Class)}
			row.RMS, row.Max = greyDifference(back[i*per:(i+1)*per], x[(lo+i)*per:(lo+i+1)*per], m)
			r.Pictures = append(r.Pictures, row)
		}
		bar.set(float64(hi), "")
	}
	bar.finish()
	if err := writeNoise(o.out, noise, p); err != nil {
		return err
	}
	r.summarize(noise)
	return r.print(u, o, modelArg)
}

// plan chooses solver and noise levels as sample does, from those that run backwards.
func (o *invertOptions) plan(u *ui, m *model) (*samplePlan, sampler.Sampler, error) {
	known := inversions()
	name, given := m.defaults.Sampler, o.given
	if given("sampler") {
		name = o.sampler
	} else if !slices.ContainsFunc(known, func(i inversion) bool { return i.name == name }) {
		name = known[len(known)-1].name
	}
	info, err := lookupSampler(name)
	if err != nil {
		return nil, nil, err
	}
	k := slices.IndexFunc(known, func(i inversion) bool { return i.name == info.Name })
	if k < 0 {
		return nil, nil, withHint(usagef("--sampler %s cannot be run backwards", info.Name), "samplers that can: ddim (euler), heun")
	}
	m.warnOfStudent(u, info.Name)
	settings := *o.sampleOptions
	settings.sampler, settings.given = info.Name, func(flag string) bool { return flag == "sampler" || given(flag) }
	p := &samplePlan{drawing: drawing{model: m}, batch: o.batch}
	if err := settings.planSolver(p); err != nil {
		return nil, nil, err
	}
	return p, known[k].up, settings.planSkips(p)
}

// pictures reads what is to be inverted, N×C×H×W in the model's range, and fills p.pictures.
func (o *invertOptions) pictures(ctx context.Context, u *ui, p *samplePlan) (x []float64, err error) {
	m, class := p.model, -1
	if o.class != "" {
		if m.labels == 0 {
			return nil, usagef("--class %s: the model %s has no classes", o.class, m.name)
		}
		if class, err = m.parseClass(o.class); err != nil {
			return nil, err
		}
	}
	take := func(img imageio.Image, label int) {
		p.pictures = append(p.pictures, picture{uint64(len(p.pictures)), label})
		x = append(x, m.values(img)...)
	}
	if info, err := os.Stat(o.data); err == nil && !info.IsDir() && slices.Contains(imageio.Extensions(), strings.ToLower(filepath.Ext(o.data))) {
		if o.split != "" {
			return nil, usagef("split %s of %s: a picture has no parts", o.split, o.data)
		}
		img, _, err := m.readPicture(u, "data", o.data)
		if err != nil {
			return nil, err
		}
		take(img.Cover(m.height, m.width), class)
		return x, nil
	}
	asked := 0 // only a number that was asked for can be missed
	if o.given("num") {
		asked = o.count
	}
	set, err := openStored(u, o.data, o.split, asked, dataset.Options{Height: m.height, Width: m.width, Grey: m.channels == 1})
	if err != nil {
		return nil, err
	}
	set.draw(o.count)
	if _, _, c := set.Size(); c != m.channels && !(c == 1 && m.channels == 3) {
		return nil, fmt.Errorf("%s holds pictures of %s, %s draws %d", o.data, plural(c, "channel"), m.name, m.channels)
	}
	theirs := set.Labels() == m.labels && o.class == ""
	if m.labels > 0 && !theirs && o.class == "" {
		u.warn("%s has %s and %s has %d: pictures are inverted without a class", o.data, classesOf(set), m.name, m.labels)
	}
	return x, set.each(ctx, u, "reading", 64, func(pictures []imageio.Image, labels []int) error {
		for i, img := range pictures {
			if theirs {
				class = labels[i]
			}
			take(img.Convert(m.channels), class)
		}
		return nil
	})
}

// invert carries a batch of pictures to unit noise.
func (p *samplePlan) invert(ctx context.Context, up sampler.Sampler, batch []picture, x []float64) ([]float64, error) {
	calls := 0
	denoise, _ := p.denoiser(batch, &calls)
	unit := make([]float64, len(x))
	for s := range up(denoise, x, p.sigmas, sampler.DefaultOptions()) {
		if ctx.Err() != nil {
			return nil, errInterrupted
		}
		copy(unit, s.X)
	}
	for i := range unit {
		unit[i] /= p.sigmas[0]
		if math.IsNaN(unit[i]) || math.IsInf(unit[i], 0) {
			return nil, fmt.Errorf("the noise of picture %d is %v", batch[i/p.model.size()].Seed, unit[i])
		}
	}
	return unit, nil
}

// greyDifference returns the root mean square and the largest difference of two pictures, in grey levels.
func greyDifference(a, b []float64, m *model) (rms, most float64) {
	scale := 255 / (m.high - m.low)
	for i := range a {
		d := scale * math.Abs(a[i]-b[i])
		rms += d * d / float64(len(a))
		most = max(most, d)
	}
	return math.Sqrt(rms), most
}

// writeNoise writes a file that --noise reads.
func writeNoise(path string, noise []float64, p *samplePlan) error {
	m, n := p.model, len(p.pictures)
	tensors := map[string]*checkpoint.Tensor{"noise": checkpoint.Float64([]int{n, m.channels, m.height, m.width}, noise)}
	if m.labels > 0 {
		labels := make([]int64, n)
		for i, pic := range p.pictures {
			labels[i] = int64(pic.Class)
		}
		tensors["label"] = checkpoint.Int64([]int{n}, labels)
	}
	return checkpoint.WriteFile(path, &checkpoint.File{Tensors: tensors})
}

// summarize fills what is said of all pictures.
func (r *invertReport) summarize(noise []float64) {
	for _, p := range r.Pictures {
		r.RMS += p.RMS * p.RMS / float64(len(r.Pictures))
		r.Max = max(r.Max, p.Max)
	}
	r.RMS = math.Sqrt(r.RMS)
	for _, v := range noise {
		r.STD += v * v / float64(len(noise))
	}
	r.STD = math.Sqrt(r.STD)
}

func (r *invertReport) print(u *ui, o invertOptions, modelArg string) error {
	if u.json {
		return u.result(r)
	}
	u.note("to draw them: diffuse sample %s --noise %s --sampler %s%s", modelArg, o.out, r.Sampler, o.typed("sampler"))
	_, err := fmt.Fprintf(u.stdout, "%s: noise of %s by %s, %s, %s, standard deviation %.3f\ndrawn again they differ by %.3f grey levels (RMS), at most %.2f\n",
		r.Out, plural(len(r.Pictures), "picture"), r.Model, r.Sampler, plural(r.Steps, "step"), r.STD, r.RMS, r.Max)
	return err
}

// typed are the drawing flags but one as they were given, to be given to sample again.
func (o *invertOptions) typed(but string) string {
	text := ""
	for _, f := range o.drawing {
		if f.Changed && f.Name != but {
			text += fmt.Sprintf(" --%s %s", f.Name, f.Value)
		}
	}
	return text
}
