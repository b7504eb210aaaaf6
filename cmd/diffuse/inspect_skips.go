package main

import (
	"context"
	"fmt"
	"math"

	"github.com/spf13/pflag"

	"diffuse/sampler"
	"diffuse/tensor"
	"diffuse/unet"
)

// A skipRatio is one row of "diffuse inspect --skips".
type skipRatio struct {
	Block   string    `json:"block"` // the block behind the concatenation; empty for the mean over all
	Side    int       `json:"side,omitempty"`
	Decoder int       `json:"decoder_channels,omitempty"`
	Skip    int       `json:"skip_channels,omitempty"`
	Ratio   []float64 `json:"ratio"` // mean over pictures of the norms' quotient, per noise level
}

// skipOptions are the flags of "diffuse inspect --skips".
type skipOptions struct {
	on        bool
	sigmas    []float64 // none: skipLevels of the model's own
	noiseOnly bool
}

func (o *skipOptions) bind(f *pflag.FlagSet) {
	f.BoolVar(&o.on, "skips", false, "tabulate the strength of a model's skip connections")
	f.Float64SliceVar(&o.sigmas, "sigmas", nil, fmt.Sprintf("with --skips: `LIST` of noise levels (default: %d from the model's highest to its lowest)", skipLevels))
	f.Lookup("sigmas").DefValue = "" // not the brackets of an empty list
	f.BoolVar(&o.noiseOnly, "noise-only", false, "with --skips: noise without a picture")
}

// check refuses flags that have no effect.
func (o *skipOptions) check(f *pflag.FlagSet) error {
	for _, name := range []string{"sigmas", "noise-only"} {
		if f.Changed(name) && !o.on {
			return usagef("--%s has no effect without --skips", name)
		}
	}
	return nil
}

// levels returns the noise levels of the table.
func (o *skipOptions) levels(m *model) ([]float64, error) {
	if len(o.sigmas) == 0 {
		g := gridOptions{schedule: "karras", steps: skipLevels, sigmaMin: m.defaults.SigmaMin, sigmaMax: m.defaults.SigmaMax, rho: m.defaults.Rho}
		levels, err := g.sigmas(m.precond)
		if err != nil {
			return nil, err
		}
		return levels[:skipLevels], nil // without the 0
	}
	for _, s := range o.sigmas {
		if lo, hi := m.precond.Limit(s, s); !(s > 0) || lo != s || hi != s {
			return nil, usagef("--sigmas: %s knows no noise level %g", m.name, s)
		}
	}
	return o.sigmas, nil
}

const (
	skipPictures = 16 // pictures that --skips averages over
	skipLevels   = 7  // noise levels in its table
)

// inspectSkips tabulates ‖skip‖/‖decoder‖ at every concatenation of a model (Skip-Tuning, arXiv 2402.15170, section 3).
func inspectSkips(ctx context.Context, u *ui, arg string, so skipOptions) (*finding, error) {
	m, err := u.openModel(arg)
	if err != nil {
		return nil, err
	}
	if m.net == nil || m.net.Net.Skips() == 0 {
		return nil, usagef("--skips: %s has no skip connections", m.name)
	}
	levels, err := so.levels(m)
	if err != nil {
		return nil, err
	}
	o := newSampleOptions()
	o.num, o.given = skipPictures, func(flag string) bool { return flag == "num" }
	p, err := o.planDrawing(u, m)
	if err != nil {
		return nil, err
	}
	clean := make([]float64, skipPictures*m.size())
	if !so.noiseOnly {
		bar := u.progress("sampling", "pictures", 0, skipPictures)
		defer bar.finish()
		if clean, err = p.drawBatch(ctx, 0, p.pictures, nil, bar); err != nil {
			return nil, err
		}
	}
	joins := m.net.Net.Joins()
	rows := make([]skipRatio, len(joins)+1)
	for i := range rows {
		rows[i].Ratio = make([]float64, len(levels))
		if i < len(joins) {
			j := joins[i]
			rows[i].Block, rows[i].Side, rows[i].Decoder, rows[i].Skip = j.Block, j.Side, j.Decoder, j.Skip
		}
	}
	for k, sigma := range levels {
		m.observeSkips(p.pictures, clean, sigma, func(i int, ratio float64) {
			rows[i].Ratio[k] += ratio / skipPictures
			rows[len(joins)].Ratio[k] += ratio / skipPictures / float64(len(joins))
		})
	}
	return describeSkips(m, p, so, levels, rows), nil
}

// observeSkips evaluates the plain network on the pictures plus noise of level sigma and reports the quotient of norms at
// each concatenation for each picture. The noise of a picture is the same unit normals at every level, those of the stream of
// its seed and "inspect".
func (m *model) observeSkips(pictures []picture, clean []float64, sigma float64, report func(join int, ratio float64)) {
	n := len(pictures)
	seeds, labels, sigmas := make([]uint64, n), make([]int, n), make([]float64, n)
	for i, p := range pictures {
		seeds[i], labels[i], sigmas[i] = p.Seed, p.Class, sigma
	}
	noisy := make([]float64, len(clean))
	sampler.BatchNoise(seeds, m.size(), "inspect")(noisy)
	for i, y := range clean {
		noisy[i] = y + sigma*noisy[i]
	}
	x := tensor.New(n, m.height, m.width, m.channels)
	tensor.FromNCHW(x, noisy)
	in := unet.Inputs{OnJoin: func(join int, u, d *tensor.Tensor) {
		for i := range n {
			report(join, pictureNorm(d, i)/pictureNorm(u, i))
		}
	}}
	if m.labels > 0 {
		in.Labels = labels
	}
	d := unet.Denoiser{Net: m.net.Net.WithSkipRule(nil), Precond: m.precond}
	tensor.Recycle(nil, d.Denoise(nil, x, sigmas, in))
}

// pictureNorm is the Euclidean norm of the features of picture i.
func pictureNorm(x *tensor.Tensor, i int) float64 {
	per := x.Len() / x.Shape[0]
	sum := 0.0
	for _, v := range x.Data[i*per : (i+1)*per] {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// describeSkips makes the table.
func describeSkips(m *model, p *samplePlan, so skipOptions, levels []float64, rows []skipRatio) *finding {
	f := &finding{Kind: "skip connections: mean of ‖skip‖/‖decoder features‖ where they are joined"}
	if so.noiseOnly {
		f.fact("inputs", "sigma·n for fixed unit noise n, %d times", skipPictures)
	} else {
		f.fact("inputs", "y + sigma·n for %d pictures y that the model draws itself (%s, %d steps, seeds 0 to %d) and fixed unit noise n", skipPictures, p.sampler.Name, p.steps(), skipPictures-1)
	}
	header := []string{"block", "resolution", "channels", "of skip"}
	for _, s := range levels {
		header = append(header, fmt.Sprintf("sigma %.3g", s))
	}
	f.table = [][]string{header}
	for _, r := range rows {
		row := []string{r.Block, fmt.Sprintf("%d×%d", r.Side, r.Side), fmt.Sprint(r.Decoder + r.Skip), fmt.Sprint(r.Skip)}
		if r.Block == "" {
			row = []string{"mean", "", "", ""}
		}
		for _, v := range r.Ratio {
			row = append(row, fmt.Sprintf("%.3f", v))
		}
		f.table = append(f.table, row)
	}
	n := len(rows) - 1
	f.value = map[string]any{"model": m.name, "pictures": skipPictures, "noise_only": so.noiseOnly, "sigmas": levels, "joins": rows[:n], "mean": rows[n].Ratio}
	return f
}
