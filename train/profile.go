package train

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"diffuse/internal/kernel"
)

// A Profile is a power-function average of the weights of a run up to `Images` images: the weights of moment tau (in images) have a share
// proportional to tau^Gamma (Karras et al. 2023, "Analyzing and Improving the Training Dynamics of Diffusion Models" (EDM2), arXiv
// 2312.02696, eq. 121). Its width grows with the run, so that one number suits runs of any length, and the random start fades by itself.
type Profile struct {
	Images int64
	Gamma  float64
}

// widestEMA bounds a profile's relative standard deviation: that of gamma 0, a plain mean over the run, is 1/sqrt(12).
const widestEMA = 0.288

// EMAStd returns the relative standard deviation sigma_rel of a profile: the standard deviation of its shares as a part of the run's length so far,
// sqrt(gamma+1)/((gamma+2)·sqrt(gamma+3)) (EDM2 eq. 123).
func EMAStd(gamma float64) float64 {
	return math.Sqrt((gamma+1)/(gamma+3)) / (gamma + 2)
}

// EMAGamma returns the exponent of the profile whose relative standard deviation is std, which lies between 0 and 0.288: EMAStd's inverse
// (EDM2 eq. 126). It is 16.97 for 0.05 and 6.94 for 0.1.
func EMAGamma(std float64) float64 {
	lo, hi := 0.0, 1/std // EMAStd falls with gamma, and is less than 1/gamma
	for range 100 {
		if mid := (lo + hi) / 2; EMAStd(mid) > std {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// PowerBeta returns the share of the old average that a step of `batch` images keeps which starts after `images` images, for the average to
// follow a profile: (1 − batch/t)^(gamma+1), t being the images after the step (EDM2 eq. 127). The first step makes a copy.
func PowerBeta(gamma float64, batch int, images int64) float64 {
	return math.Pow(float64(images)/float64(images+int64(batch)), gamma+1)
}

// dot is the scalar product of two profiles as functions of tau: the integral of their product over the time that both know (EDM2 eq. 151).
func (p Profile) dot(q Profile) float64 {
	a, b := float64(p.Images), float64(q.Images)
	t := min(a, b)
	return (p.Gamma + 1) * (q.Gamma + 1) / (p.Gamma + q.Gamma + 1) / t * math.Pow(t/a, p.Gamma+1) * math.Pow(t/b, q.Gamma+1)
}

// FitProfile returns the factors by which averages that follow the given profiles add up to one that follows `want`, as well as possible in the
// sense of least squares over all moments (EDM2, algorithm 3; like there, the factors are then made to add up to 1), and what is left: the norm of the difference as a part of want's.
func FitProfile(given []Profile, want Profile) (factors []float64, residual float64, err error) {
	n := len(given)
	if n == 0 {
		return nil, 0, fmt.Errorf("no average to reconstruct others from")
	}
	norm := make([]float64, n)
	for i, p := range given {
		norm[i] = math.Sqrt(p.dot(p))
	}
	gram, right := mat.NewDense(n, n, nil), mat.NewVecDense(n, nil)
	for i, p := range given {
		right.SetVec(i, p.dot(want)/norm[i])
		for j, q := range given {
			gram.Set(i, j, p.dot(q)/norm[i]/norm[j])
		}
	}
	var svd mat.SVD
	if !svd.Factorize(gram, mat.SVDThin) {
		return nil, 0, fmt.Errorf("the least squares over %d averages did not converge", n)
	}
	// Neighbouring snapshots are nearly alike: what the numbers cannot tell apart is left out, which also keeps the factors, and with them the
	// rounding of the stored averages, small.
	var x mat.VecDense
	svd.SolveVecTo(&x, right, svd.Rank(1e-12))
	var sum float64
	for i := range n {
		factors = append(factors, x.AtVec(i)/norm[i])
		sum += factors[i]
	}
	for i := range factors {
		factors[i] /= sum
	}
	x.ScaleVec(1/sum, &x)
	var gx mat.VecDense
	gx.MulVec(gram, &x)
	rest := want.dot(want) - 2*mat.Dot(&x, right) + mat.Dot(&x, &gx)
	return factors, math.Sqrt(max(rest, 0) / want.dot(want)), nil
}

// A powerEMA is a power-function average that is kept during training, beside the one that is sampled from.
type powerEMA struct {
	gamma  float64
	values [][]float32 // per parameter
}

// newPowers makes the averages that the options ask for, as copies of the weights.
func (o Options) newPowers(weights [][]float32) []powerEMA {
	if o.EMAStds == [2]float64{} {
		return nil
	}
	powers := make([]powerEMA, len(o.EMAStds))
	for k, std := range o.EMAStds {
		powers[k].gamma = EMAGamma(std)
		for _, w := range weights {
			powers[k].values = append(powers[k].values, append([]float32(nil), w...))
		}
	}
	return powers
}

// averagePowers lets the power-function averages follow the step that has just been made from `images` images.
func (t *Trainer) averagePowers(images int64) {
	for _, p := range t.powers {
		beta := float32(PowerBeta(p.gamma, t.Options.Batch, images))
		kernel.For(len(t.Adam.chunks), 1, func(c0, c1 int) {
			for _, k := range t.Adam.chunks[c0:c1] {
				kernel.Lerp(p.values[k.i][k.from:k.to], t.Adam.Weights[k.i].Data[k.from:k.to], beta)
			}
		})
	}
}
