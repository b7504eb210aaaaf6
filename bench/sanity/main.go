// Command sanity writes sets of pictures whose distance from a data set is known to be small, or known to be wrong in one way:
// real ones, noisy, blurred, repeated, unbalanced or mislabelled ones. What metrics say of them shows whether they move as they
// should; bench/sanity.sh measures them all, and docs/metrics.md has the table.
//
//	go run ./bench/sanity DATA OUT
//
// DATA is what dataset.Open reads and has a train and a test part; OUT is a folder that gets one npz file a set, count pictures in each.
package main

import (
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/sampler"
)

// count is the size of every set; distances are comparable at equal counts only.
const count = 10_000

// A set is a list of pictures with the classes that they are said to show.
type set struct {
	pictures []imageio.Image
	labels   []int
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run ./bench/sanity DATA OUT")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(data, out string) error {
	learn, err := load(data, "train")
	if err != nil {
		return err
	}
	test, err := load(data, "test")
	if err != nil {
		return err
	}
	if len(test.pictures) < count || len(learn.pictures) < count {
		return fmt.Errorf("%s has %d and %d pictures to learn from and to test, want %d each", data, len(learn.pictures), len(test.pictures), count)
	}
	test = test.pick(sequence(count))
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	order := dataset.Permutation(1, 0, len(learn.pictures))
	sets := []struct {
		name string
		set
	}{
		{"train", learn.pick(order[:count])},
		{"test", test},
		{"noise-5", test.altered(noisy(5))},
		{"noise-10", test.altered(noisy(10))},
		{"noise-20", test.altered(noisy(20))},
		{"blur-0.5", test.altered(blurred(0.5))},
		{"blur-1", test.altered(blurred(1))},
		{"repeated-1000", learn.pick(repeat(order[:1000], count))},
		{"half-of-classes-9-to-1", learn.pick(unbalanced(learn.labels, order, 0.9))},
		{"half-of-classes", learn.pick(unbalanced(learn.labels, order, 1))},
		{"labels-shuffled", test.shuffled()},
	}
	for _, s := range sets {
		if err := s.write(filepath.Join(out, s.name+".npz")); err != nil {
			return err
		}
	}
	return nil
}

func load(path, split string) (s set, err error) {
	d, err := dataset.Open(path, dataset.Options{Split: split})
	if err != nil {
		return s, err
	}
	h, w, c := d.Size()
	s.pictures, s.labels = make([]imageio.Image, d.Len()), make([]int, d.Len())
	for i := range s.pictures {
		s.pictures[i] = imageio.New(h, w, c)
		if s.labels[i], err = d.Get(i, s.pictures[i].Pix); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s set) pick(which []int) (p set) {
	for _, i := range which {
		p.pictures, p.labels = append(p.pictures, s.pictures[i]), append(p.labels, s.labels[i])
	}
	return p
}

// altered applies f to copies of all pictures; picture i has the random stream i.
func (s set) altered(f func(m imageio.Image, r *rand.Rand) imageio.Image) set {
	a := set{make([]imageio.Image, len(s.pictures)), s.labels}
	for i, m := range s.pictures {
		a.pictures[i] = f(m, sampler.Stream(uint64(i), "sanity"))
	}
	return a
}

// shuffled gives every picture the label of another.
func (s set) shuffled() set {
	a := set{s.pictures, make([]int, len(s.labels))}
	for i, k := range dataset.Permutation(2, 0, len(s.labels)) {
		a.labels[i] = s.labels[k]
	}
	return a
}

func (s set) write(path string) error {
	m := s.pictures[0]
	pixels, labels := make([]uint8, 0, len(s.pictures)*len(m.Pix)), make([]int64, len(s.labels))
	for i, p := range s.pictures {
		pixels = append(pixels, p.Pix...)
		labels[i] = int64(s.labels[i])
	}
	return checkpoint.WriteNPZ(path,
		checkpoint.Array{Name: "arr_0", Tensor: checkpoint.Uint8([]int{len(s.pictures), m.H, m.W, m.C}, pixels)},
		checkpoint.Array{Name: "arr_1", Tensor: checkpoint.Int64([]int{len(labels)}, labels)})
}

// noisy adds Gaussian noise of a standard deviation in grey levels, and rounds and clips as an 8-bit file must.
func noisy(std float64) func(imageio.Image, *rand.Rand) imageio.Image {
	return func(m imageio.Image, r *rand.Rand) imageio.Image {
		y := imageio.New(m.H, m.W, m.C)
		for i, v := range m.Pix {
			y.Pix[i] = level(float64(v) + std*r.NormFloat64())
		}
		return y
	}
}

// blurred convolves with a Gaussian of a standard deviation in pixels, the border repeated.
func blurred(std float64) func(imageio.Image, *rand.Rand) imageio.Image {
	radius := int(math.Ceil(4 * std))
	kernel, sum := make([]float64, 2*radius+1), 0.0
	for i := range kernel {
		kernel[i] = math.Exp(-float64((i-radius)*(i-radius)) / (2 * std * std))
		sum += kernel[i]
	}
	return func(m imageio.Image, _ *rand.Rand) imageio.Image {
		y := imageio.New(m.H, m.W, m.C)
		for row := range m.H {
			for col := range m.W {
				for ch := range m.C {
					v := 0.0
					for i, a := range kernel {
						for j, b := range kernel {
							r, c := min(max(row+i-radius, 0), m.H-1), min(max(col+j-radius, 0), m.W-1)
							v += a * b * float64(m.Pix[(r*m.W+c)*m.C+ch])
						}
					}
					y.Pix[(row*m.W+col)*m.C+ch] = level(v / (sum * sum))
				}
			}
		}
		return y
	}
}

func level(v float64) uint8 { return uint8(min(max(math.Round(v), 0), 255)) }

func sequence(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// repeat goes round a list until it has n elements.
func repeat(list []int, n int) []int {
	r := make([]int, n)
	for i := range r {
		r[i] = list[i%len(list)]
	}
	return r
}

// unbalanced picks pictures in the given order so that a share of them is from the first half of the classes.
func unbalanced(labels, order []int, share float64) []int {
	classes := 0
	for _, k := range labels {
		classes = max(classes, k+1)
	}
	room := [2]int{int(share * count), count - int(share*count)}
	var picked []int
	for _, i := range order {
		side := 0
		if labels[i] >= classes/2 {
			side = 1
		}
		if room[side] > 0 {
			room[side]--
			picked = append(picked, i)
		}
	}
	return picked
}
