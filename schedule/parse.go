package schedule

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func buildKarras(o *options) Schedule {
	return Schedule{Grid: karrasGrid("karras", o.number("rho", 0, 0.01, 1000))}
}

func buildExponential(*options) Schedule {
	return Schedule{Grid: ranged("exponential", Exponential)}
}

func buildPolyExponential(o *options) Schedule {
	rho := o.number("rho", 1, 0.01, 1000)
	return Schedule{Grid: ranged("polyexponential", func(n int, min, max float64) []float64 { return PolyExponential(n, min, max, rho) })}
}

func buildLinearSigma(*options) Schedule {
	return Schedule{Grid: ranged("linear-sigma", LinearSigma)}
}

func buildVP(o *options) Schedule {
	betaD, betaMin := o.number("beta-d", 19.9, 1e-6, 1000), o.number("beta-min", 0.1, 0, 1000)
	eps := o.number("eps", epsilonS, 1e-12, 0.999)
	c := VPCurve(betaD, betaMin)
	lo, hi := c.Sigma(eps), c.Sigma(1)
	if math.IsInf(hi, 0) || !(lo > 0) {
		o.fail("beta-d=%g and beta-min=%g lead to noise levels from %g to %g", betaD, betaMin, lo, hi)
	}
	logsnr := func(t float64) float64 { return -2 * math.Log(c.Sigma(eps+t*(1-eps))) }
	return Schedule{SigmaMin: lo, SigmaMax: hi, LogSNR: logsnr, Grid: func(n int, min, max, _ float64) ([]float64, error) {
		if err := checkRange(n, min, max); err != nil {
			return nil, fmt.Errorf("schedule vp: %w", err)
		}
		if min > hi || max < lo {
			return nil, fmt.Errorf("schedule vp: the wanted noise levels %v to %v do not overlap with the schedule's, %.6g to %.6g", min, max, lo, hi)
		}
		first, last := math.Min(max, hi), math.Max(min, lo)
		t1, t0 := c.SigmaInv(first), c.SigmaInv(last)
		return strict("vp", spaced(n, last, first, func(u float64) float64 { return c.Sigma(t1 + u*(t0-t1)) }))
	}}
}

func buildTimeUniform(o *options) Schedule {
	rho, eps := o.number("rho", 1, 0.01, 1000), o.number("eps", epsilonS, 1e-12, 0.999)
	return Schedule{Grid: ranged("time-uniform", func(n int, min, max float64) []float64 { return TimeUniform(n, min, max, eps, rho) })}
}

// buildDiscretization makes a schedule of one of EDM's step grids, with its range.
func buildDiscretization(name string) func(*options) Schedule {
	return func(o *options) Schedule {
		d, err := DiscretizationByName(name)
		if err != nil {
			o.fail("%w", err)
		}
		return Schedule{SigmaMin: d.SigmaMin, SigmaMax: d.SigmaMax, Grid: d.Grid}
	}
}

func buildConsistency(o *options) Schedule {
	T, rho := o.whole("timesteps", 40, 2, maxTable), o.number("rho", 7, 0.01, 1000)
	final := o.word("final", FinalZero, FinalSigmaMin)
	return Schedule{Grid: func(n int, min, max, _ float64) ([]float64, error) {
		err := checkRange(n, min, max)
		if err == nil {
			err = checkRange(T, min, max) // one step, too, is one of T
		}
		if err != nil {
			return nil, fmt.Errorf("schedule consistency: %w", err)
		}
		if n > T {
			return nil, fmt.Errorf("schedule consistency: %d steps, but only %d timesteps", n, T)
		}
		all := Karras(T, min, max, rho)
		s := make([]float64, n+1)
		for i := range n {
			s[i] = all[i*(T/n)]
		}
		if final == FinalSigmaMin {
			s[n] = min
		}
		return strict("consistency", s)
	}}
}

func buildCosineGamma(o *options) Schedule {
	start, end, tau := o.number("start", 0.2, 0, 1), o.number("end", 1, 0, 1), o.number("tau", 1, 0.01, 100)
	if start >= end {
		o.fail("start=%g must be below end=%g", start, end)
		return Schedule{}
	}
	return inTime(CosineGamma(start, end, tau))
}

func buildSigmoid(o *options) Schedule { return inTime(sigmoidOptions(o)) }

// sigmoidOptions reads the options that a sigmoid schedule and its table share; nil after a mistake.
func sigmoidOptions(o *options) LogSNR {
	start, end, tau := o.number("start", -3, -100, 100), o.number("end", 3, -100, 100), o.number("tau", 1, 0.1, 100)
	if start >= end {
		o.fail("start=%g must be below end=%g", start, end)
		return nil
	}
	return Sigmoid(start, end, tau)
}

func buildLaplace(o *options) Schedule {
	return inTime(Laplace(o.number("mu", 0, -50, 50), o.number("b", 0.5, 1e-3, 100)))
}

