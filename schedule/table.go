package schedule

import (
	"fmt"
	"math"
	"sort"
)

// maxTable bounds the timesteps of a table, so that a slip of the finger is a message.
const maxTable = 100_000

// Table is a discrete noise schedule, timestep 0 being the least noisy.
type Table struct {
	Betas    []float64 // variance of each step
	AlphaBar []float64 // share of the picture's variance after step t, the product of 1-beta up to t; the last may be 0
	Sigma    []float64 // noise level sqrt((1-alpha_bar)/alpha_bar) of every timestep, rising; +Inf if alpha_bar ends in 0
}

// NewTable makes the table of the given variances, which it keeps. Fewer than 2 of them, and variances whose noise levels do not
// rise strictly, are errors.
func NewTable(betas []float64) (Table, error) { return newTable(betas, exactly) }

// newTable is NewTable with variances, alpha_bar and noise levels rounded.
func newTable(betas []float64, round func(float64) float64) (Table, error) {
	T := len(betas)
	if T < 2 {
		return Table{}, fmt.Errorf("a table of %d timesteps; at least 2 are needed", T)
	}
	t := Table{Betas: make([]float64, T), AlphaBar: make([]float64, T), Sigma: make([]float64, T)}
	product := 1.0
	for i, b := range betas {
		t.Betas[i] = round(b)
		product *= round(1 - t.Betas[i])
		a := round(product)
		t.AlphaBar[i] = a
		s := round(math.Sqrt(round(round(1-a) / a)))
		if t.Sigma[i] = s; !(s > 0) || i > 0 && !(s > t.Sigma[i-1]) {
			return Table{}, fmt.Errorf("the noise levels of a table must rise, but that of timestep %d is %v", i, s)
		}
	}
	return t, nil
}

// At returns the noise level of a timestep, linear in ln sigma between whole ones, which are kept to the table
// (k-diffusion's t_to_sigma).
func (t Table) At(timestep float64) float64 {
	i, w := t.split(timestep)
	if w == 0 {
		return t.Sigma[i]
	}
	return math.Exp((1-w)*math.Log(t.Sigma[i]) + w*math.Log(t.Sigma[i+1]))
}

// atLinear is At, but linear in sigma, as diffusers' Euler, Heun and LMS schedulers have it.
func (t Table) atLinear(timestep float64) float64 {
	i, w := t.split(timestep)
	if w == 0 {
		return t.Sigma[i]
	}
	return (1-w)*t.Sigma[i] + w*t.Sigma[i+1]
}

// split finds the whole timestep below and the fraction above it; at the ends of the table the fraction is 0.
func (t Table) split(timestep float64) (int, float64) {
	last := len(t.Sigma) - 1
	switch {
	case timestep >= float64(last):
		return last, 0
	case !(timestep > 0):
		return 0, 0
	}
	i := int(timestep)
	return i, timestep - float64(i)
}

// Timestep returns the timestep of a noise level > 0, fractional between those of the table in proportion to ln sigma, and
// within the table (k-diffusion's sigma_to_t).
func (t Table) Timestep(sigma float64) float64 {
	i := sort.SearchFloat64s(t.Sigma, sigma) // the first that is not below
	switch {
	case i == 0:
		return 0
	case i == len(t.Sigma):
		return float64(i - 1)
	case t.Sigma[i] == sigma:
		return float64(i)
	}
	low := math.Log(t.Sigma[i-1])
	return float64(i-1) + (math.Log(sigma)-low)/(math.Log(t.Sigma[i])-low)
}

// Nearest returns the timestep of the table whose noise level is nearest to sigma > 0 in ln sigma, the lower one in a tie
// (k-diffusion's sigma_to_t, quantized).
func (t Table) Nearest(sigma float64) int {
	v := t.Timestep(sigma)
	return int(math.Ceil(v - 0.5))
}
