package skiptune

import "math"

// A Join is what one concatenation of the decoder does with its features u and a skip d, beyond joining them. All factors
// are 1 in the plain network.
type Join struct {
	// Norm and Shortcut multiply d. The block behind the concatenation uses it twice: as input of its first group norm, which
	// cancels factors common to a group (arXiv 2402.15170, appendix C), and of its shortcut convolution, which does not. Equal
	// factors are Skip-Tuning proper, definition 3.1.
	Norm, Shortcut float32
	// Backbone multiplies the first half of the channels of u, FreeU's b (arXiv 2309.11497, eq. 3, the form of its published code).
	Backbone float32
	// Low multiplies the Fourier coefficients of d of frequency 0 and -1 in height and width, FreeU's s (eq. 6).
	Low float32
}

// Plain is the join that changes nothing.
func Plain() Join { return Join{1, 1, 1, 1} }

// Fixed returns the joins of Skip-Tuning proper: each skip times its weight, deepest first.
func Fixed(rho []float32) []Join {
	list := make([]Join, len(rho))
	for i, r := range rho {
		list[i] = Join{r, r, 1, 1}
	}
	return list
}

// A Tuning says what every concatenation of a network does at every noise level. It is made by [Parse] and safe for
// concurrent use.
type Tuning struct {
	n     int
	terms []term
}

// A term is one part of a Tuning; the factors of all terms are multiplied.
type term struct {
	full   []Join  // the factors at full strength
	lo, hi float64 // noise levels between which the term acts, both included
	trend  trend
	log    bool // the trend is linear in ln sigma rather than sigma
}

// A trend says how a term's strength depends on the noise level inside its window.
type trend int

const (
	constant trend = iota
	falling        // weights fall with sigma: 1 at lo, full strength at hi
	growing        // weights grow with sigma: full strength at lo, 1 at hi
)

// strength is between 0, no effect, and 1.
func (t term) strength(sigma float64) float64 {
	if !(sigma >= t.lo && sigma <= t.hi) {
		return 0
	}
	if t.trend == constant {
		return 1
	}
	s := (sigma - t.lo) / (t.hi - t.lo)
	if t.log {
		s = math.Log(sigma/t.lo) / math.Log(t.hi/t.lo)
	}
	s = min(s, 1) // rounding of the logarithms
	if t.trend == growing {
		s = 1 - s
	}
	return s
}

// At returns what each concatenation does at noise level sigma, deepest first, or nil if that is nothing. The slice is the caller's.
// A factor f of strength s is 1 + s(f - 1).
func (t *Tuning) At(sigma float64) []Join {
	var list []Join
	for _, m := range t.terms {
		s := m.strength(sigma)
		if s == 0 {
			continue
		}
		if list == nil {
			list = make([]Join, t.n)
			for i := range list {
				list[i] = Plain()
			}
		}
		part := func(f float32) float32 {
			if s == 1 {
				return f // exactly
			}
			return float32(1 + s*(float64(f)-1))
		}
		for i, f := range m.full {
			j := &list[i]
			j.Norm *= part(f.Norm)
			j.Shortcut *= part(f.Shortcut)
			j.Backbone *= part(f.Backbone)
			j.Low *= part(f.Low)
		}
	}
	return list
}

// Misses returns the window of a term that holds no noise level from lo to hi, so that it has no effect there; ok is false
// if there is none.
func (t *Tuning) Misses(lo, hi float64) (from, to float64, ok bool) {
	for _, m := range t.terms {
		if m.lo > hi || m.hi < lo {
			return m.lo, m.hi, true
		}
	}
	return 0, 0, false
}
