package kernel

import "math"

// Adam holds one step's coefficients of the Adam optimiser (Kingma & Ba 2015, algorithm 1).
// Correction1 and Correction2 are the bias corrections 1-Beta1^t and 1-Beta2^t of step t = 1, 2, …
type Adam struct{ LR, Beta1, Beta2, Eps, Correction1, Correction2 float32 }

// AdamStep updates the weights w and both moments m and v from the gradient g, four slices of one
// length, as torch.optim.Adam does:
//
//	m += (1-Beta1)*(g-m);  v = Beta2*v + (1-Beta2)*g²
//	w -= LR/Correction1 * m / (sqrt(v)/sqrt(Correction2) + Eps)
//
// A NaN in g reaches w, m and v.
func AdamStep(w, m, v, g []float32, o Adam) {
	sameLen("AdamStep", "w", len(w), "m", len(m))
	sameLen("AdamStep", "w", len(w), "v", len(v))
	sameLen("AdamStep", "w", len(w), "g", len(g))
	c := o.coefficients()
	if len(w) == 0 || adamSIMD(w, m, v, g, &c) {
		return
	}
	adamStepGeneric(w, m, v, g, &c)
}

// adamCoefficients is what the inner loop needs of a step; the assembly reads it by offset.
type adamCoefficients struct {
	gain1 float32 // 1-Beta1
	beta2 float32
	gain2 float32 // 1-Beta2
	rootC float32 // 1/sqrt(Correction2)
	eps   float32
	step  float32 // LR/Correction1
}

func (o Adam) coefficients() adamCoefficients {
	return adamCoefficients{
		gain1: float32(1 - float64(o.Beta1)),
		beta2: o.Beta2,
		gain2: float32(1 - float64(o.Beta2)),
		rootC: float32(1 / math.Sqrt(float64(o.Correction2))),
		eps:   o.Eps,
		step:  float32(float64(o.LR) / float64(o.Correction1)),
	}
}

func adamStepGeneric(w, m, v, g []float32, c *adamCoefficients) {
	m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
	for i := range w {
		m[i] += c.gain1 * (g[i] - m[i])
		v[i] = c.beta2*v[i] + c.gain2*g[i]*g[i]
		w[i] -= c.step * m[i] / (float32(math.Sqrt(float64(v[i])))*c.rootC + c.eps)
	}
}
