package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/internal/kernel"
)

var adamOptions = kernel.Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Correction1: 1 - 0.9*0.9, Correction2: 1 - 0.999*0.999}

func TestAdamStep(t *testing.T) {
	o := adamOptions
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		for n := range 71 {
			w, m, v, g := randomFenced(r, n, 0, 1), randomFenced(r, n, 1, 1), randomFenced(r, n, 2, 1), randomFenced(r, n, 3, 1)
			for i := range v.v {
				v.v[i] *= v.v[i]
			}
			if n > 3 {
				g.v[2], m.v[2], v.v[2] = 0, 0, 0 // 0/eps, not 0/0
			}
			var ww, wm, wv want
			for i := range n {
				b1, b2 := f64(o.Beta1), f64(o.Beta2)
				mi := b1*f64(m.v[i]) + (1-b1)*f64(g.v[i])
				vi := b2*f64(v.v[i]) + (1-b2)*f64(g.v[i])*f64(g.v[i])
				up := f64(o.LR) * (mi / f64(o.Correction1)) / (math.Sqrt(vi/f64(o.Correction2)) + f64(o.Eps))
				wm.add(mi, f64(m.v[i]), f64(g.v[i]))
				wv.add(vi)
				ww.add(f64(w.v[i])-up, f64(w.v[i]), 10*up)
			}
			what := fmt.Sprintf("AdamStep n=%d", n)
			kernel.AdamStep(w.v, m.v, v.v, g.v, o)
			wm.compare(t, what+" m", m.v, 2*ulp)
			wv.compare(t, what+" v", v.v, 4*ulp)
			ww.compare(t, what+" w", w.v, 2*ulp)
			for _, x := range []fenced{w, m, v, g} {
				x.intact(t, what)
			}
		}
	})
}

// A NaN or a negative second moment is passed on, never masked.
func TestAdamNaN(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for n := 1; n < 40; n += 3 {
			for at := range n {
				w, m, v, g := ones(n), ones(n), ones(n), ones(n)
				g[at] = float32(math.NaN())
				kernel.AdamStep(w, m, v, g, adamOptions)
				for _, x := range [][]float32{w, m, v} {
					onlyNaN(t, "AdamStep", x, func(i int) bool { return i == at })
				}
			}
		}
	})
}
