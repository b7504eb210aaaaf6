package schedule

import (
	"math"
	"sort"
)

// DefaultIDDPM is the preconditioning of improved DDPM and ADM networks with the released constants: C_1 0.001,
// C_2 0.008, M 1000.
func DefaultIDDPM() Precond { return IDDPM(0.001, 0.008, 1000) }

// IDDPM wraps networks trained on M discrete levels of the improved-DDPM cosine schedule (EDM table 1, column
// iDDPM): skip = 1, out = -s, in = 1/sqrt(s²+1), noise = M-1-j where u_j is the level of [IDDPMLevels] nearest
// to s. Only the label uses the rounded level; out and in use s itself. j can be M (u_M = 0), hence label -1
// for tiny s. Such networks return twice the image's channels, the second half (a variance) is dropped.
func IDDPM(c1, c2 float64, M int) Precond {
	u := IDDPMLevels(c1, c2, M)
	return Precond{
		Name:     "iddpm",
		SigmaMin: u[M-1],
		SigmaMax: u[0],
		Round:    func(s float64) float64 { return u[nearest(u, s)] },
		Scaling: func(s float64) (float64, float64, float64, float64) {
			return 1, -s, 1 / math.Sqrt(s*s+1), float64(M - 1 - nearest(u, s))
		},
	}
}

// IDDPMLevels returns the M+1 levels u_0 > ... > u_M = 0 of improved DDPM, from u_M downwards in index:
// u_{j-1} = sqrt((u_j²+1)/max(a(j-1)/a(j), c1) - 1) with a(j) = sin²(pi/2 · j/(M(c2+1))) (EDM table 1,
// column iDDPM). They are computed in float32 as the reference's buffer is, which puts the small end 5e-4 off the exact
// values; they agree with that buffer to 1e-6, the rest being the last bit of its sine. M must be at least 1.
func IDDPMLevels(c1, c2 float64, M int) []float64 {
	bar := func(j int) float32 {
		x := float32(float32(0.5*math.Pi*float64(j)) / float32(M))
		x = sin32(float32(x / float32(c2+1)))
		return float32(x * x)
	}
	u := make([]float64, M+1)
	for j := M; j > 0; j-- {
		r := max(float32(bar(j-1)/bar(j)), float32(c1))
		f := float32(u[j])
		q := float32(float32(float32(f*f)+1) / r)
		u[j-1] = float64(sqrt32(float32(q - 1)))
	}
	return u
}

// nearest returns the index of the element of the decreasing list u closest to s, the lower index in a tie.
func nearest(u []float64, s float64) int {
	i := sort.Search(len(u), func(i int) bool { return u[i] <= s })
	if i == len(u) {
		return len(u) - 1
	}
	if i > 0 && u[i-1]-s <= s-u[i] {
		return i - 1
	}
	return i
}
