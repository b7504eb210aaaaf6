package skiptune

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Syntax explains the text that [Parse] reads, for help texts.
const Syntax = `Skip weights (--skip), deepest connection first:
  0.7                 the same weight everywhere
  0.55:1              a ramp from the deepest connection, which gets 0.55, to the
                      finest, one step short of 1; 0.55:1:top reaches 1 instead
  0.5,0.6,0.8,1       one weight per connection
  freeu:1.2,1.4,.9,.2 FreeU with b1, b2, s1, s2: index 1 for the lowest resolution
Each may end in a window of noise levels, outside of which nothing is weighted,
  0.55:1@0.1..5       also open, 0.7@..5 or 0.7@0.1..
and in options:
  /norm, /shortcut    weigh only what the block's group norm or shortcut sees
  /falling, /growing  let weights change across the window, from 1 at its low end
                      or to 1 at its high end, linearly in sigma, or in ln sigma
                      with /log: 0.7@0.1..80/falling/log
Several joined by + multiply: 0.55:1@0.1..5+0.9@5..80`

const want = "want RHO, BOTTOM:TOP or a list such as RHO,RHO,RHO"

// Parse reads skip weights as [Syntax] explains for a network with len(sides) skip connections, where sides are
// the heights of the features at each, deepest first; only FreeU needs their values. "0.7" is the same weight everywhere, "0.55:1" a ramp
// from the bottom to the top counted [FromBottom] ("0.55:1:top" counts [ToTop]), and "0.5,0.6,..." lists all. Weights
// must be finite and not negative. Errors say what was expected.
func Parse(text string, sides []int) (*Tuning, error) {
	if len(sides) == 0 {
		return nil, fmt.Errorf("skiptune: skip weights %q: the network has no skip connections", text)
	}
	t := &Tuning{n: len(sides)}
	for _, part := range splitTerms(text) {
		m, err := parseTerm(part, sides)
		if err != nil {
			return nil, fmt.Errorf("skiptune: skip weights %q: %w", text, err)
		}
		t.terms = append(t.terms, m)
	}
	return t, nil
}

// splitTerms cuts at every "+" that is not the sign of an exponent.
func splitTerms(s string) []string {
	var parts []string
	start := 0
	for i := range len(s) {
		if s[i] == '+' && (i == 0 || s[i-1] != 'e' && s[i-1] != 'E') {
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

func parseTerm(s string, sides []int) (term, error) {
	m := term{hi: math.Inf(1)}
	head, options, optional := strings.Cut(s, "/")
	weights, window, bounded := strings.Cut(head, "@")
	var err error
	if bounded {
		if m.lo, m.hi, err = parseWindow(window); err != nil {
			return m, err
		}
	}
	if list, ok := strings.CutPrefix(strings.TrimSpace(weights), "freeu:"); ok {
		m.full, err = freeU(list, sides)
	} else {
		var rho []float32
		rho, err = parseWeights(weights, len(sides))
		m.full = Fixed(rho)
	}
	if err != nil || !optional {
		return m, err
	}
	for _, o := range strings.Split(options, "/") {
		if err := m.option(strings.TrimSpace(o)); err != nil {
			return m, err
		}
	}
	switch {
	case m.log && m.trend == constant:
		return m, fmt.Errorf("/log goes with /falling or /growing")
	case m.trend != constant && (math.IsInf(m.hi, 0) || m.lo == m.hi || m.log && m.lo == 0):
		return m, fmt.Errorf("/falling and /growing need a window with two ends, such as @0.1..80, and with /log a low end above 0")
	}
	return m, nil
}

// option applies one "/" option.
func (m *term) option(name string) error {
	switch name {
	case "norm":
		for i := range m.full {
			m.full[i].Shortcut = 1
		}
	case "shortcut":
		for i := range m.full {
			m.full[i].Norm = 1
		}
	case "falling", "growing":
		if m.trend != constant {
			return fmt.Errorf("more than one of /falling and /growing")
		}
		m.trend = falling
		if name == "growing" {
			m.trend = growing
		}
	case "log":
		m.log = true
	default:
		return fmt.Errorf("unknown option %q; valid are norm, shortcut, falling, growing, log", name)
	}
	return nil
}

// parseWindow reads LO..HI, either of which may be missing.
func parseWindow(s string) (lo, hi float64, err error) {
	from, to, ok := strings.Cut(s, "..")
	hi = math.Inf(1)
	if from = strings.TrimSpace(from); ok && from != "" {
		lo, err = strconv.ParseFloat(from, 64)
	}
	if to = strings.TrimSpace(to); ok && to != "" && err == nil {
		hi, err = strconv.ParseFloat(to, 64)
	}
	if !ok || err != nil || from+to == "" || !(lo >= 0 && lo <= hi) || math.IsInf(lo, 0) {
		return 0, 0, fmt.Errorf("%q is not a window LO..HI of noise levels such as 0.1..5", s)
	}
	return lo, hi, nil
}

// freeU gives the connections of the two lowest resolutions their factors.
func freeU(list string, sides []int) ([]Join, error) {
	parts := strings.Split(list, ",")
	if len(parts) != 4 {
		return nil, fmt.Errorf("freeu takes four numbers b1,b2,s1,s2, not %q", list)
	}
	var v [4]float32
	for i, p := range parts {
		f, err := weight(p)
		if err != nil {
			return nil, err
		}
		v[i] = float32(f)
	}
	levels := slices.Clone(sides)
	slices.Sort(levels)
	levels = slices.Compact(levels)
	joins := make([]Join, len(sides))
	for i, side := range sides {
		joins[i] = Plain()
		if k, _ := slices.BinarySearch(levels, side); k < 2 {
			joins[i].Backbone, joins[i].Low = v[k], v[2+k]
		}
	}
	return joins, nil
}

// parseWeights reads n weights in one of the three plain forms.
func parseWeights(s string, n int) ([]float32, error) {
	if list := strings.Split(s, ","); len(list) > 1 {
		if len(list) != n {
			return nil, fmt.Errorf("%d skip weights, but the network has %d skip connections", len(list), n)
		}
		rho := make([]float32, n)
		for i, f := range list {
			v, err := weight(f)
			if err != nil {
				return nil, err
			}
			rho[i] = float32(v)
		}
		return rho, nil
	}
	part := strings.Split(s, ":")
	origin := FromBottom
	if len(part) == 3 {
		switch strings.TrimSpace(part[2]) {
		case "bottom":
		case "top":
			origin = ToTop
		default:
			return nil, fmt.Errorf("%q must be bottom or top, the end that is reached exactly", part[2])
		}
	}
	if len(part) > 3 {
		return nil, fmt.Errorf("too many colons (%s)", want)
	}
	bottom, err := weight(part[0])
	if err != nil {
		return nil, err
	}
	top := bottom
	if len(part) > 1 {
		if top, err = weight(part[1]); err != nil {
			return nil, err
		}
	}
	return Ramp(n, bottom, top, origin), nil
}

func weight(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(v >= 0) || v > math.MaxFloat32 {
		return 0, fmt.Errorf("%q is not a finite number of 0 or more (%s)", s, want)
	}
	return v, nil
}
