package dataset

import (
	"crypto/sha256"
	"math"
)

// Statistics are what [Measure] finds in a set.
type Statistics struct {
	Mean, Std  []float64 // per channel, on the scale -1 to 1
	SigmaData  float64   // standard deviation of all values on that scale: EDM's sigma_data (arXiv 2206.00364, table 1)
	Classes    []int     // pictures of each class; nil if unlabelled
	Duplicates [][]int   // groups of pictures with the same bytes, each in order
}

// Measure reads every picture of d once, on all processors. progress is told how many are done, from the calling goroutine; it may be nil.
// Sums are of whole numbers, so that the result does not depend on the order of work.
func Measure(d Dataset, progress func(done, total int)) (*Statistics, error) {
	if progress == nil {
		progress = func(int, int) {}
	}
	h, w, c := d.Size()
	labels, hashes := make([]int, d.Len()), make([][sha256.Size]byte, d.Len())
	sums := make([][2]int64, d.Len()*c) // of the values and of their squares, per picture and channel
	err := parallel(d.Len(), progress, func(i int) (err error) {
		pix := make([]uint8, h*w*c)
		if labels[i], err = d.Get(i, pix); err != nil {
			return err
		}
		hashes[i] = sha256.Sum256(pix)
		of := sums[i*c : (i+1)*c]
		for j, v := range pix {
			of[j%c][0] += int64(v)
			of[j%c][1] += int64(v) * int64(v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := &Statistics{Duplicates: duplicates(hashes)}
	if d.Labels() > 0 {
		s.Classes = make([]int, d.Labels())
		for _, label := range labels {
			s.Classes[label]++
		}
	}
	n, all := float64(d.Len()*h*w), [2]float64{}
	for channel := range c {
		var of [2]int64
		for i := channel; i < len(sums); i += c {
			of[0] += sums[i][0]
			of[1] += sums[i][1]
		}
		sum, squares := float64(of[0]), float64(of[1])
		all[0], all[1] = all[0]+sum, all[1]+squares
		s.Mean = append(s.Mean, sum/n/127.5-1)
		s.Std = append(s.Std, deviation(sum, squares, n))
	}
	s.SigmaData = deviation(all[0], all[1], n*float64(c))
	return s, nil
}

// deviation is the standard deviation of n bytes of the given sums, on the scale -1 to 1.
func deviation(sum, squares, n float64) float64 {
	mean := sum / n
	return math.Sqrt(max(squares/n-mean*mean, 0)) / 127.5
}

// duplicates groups the numbers of equal hashes, in the order of their first.
func duplicates(hashes [][sha256.Size]byte) [][]int {
	group := map[[sha256.Size]byte]int{} // to the first number, or to -1-k for group k
	var groups [][]int
	for i, hash := range hashes {
		switch k, seen := group[hash]; {
		case !seen:
			group[hash] = i
		case k >= 0:
			group[hash] = -1 - len(groups)
			groups = append(groups, []int{k, i})
		default:
			groups[-1-k] = append(groups[-1-k], i)
		}
	}
	return groups
}
