package sampler

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// GMM is an analytic model: data drawn from a mixture of isotropic Gaussians, whose exact denoiser has a closed
// form. It is what a `*.gmm.json` file holds and what solvers are measured against.
type GMM struct {
	Shape   []int       `json:"shape"`   // C, H, W of one picture
	Weights []float64   `json:"weights"` // K weights, not negative, normalised when used
	Means   [][]float64 `json:"means"`   // K means of C·H·W numbers, in C×H×W order
	Std     []float64   `json:"std"`     // K standard deviations; 0 is an atom
}

// OpenGMM reads a `*.gmm.json` file; see [ReadGMM].
func OpenGMM(path string) (*GMM, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open mixture model: %w", err)
	}
	defer f.Close()
	g, err := ReadGMM(f)
	if err != nil {
		return nil, fmt.Errorf("mixture model %s: %w", path, err)
	}
	return g, nil
}

// ReadGMM reads one JSON object {"shape":[C,H,W],"weights":[…],"means":[[…]],"std":[…]} and nothing after it.
// Unknown fields, missing fields, nulls, sizes that disagree, and numbers out of range are errors.
func ReadGMM(r io.Reader) (*GMM, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read mixture model: %w", err)
	}
	// encoding/json would take null for 0 or for an empty list; no value here may be null.
	if bytes.Contains(text, []byte("null")) {
		return nil, errors.New("not a mixture model: null is not a number")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var g GMM
	if err := dec.Decode(&g); err != nil {
		return nil, fmt.Errorf("not a mixture model: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a mixture model: more text after the JSON object")
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return &g, nil
}

// Validate reports the first thing that makes g unusable.
func (g *GMM) Validate() error {
	if len(g.Shape) != 3 {
		return fmt.Errorf("shape has %d numbers, want 3: channels, height, width", len(g.Shape))
	}
	k, d := len(g.Weights), 1
	for _, s := range g.Shape {
		if s < 1 || d > math.MaxInt32/s {
			return fmt.Errorf("shape %v is not a picture's size", g.Shape)
		}
		d *= s
	}
	if k == 0 {
		return errors.New("no weights: at least one component is needed")
	}
	if len(g.Means) != k || len(g.Std) != k {
		return fmt.Errorf("%d weights, %d means and %d standard deviations (std) must be as many", k, len(g.Means), len(g.Std))
	}
	sum := 0.0
	for i, w := range g.Weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("weight %d is %v; it must be a finite number of 0 or more", i, w)
		}
		if s := g.Std[i]; !(s >= 0) || math.IsInf(s*s, 0) {
			return fmt.Errorf("std %d is %v; it must be a finite number of 0 or more", i, s)
		}
		if len(g.Means[i]) != d {
			return fmt.Errorf("mean %d has %d numbers, shape %v wants %d", i, len(g.Means[i]), g.Shape, d)
		}
		for j, m := range g.Means[i] {
			if math.IsNaN(m) || math.IsInf(m, 0) {
				return fmt.Errorf("mean %d, number %d is %v", i, j, m)
			}
		}
		sum += w
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return fmt.Errorf("weights sum to %v; the sum must be positive and finite", sum)
	}
	return nil
}

// Denoise writes E[y | y + sigma·n = x] for every picture of the batch x into dst; the method value g.Denoise is
// a [Denoiser]. The lengths must be the same multiple of C·H·W, or it panics. With v_k = s_k² + sigma²,
//
//	r_k ∝ w_k N(x; mu_k, v_k I),  D = Σ_k r_k (s_k² x + sigma² mu_k)/v_k.
//
// The r_k are normalised by log-sum-exp, so tiny sigma and far-away x are safe. At sigma = 0, D = x.
func (g *GMM) Denoise(dst, x []float64, sigma float64) {
	d := g.Shape[0] * g.Shape[1] * g.Shape[2]
	if len(dst) != len(x) || len(x)%d != 0 {
		panic(fmt.Sprintf("sampler: GMM.Denoise: lengths %d and %d for pictures %v", len(dst), len(x), g.Shape))
	}
	sq := sigma * sigma
	if sq == 0 {
		copy(dst, x)
		return
	}
	r := make([]float64, len(g.Weights))
	for i := 0; i < len(x); i += d {
		xi, di := x[i:i+d], dst[i:i+d]
		g.responsibilities(r, xi, sq)
		a := 0.0 // Σ r_k s_k²/v_k, the weight of x
		for k, p := range r {
			a += p * g.Std[k] * g.Std[k] / (g.Std[k]*g.Std[k] + sq)
		}
		for j, v := range xi {
			di[j] = a * v
		}
		for k, p := range r {
			if c := p * sq / (g.Std[k]*g.Std[k] + sq); c != 0 {
				for j, m := range g.Means[k] {
					di[j] += c * m
				}
			}
		}
	}
}

// DenoiseGradient writes D into dst, as [GMM.Denoise] does, and J'v into grad, J being the Jacobian of D at x; the method value is a [Gradient].
// With a_k = s_k²/v_k, D_k = a_k x + (sigma²/v_k) mu_k and g_k = -(x - mu_k)/v_k, the gradient of the logarithm of r_k but for a common term,
//
//	J'v = Σ_k r_k (a_k v + (D_k·v)(g_k - Σ_l r_l g_l)).
//
// All lengths must be the same multiple of C·H·W and sigma above 0, or it panics.
func (g *GMM) DenoiseGradient(dst, grad, x, v []float64, sigma float64) {
	d := g.Shape[0] * g.Shape[1] * g.Shape[2]
	if len(grad) != len(x) || len(v) != len(x) || !(sigma > 0) {
		panic(fmt.Sprintf("sampler: GMM.DenoiseGradient: lengths %d, %d, %d at sigma %v", len(grad), len(x), len(v), sigma))
	}
	g.Denoise(dst, x, sigma)
	sq := sigma * sigma
	r := make([]float64, len(g.Weights))
	for i := 0; i < len(x); i += d {
		xi, vi, gi := x[i:i+d], v[i:i+d], grad[i:i+d]
		g.responsibilities(r, xi, sq)
		clear(gi)
		along := 0.0 // Σ_k r_k (D_k·v) = D·v
		for j, w := range vi {
			along += dst[i+j] * w
		}
		for k, p := range r {
			a, c := g.Std[k]*g.Std[k], g.Std[k]*g.Std[k]+sq
			dot := 0.0 // D_k·v
			for j, w := range vi {
				dot += (a*xi[j] + sq*g.Means[k][j]) / c * w
			}
			for j, w := range vi {
				gi[j] += p * (a/c*w - (dot-along)*(xi[j]-g.Means[k][j])/c)
			}
		}
	}
}

// responsibilities fills r with the posterior weights of the components given one noisy picture.
func (g *GMM) responsibilities(r, x []float64, sq float64) {
	top := math.Inf(-1)
	for k, w := range g.Weights {
		v := g.Std[k]*g.Std[k] + sq
		dist := 0.0
		for j, m := range g.Means[k] {
			dist += (x[j] - m) * (x[j] - m)
		}
		r[k] = math.Log(w) - float64(len(x))/2*math.Log(v) - dist/(2*v)
		top = max(top, r[k])
	}
	sum := 0.0
	for k := range r {
		r[k] = math.Exp(r[k] - top)
		sum += r[k]
	}
	for k := range r {
		r[k] /= sum
	}
}
