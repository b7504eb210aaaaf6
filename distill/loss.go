package distill

import (
	"fmt"
	"math"

	"diffuse/internal/kernel"
)

// weightFloor is the least weight w of a picture in the generator's loss (SiD, sid_loss.py).
const weightFloor = 1e-5

// GeneratorSeed computes SiD's generator loss of len(loss) pictures and its gradients in closed form. generated, teacher and fake are y and
// the two networks' estimates a and b of it from y + sigma·n, equally long, any layout with one picture after the other. With w = max(mean |y − a|, 1e-5)
// for each picture, loss[i] becomes Σ (a − b)·((a − y) − alpha·(a − b)) / w over picture i, and the seeds scale times the
// gradients of Σ loss with w held constant:
//
//	dTeacher   = ((a − y) − alpha·(a − b) + (1 − alpha)·(a − b)) / w
//	dFake      = (2·alpha·(a − b) − (a − y)) / w
//	dGenerated = −(a − b) / w        y's own part, beside what comes back through the networks' input
//
// A picture with a value that is not finite in y, a or b is left out: its loss and seeds are 0 and dropped counts it. The divisor inside scale
// stays the caller's whole batch, as in SiD's code. A mismatch of lengths panics. Seeds may be the inputs themselves, each its own.
func GeneratorSeed(dTeacher, dFake, dGenerated []float32, loss []float64, generated, teacher, fake []float32, alpha, scale float64) (dropped int) {
	n := len(loss)
	size := len(generated)
	if n == 0 || size%n != 0 || len(teacher) != size || len(fake) != size || len(dTeacher) != size || len(dFake) != size || len(dGenerated) != size {
		panic(fmt.Sprintf("distill.GeneratorSeed: %d, %d and %d seeds for %d, %d and %d values of %d pictures",
			len(dTeacher), len(dFake), len(dGenerated), len(teacher), len(fake), size, n))
	}
	per := size / n
	for i := range n {
		y, a, b := generated[i*per:(i+1)*per], teacher[i*per:(i+1)*per], fake[i*per:(i+1)*per]
		da, db, dy := dTeacher[i*per:(i+1)*per], dFake[i*per:(i+1)*per], dGenerated[i*per:(i+1)*per]
		if !finite(y) || !finite(a) || !finite(b) {
			clear(da)
			clear(db)
			clear(dy)
			loss[i] = 0
			dropped++
			continue
		}
		w := pictureWeight(y, a)
		s := scale / w
		var sum float64
		for j := range y {
			ab, ay := float64(a[j])-float64(b[j]), float64(a[j])-float64(y[j])
			sum += ab * (ay - alpha*ab)
			da[j] = float32(s * (ay + (1-2*alpha)*ab))
			db[j] = float32(s * (2*alpha*ab - ay))
			dy[j] = float32(-s * ab)
		}
		loss[i] = sum / w
	}
	return dropped
}

// pictureWeight is w of one picture.
func pictureWeight(y, a []float32) float64 {
	var distance float64
	for j, v := range y {
		distance += math.Abs(float64(v) - float64(a[j]))
	}
	return max(distance/float64(len(y)), weightFloor)
}

// finite reports whether all values are: a sum of their zero multiples is 0 only then.
func finite(x []float32) bool {
	var s float32
	for _, v := range x {
		s += 0 * v
	}
	return s == 0
}

// clean replaces what is not finite in a gradient, as SiD's loop does: NaN by 0, an infinite value by ±1e5. It returns how many there were.
func clean(grad [][]float32) (bad int) {
	counts := make([]int, len(grad))
	kernel.For(len(grad), 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			for j, v := range grad[i] {
				switch {
				case v != v:
					grad[i][j] = 0
				case v > math.MaxFloat32:
					grad[i][j] = 1e5
				case v < -math.MaxFloat32:
					grad[i][j] = -1e5
				default:
					continue
				}
				counts[i]++
			}
		}
	})
	for _, c := range counts {
		bad += c
	}
	return bad
}
