package tensor

import (
	"fmt"

	"diffuse/internal/kernel"
)

// Concat joins x, N×H×W×C, and rho·skip, N×H×W×S, along the channels, x
// first. rho is the weight of Skip-Tuning for each of the N images (Ma et
// al. 2024, Def. 3.1); nil is the plain network.
func Concat(t *Tape, x, skip *Tensor, rho []float32) *Tensor {
	n, h, w, c := x.image("Concat")
	sn, sh, sw, s := skip.image("Concat")
	if sn != n || sh != h || sw != w || rho != nil && len(rho) != n {
		panic(fmt.Sprintf("tensor.Concat: x %v, skip %v, %d weights", x.Shape, skip.Shape, len(rho)))
	}
	weight := func(i int) float32 {
		if rho == nil {
			return 1
		}
		return rho[i]
	}
	p, d := h*w, c+s
	y := scratch(n, h, w, d)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			yi, si := y.Data[i*p*d:][:p*d], skip.Data[i*p*s:][:p*s]
			kernel.CopyStrided(yi, d, x.Data[i*p*c:], c, p, c)
			r := weight(i)
			if r == 1 {
				kernel.CopyStrided(yi[c:], d, si, s, p, s)
				continue
			}
			for j := range p {
				kernel.ScaleTo(yi[j*d+c:][:s], r, si[j*s:][:s])
			}
		}
	})
	t.Record(y, func(dy []float32) {
		dx, ds := t.Grad(x), t.Grad(skip)
		kernel.For(n, 1, func(i0, i1 int) {
			for i := i0; i < i1; i++ {
				if dx != nil {
					kernel.AddStrided(dx[i*p*c:], c, dy[i*p*d:], d, p, c, 1)
				}
				if ds != nil {
					kernel.AddStrided(ds[i*p*s:], s, dy[i*p*d+c:], d, p, s, weight(i))
				}
			}
		})
	}, x, skip)
	return y
}
