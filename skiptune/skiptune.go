// Package skiptune computes skip weights for Skip-Tuning (Ma, Xue, Hu et al., ICML 2024, arXiv 2402.15170):
// a trained U-Net gives better pictures in few steps when the encoder features handed over its skip connections
// are made a little smaller, Concat(rho_i·d_i, u_i) in place of Concat(d_i, u_i) (definition 3.1). Nothing is
// trained and the sampler does not change.
//
// A weight list has one rho per concatenation in the order the decoder meets them: index 0 is the deepest
// (lowest resolution, "bottom"), the last one has the picture's full size ("top"). EDM's CIFAR-10 network has 15,
// its ImageNet-64 network 16. The paper uses one rho for all, or a straight ramp from a smaller rho at the
// bottom to a larger one at the top, 0.5 to 1 for instance. For EDM's ImageNet-64 network it reports
// values that rise with the number of steps, about 0.65 to 0.78 around ten and 0.85 at 39 evaluations, and 0.91 to
// 0.98 for one-step students.
//
// [Ramp] makes a ramp, [Parse] reads what a user types; the network applies the list.
package skiptune

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Origin says which end of a ramp is reached exactly. The paper's formula rho_i = bottom + (top-bottom)/k·i
// leaves open whether i starts at 0 or at 1, and no choice reaches both ends.
type Origin int

const (
	// FromBottom counts i = 0..k-1: the deepest weight is exactly bottom, the highest stops one step short of top.
	FromBottom Origin = 0
	// ToTop counts i = 1..k: the highest weight is exactly top, the deepest lies one step above bottom.
	ToTop Origin = 1
)

// Ramp returns n skip weights, deepest first, rho_i = bottom + (top-bottom)/n·i with i counted from origin
// (arXiv 2402.15170, section 3). n = 0 gives an empty list; a negative n panics.
func Ramp(n int, bottom, top float64, origin Origin) []float32 {
	rho := make([]float32, n)
	delta := (top - bottom) / float64(n)
	for i := range rho {
		rho[i] = float32(bottom + delta*float64(i+int(origin)))
	}
	return rho
}

// Parse returns the n skip weights, deepest first, that a text describes: "0.7" is the same weight everywhere,
// "0.55:1" a ramp from the bottom to the top counted [FromBottom] ("0.55:1:top" counts [ToTop]), and
// "0.5,0.6,..." lists all n. Weights must be finite and not negative. Errors say what was expected.
func Parse(s string, n int) ([]float32, error) {
	if n < 1 {
		return nil, fmt.Errorf("skiptune: skip weights %q: the network has no skip connections", s)
	}
	if list := strings.Split(s, ","); len(list) > 1 {
		if len(list) != n {
			return nil, fmt.Errorf("skiptune: %d skip weights in %q, but the network has %d skip connections", len(list), s, n)
		}
		rho := make([]float32, n)
		for i, f := range list {
			v, err := weight(s, f)
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
			return nil, fmt.Errorf("skiptune: %q in skip weights %q must be bottom or top, the end that is reached exactly", part[2], s)
		}
	}
	if len(part) > 3 {
		return nil, fmt.Errorf("skiptune: skip weights %q: want RHO, BOTTOM:TOP or a list such as RHO,RHO,RHO", s)
	}
	bottom, err := weight(s, part[0])
	if err != nil {
		return nil, err
	}
	top := bottom
	if len(part) > 1 {
		if top, err = weight(s, part[1]); err != nil {
			return nil, err
		}
	}
	return Ramp(n, bottom, top, origin), nil
}

func weight(all, s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || !(v >= 0) || v > math.MaxFloat32 {
		return 0, fmt.Errorf("skiptune: %q in skip weights %q is not a finite number of 0 or more (want RHO, BOTTOM:TOP or a list such as RHO,RHO,RHO)", s, all)
	}
	return v, nil
}
