package schedule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Grid builds a step grid of n levels between sigmaMax and sigmaMin and a final 0. rho is used by "karras" only.
// Arguments that describe no grid are errors.
type Grid func(n int, sigmaMin, sigmaMax, rho float64) ([]float64, error)

// Names returns the schedule names that [Parse] knows, the default first, each with a line of help.
func Names() [][2]string {
	return [][2]string{
		{"karras", "EDM's grid, even in sigma^(1/rho)"},
		{"exponential", "even in logSNR"},
		{"cosine", "simple diffusion; options shift=R@D, interpolate=LOW:HIGH@D, clip=A|B, low-at-noisy, low-at-clean, min=LOGSNR, max=LOGSNR"},
	}
}

// Parse turns what a user types into a [Grid]: a name, for "cosine" followed by options after a colon, as in
// "cosine:shift=64@256" or "cosine:interpolate=32:256@512,clip=B,low-at-clean". Case does not matter and "-" and
// "_" are the same. Unknown names and options are errors that list the valid ones.
func Parse(spec string) (Grid, error) {
	name, opts, has := strings.Cut(strings.ToLower(strings.TrimSpace(spec)), ":")
	switch name {
	case "karras", "edm", "polynomial", "exponential", "logsnr":
		if has {
			return nil, fmt.Errorf("schedule: %q takes no options, got %q", name, opts)
		}
	}
	switch name {
	case "karras", "edm", "polynomial":
		return karrasGrid(name), nil
	case "exponential", "logsnr":
		return ranged(name, Exponential), nil
	case "cosine":
		l, err := parseCosine(opts, has)
		if err != nil {
			return nil, fmt.Errorf("schedule %q: %w", spec, err)
		}
		return func(n int, min, max, _ float64) ([]float64, error) { return FromLogSNR(l, n, min, max) }, nil
	}
	var names []string
	for _, v := range Names() {
		names = append(names, v[0])
	}
	return nil, fmt.Errorf("schedule: unknown schedule %q; valid names: %s", spec, strings.Join(names, ", "))
}

// karrasGrid is Karras with its panics as errors.
func karrasGrid(name string) Grid {
	return func(n int, min, max, rho float64) ([]float64, error) {
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

// strict catches grids so fine, or rho so extreme, that neighbours round to the same number.
func strict(name string, s []float64) ([]float64, error) {
	for i := range len(s) - 1 {
		if !(s[i] > s[i+1]) {
			return nil, fmt.Errorf("schedule %s: levels %d and %d of %d are %v and %v: too many steps for the range",
				name, i, i+1, len(s)-1, s[i], s[i+1])
		}
	}
	return s, nil
}

// parseCosine reads the options of the cosine family.
func parseCosine(opts string, has bool) (LogSNR, error) {
	c, clip, dir := DefaultCosine(), ClipA, LowAtNoisy
	var sizes []float64 // shift: noise, image; interpolate: low, high, image
	directed := false
	for _, o := range strings.Split(opts, ",") {
		if !has {
			break
		}
		key, value, _ := strings.Cut(o, "=")
		var err error
		switch strings.ReplaceAll(strings.TrimSpace(key), "_", "-") {
		case "shift", "interpolate":
			if sizes != nil {
				return nil, fmt.Errorf("option %q: a schedule has one shift or one interpolate", o)
			}
			sizes, err = parseSizes(key, value)
		case "clip":
			switch value {
			case "a":
				clip = ClipA
			case "b":
				clip = ClipB
			default:
				err = fmt.Errorf("clip %q is neither A nor B", value)
			}
		case "low-at-noisy":
			dir, directed = LowAtNoisy, true
		case "low-at-clean":
			dir, directed = LowAtClean, true
		case "min":
			c.Min, err = number(value)
		case "max":
			c.Max, err = number(value)
		default:
			err = fmt.Errorf("unknown option %q; valid options: shift=R@D, interpolate=LOW:HIGH@D, clip=A|B, low-at-noisy, low-at-clean, min=LOGSNR, max=LOGSNR", o)
		}
		if err != nil {
			return nil, err
		}
	}
	// Beyond 70 tan() of an angle next to pi/2 runs out of bits.
	if !(c.Min < c.Max) || !(c.Min >= -70) || !(c.Max <= 70) {
		return nil, fmt.Errorf("logSNR bounds min=%v max=%v must satisfy -70 <= min < max <= 70", c.Min, c.Max)
	}
	if directed && len(sizes) != 3 {
		return nil, fmt.Errorf("low-at-noisy and low-at-clean belong to interpolate=LOW:HIGH@D")
	}
	switch len(sizes) {
	case 2:
		return c.Shifted(sizes[0], sizes[1], clip), nil
	case 3:
		return c.Interpolated(sizes[0], sizes[1], sizes[2], clip, dir), nil
	}
	return c.LogSNR, nil
}

// parseSizes reads "64@256" (shift) or "32:256@512" (interpolate).
func parseSizes(key, value string) ([]float64, error) {
	refs, image, ok := strings.Cut(value, "@")
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

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a finite number", s)
	}
	return v, nil
}