func buildFlow(o *options) Schedule {
	shift := o.number("shift", 1, 1e-6, 1e6)
	twice, T := o.flag("diffusers"), o.whole("timesteps", 0, 2, maxTable)
	if !twice {
		if T > 0 {
			o.fail("timesteps belongs to the flag diffusers")
		}
		return inTime(Flow(shift))
	}
	T = cmp.Or(T, 1000)
	return Schedule{Grid: func(n int, min, max, _ float64) ([]float64, error) {
		if err := checkRange(n, min, max); err != nil {
			return nil, fmt.Errorf("schedule flow: %w", err)
		}
		s := FlowMatchTimes(n, shift, T)
		s[0] = max // t = 1 is pure noise, an infinite level
		for i := 1; i < n; i++ {
			s[i] /= 1 - s[i]
		}
		return strict("flow", s)
	}}
}

// inTime is the schedule of a logSNR.
func inTime(l LogSNR) Schedule {
	return Schedule{LogSNR: l, Grid: func(n int, min, max, _ float64) ([]float64, error) { return FromLogSNR(l, n, min, max) }}
}

func buildCosine(o *options) Schedule {
	c, clip, dir := DefaultCosine(), ClipA, LowAtNoisy
	c.Min, c.Max = o.number("min", c.Min, -70, 70), o.number("max", c.Max, -70, 70) // beyond, tan() next to pi/2 runs out of bits
	if !(c.Min < c.Max) {
		o.fail("logSNR bounds min=%v max=%v must satisfy min < max", c.Min, c.Max)
	}
	if o.word("clip", "a", "b") == "b" {
		clip = ClipB
	}
	noisy, clean := o.flag("low-at-noisy"), o.flag("low-at-clean")
	if clean {
		dir = LowAtClean
	}
	var sizes []float64 // shift: noise, image; interpolate: low, high, image
	for _, key := range []string{"shift", "interpolate"} {
		value, ok := o.take(key)
		if !ok {
			continue
		}
		if sizes != nil {
			o.fail("option %q: a schedule has one shift or one interpolate", key)
			continue
		}
		var err error
		if sizes, err = parseSizes(key, value, o.size); err != nil {
			o.fail("%w", err)
		}
	}
	if noisy && clean {
		o.fail("low-at-noisy and low-at-clean contradict each other")
	}
	if (noisy || clean) && len(sizes) != 3 {
		o.fail("low-at-noisy and low-at-clean belong to interpolate=LOW:HIGH@D")
	}
	l := c.LogSNR
	switch len(sizes) {
	case 2:
		l = c.Shifted(sizes[0], sizes[1], clip)
	case 3:
		l = c.Interpolated(sizes[0], sizes[1], sizes[2], clip, dir)
	}
	return inTime(l)
}

// parseSizes reads "64@256" (shift) or "32:256@512" (interpolate); where the pictures' size is known, it may be left out.
func parseSizes(key, value string, size float64) ([]float64, error) {
	refs, image, ok := strings.Cut(value, "@")
	if !ok && size > 0 {
		image, ok = strconv.FormatFloat(size, 'g', -1, 64), true
	}
	form, want := "R@D, as in shift=64@256", 1
	if key == "interpolate" {
		form, want = "LOW:HIGH@D, as in interpolate=32:256@512", 2
	}
	parts := strings.Split(refs, ":")
	if !ok || len(parts) != want {
		return nil, fmt.Errorf("%s=%s is not of the form %s", key, value, form)
	}
	sizes := make([]float64, 0, 3)
	for _, p := range append(parts, image) {
		v, err := number(p)
		if err != nil {
			return nil, err
		}
		if !(v >= 1 && v <= 1e6) {
			return nil, fmt.Errorf("size %q in %s=%s must lie between 1 and 1000000 pixels", p, key, value)
		}
		sizes = append(sizes, v)
	}
	if want == 2 && !(sizes[0] <= sizes[1]) {
		return nil, fmt.Errorf("%s=%s: the low size comes first", key, value)
	}
	return sizes, nil
}

// karrasGrid is Karras with its panics as errors; an exponent of its own, if not 0, beats the caller's.
func karrasGrid(name string, own float64) Grid {
	return func(n int, min, max, rho float64) ([]float64, error) {
		if own > 0 {
			rho = own
		}
		if err := checkRange(n, min, max); err != nil {
			return nil, fmt.Errorf("schedule %s: %w", name, err)
		}
		if !(rho > 0) || math.IsInf(rho, 0) {
			return nil, fmt.Errorf("schedule %s: rho %v must be positive and finite", name, rho)
		}
		return strict(name, Karras(n, min, max, rho))
	}
}

// ranged makes a Grid of a function that panics on a bad range and has no use for rho.
func ranged(name string, f func(n int, min, max float64) []float64) Grid {
	return func(n int, min, max, _ float64) ([]float64, error) {
		if err := checkRange(n, min, max); err != nil {
			return nil, fmt.Errorf("schedule %s: %w", name, err)
		}
		return strict(name, f(n, min, max))
	}
}

// strict catches grids so fine, or rho so extreme, that neighbours round to the same number, and fits that do not fall.
func strict(name string, s []float64) ([]float64, error) {
	for i := range len(s) - 1 {
		if s[i] < s[i+1] {
			return nil, fmt.Errorf("schedule %s: level %v is followed by %v: the schedule does not fall between %v and %v", name, s[i], s[i+1], s[0], s[len(s)-2])
		}
		if !(s[i] > s[i+1]) {
			return nil, fmt.Errorf("schedule %s: levels %d and %d of %d are %v and %v: too many steps for the range",
				name, i, i+1, len(s)-1, s[i], s[i+1])
		}
	}
	return s, nil
}
