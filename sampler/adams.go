package sampler

import "iter"

// IPNDM is the improved PNDM of diff-sampler (Zhang and Chen, arXiv 2204.13902, section 4): the Adams-Bashforth methods of orders 1
// to 4 for equal steps, on the slopes d = (x - D)/sigma and whatever the spacing. Orders rise from 1 at the start. One evaluation a
// step. On a grid with unequal steps its weights keep order 2 only. Options: Order (default 4), Final (default "full").
func IPNDM(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return ipndm.sampler(false)(d, x, sigmas, o)
}

// IPNDMV is diff-sampler's ipndm_v, which is meant to be the Adams-Bashforth method for unequal steps but is so in orders 1 and 2
// only: order 3 is right on equal steps alone, order 4 nowhere. It is here to repeat that program's results; the correct method is
// k-diffusion's lms. Options: Order (default 4), Final (default "full").
func IPNDMV(d Denoiser, x, sigmas []float64, o Options) iter.Seq[State] {
	return ipndmV.sampler(false)(d, x, sigmas, o)
}

var (
	ipndm  = method{name: "IPNDM", usual: 4, max: 4, final: FinalFull, slopes: true, weigh: weighAdams}
	ipndmV = method{name: "IPNDMV", usual: 4, max: 4, final: FinalFull, slopes: true, weigh: weighIPNDMV}
)

// adams holds the Adams-Bashforth weights for equal steps, by order.
var adams = [][]float64{
	{1},
	{3. / 2, -1. / 2},
	{23. / 12, -16. / 12, 5. / 12},
	{55. / 24, -59. / 24, 37. / 24, -9. / 24},
}

func weighAdams(l *linear, at []float64, _ Options) {
	l.scale = 1
	for k, w := range adams[len(at)-2] {
		l.weights[k] = (at[0] - at[1]) * w
	}
}

func weighIPNDMV(l *linear, at []float64, _ Options) {
	l.scale = 1
	w := &l.weights
	h := at[0] - at[1]
	w[0] = 1
	if len(at) > 2 {
		h1 := at[1] - at[2]
		w[0], w[1] = 1+h/h1/2, -h/h1/2
		if len(at) > 3 {
			h2 := at[2] - at[3]
			r := h1 / h2
			t := (1 - h/(3*(h+h1))*(h*(h+h1))/(h1*(h1+h2))) / 2
			w[0], w[1], w[2] = w[0]+t, w[1]-(1+r)*t, r*t
			if len(at) > 4 {
				h3 := at[3] - at[4]
				q := h1 * (h1 + h2) / (h2 * (h2 + h3))
				u := (1-h/(3*(h+h1)))/2 + (1-h/(2*(h+h1)))*h/(6*(h+h1+h2))
				u *= h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
				w[0] += u
				w[1] -= (1 + r + q) * u
				w[2] += (r + q*(1+h2/h3)) * u
				w[3] = -q * r * u
			}
		}
	}
	for k := range w {
		w[k] *= h
	}
}
