package schedule

import (
	"fmt"
	"math"
	"strings"
)

// A densityFamily is a line of the table of training densities that are not a schedule at uniform times.
type densityFamily struct {
	name, options string
	build         func(o *options, sigmaData float64) Density
}

func densityFamilies() []densityFamily {
	return []densityFamily{
		{"lognormal", "mean=M, std=S", buildLogNormal},
		{"split-lognormal", "loc=M, below=S, above=S", buildSplitLogNormal},
		{"loglogistic", "loc=M, scale=S, min=SIGMA, max=SIGMA", buildLogLogistic},
		{"loguniform", "min=SIGMA, max=SIGMA", buildLogUniform},
		{"v-diffusion", "min=SIGMA, max=SIGMA", buildVDiffusion},
		{"cosine-interpolated", "low=R, high=R, min=SIGMA, max=SIGMA", buildCosineInterpolated},
	}
}

// DensityNames returns what [ParseDensity] knows: the densities of their own, then the schedules.
func DensityNames() []string {
	var names []string
	for _, d := range densityFamilies() {
		names = append(names, d.name)
	}
	for _, f := range families() {
		if s := f.build(parseOptions("", false)); s.LogSNR != nil || s.Discrete != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// The levels that ParseDensity's densities are kept to. Beyond them a float32 holds next to nothing of the noise, or of the picture; what
// they keep away are the infinite ends of some distributions, where alpha, or the noise, is 0 and weights would be divided by it.
const lowestLevel, highestLevel = 1e-6, 1e6

// ParseDensity turns what a user types into a [Density] for pictures of a size (see [Side]) and standard deviation sigmaData: one of
// lognormal, split-lognormal, loglogistic, loguniform, v-diffusion and cosine-interpolated, or a schedule of [Lookup] at uniform times, with
// options after a colon. A schedule's shift and interpolate may leave "@D" out, as in [LookupAt]. A table is drawn from at whole timesteps; an infinite level in it stands as 4096. Unknown names and options are errors that list the valid ones.
func ParseDensity(spec string, size, sigmaData float64) (Density, error) {
	name, opts, has := strings.Cut(canonical(spec), ":")
	for _, f := range densityFamilies() {
		if f.name != name {
			continue
		}
		o := parseOptions(opts, has)
		o.size = size
		d := f.build(o, sigmaData)
		if err := o.finish(f.options); err != nil {
			return nil, fmt.Errorf("noise %q: %w", spec, err)
		}
		return limited(d), nil
	}
	if _, ok := familyOf(name); !ok {
		return nil, fmt.Errorf("unknown noise %q; valid names: %s", spec, strings.Join(DensityNames(), ", "))
	}
	s, err := LookupAt(spec, size)
	switch {
	case err != nil:
		return nil, err
	case s.LogSNR != nil:
		return limited(OfSchedule(s.LogSNR, 1)), nil
	case s.Discrete != nil:
		T := float64(len(s.Discrete.Table.Sigma))
		return limited(func(u float64) float64 { return s.Discrete.level(math.Min(math.Floor(u*T), T-1)) }), nil
	}
	return nil, fmt.Errorf("noise %q: schedule %s is a grid of steps and no distribution; valid names: %s", spec, s.Name, strings.Join(DensityNames(), ", "))
}

func limited(d Density) Density {
	return func(u float64) float64 { return math.Min(math.Max(d(u), lowestLevel), highestLevel) }
}

func buildLogNormal(o *options, _ float64) Density {
	return LogNormalDensity(o.number("mean", -1.2, -50, 50), o.number("std", 1.2, 0, 50))
}

func buildSplitLogNormal(o *options, _ float64) Density {
	return SplitLogNormal(o.number("loc", -1.2, -50, 50), o.number("below", 1.2, 1e-3, 50), o.number("above", 1.2, 1e-3, 50))
}

func buildLogLogistic(o *options, sigmaData float64) Density {
	loc, scale := o.number("loc", math.Log(sigmaData), -50, 50), o.number("scale", 0.5, 1e-3, 50)
	lo, hi := o.levels(0, math.Inf(1))
	return LogLogistic(loc, scale, lo, hi)
}

func buildLogUniform(o *options, _ float64) Density { return LogUniform(o.levels(0.002, 80)) }

func buildVDiffusion(o *options, sigmaData float64) Density {
	lo, hi := o.levels(0, math.Inf(1))
	return VDiffusion(sigmaData, lo, hi)
}

// buildCosineInterpolated has k-diffusion's defaults.
func buildCosineInterpolated(o *options, sigmaData float64) Density {
	high := o.number("high", math.Max(o.size, 32), 1, 1e6)
	low := o.number("low", 32, 1, 1e6)
	lo, hi := o.levels(1e-3, 1e3)
	if low > high {
		o.fail("low=%g is above high=%g", low, high)
	}
	c := Cosine{Min: -2 * math.Log(hi/sigmaData), Max: -2 * math.Log(lo/sigmaData)}
	return OfSchedule(c.Interpolated(low, high, math.Max(o.size, 1), ClipB, LowAtNoisy), sigmaData)
}

// levels reads the range of noise levels of a density; the usual ends stand in for a mistake.
func (o *options) levels(usualMin, usualMax float64) (lo, hi float64) {
	lo, hi = o.number("min", usualMin, lowestLevel, highestLevel), o.number("max", usualMax, lowestLevel, highestLevel)
	if !(lo < hi) {
		o.fail("noise levels min=%g max=%g must satisfy min < max", lo, hi)
		return usualMin, usualMax
	}
	return lo, hi
}
