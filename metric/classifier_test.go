package metric_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/metric"
	"diffuse/tensor"
)

func smallClassifier(t *testing.T) *metric.Classifier {
	t.Helper()
	c, err := metric.NewClassifier(metric.ClassifierCard{
		Title: "test", Height: 7, Width: 6, Channels: 3, Widths: []int{8, 16, 8, 24}, Classes: []string{"a", "b", "c"},
	}, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func noisePictures(n, h, w, c int) []imageio.Image {
	r := rand.New(rand.NewPCG(3, 4))
	list := make([]imageio.Image, n)
	for i := range list {
		list[i] = imageio.New(h, w, c)
		for j := range list[i].Pix {
			list[i].Pix[j] = uint8(r.Uint32())
		}
	}
	return list
}

// TestClassifierFile stores a classifier and reads it again: the same card, features and classes.
func TestClassifierFile(t *testing.T) {
	c := smallClassifier(t)
	c.Accuracy, c.Training = 0.5, "none"
	f, err := c.File(checkpoint.F32)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := checkpoint.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	opened, err := checkpoint.OpenBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	d, err := metric.ReadClassifier(opened)
	if err != nil {
		t.Fatal(err)
	}
	if d.Title != c.Title || d.Accuracy != c.Accuracy || !slices.Equal(d.Classes, c.Classes) {
		t.Errorf("the card came back as %+v", d.ClassifierCard)
	}
	pictures := noisePictures(5, 7, 6, 3)
	x, y := make([]float64, 5*c.Dim()), make([]float64, 5*c.Dim())
	a, err := c.Classify(x, pictures)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := d.Classify(y, pictures); err != nil || !slices.Equal(a, b) || !slices.Equal(x, y) {
		t.Errorf("classes %v and %v, equal features: %v, %v", a, b, slices.Equal(x, y), err)
	}

	// What the card claims is compared with the tensors before it is allocated.
	honest := opened.Meta["card"]
	for was, claim := range map[string]string{`"channels":3`: `"channels":1099511627776`, `"widths":[8,`: `"widths":[4096,`, `"widths":[`: `"widths":[8,`} {
		opened.Meta["card"] = strings.Replace(honest, was, claim, 1)
		if opened.Meta["card"] == honest {
			t.Fatalf("the card has no %s: %s", was, honest)
		}
		if _, err := metric.ReadClassifier(opened); err == nil {
			t.Errorf("a card with %s was believed", claim)
		}
	}
	opened.Meta["card"] = honest

	delete(opened.Tensors, "conv2.bias")
	if _, err := metric.ReadClassifier(opened); err == nil {
		t.Error("a file without conv2.bias was read")
	}
	opened.Meta["format"] = "other"
	if _, err := metric.ReadClassifier(opened); err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("another format: %v", err)
	}
}

// TestClassifierGradient compares the gradient of the logits with a finite difference along a random direction.
func TestClassifierGradient(t *testing.T) {
	c := smallClassifier(t)
	r := rand.New(rand.NewPCG(5, 6))
	x := tensor.New(4, 7, 6, 3)
	for i := range x.Data {
		x.Data[i] = float32(r.NormFloat64())
	}
	var weights []*tensor.Tensor
	for _, w := range c.Params() {
		weights = append(weights, w)
	}
	tape := tensor.NewTape(weights...)
	_, y := c.Forward(tape, x, nil)
	seed := make([]float32, y.Len())
	for i := range seed {
		seed[i] = float32(r.NormFloat64())
	}
	tape.Seed(y, seed)
	tape.Backward()
	var want, norm, dnorm float64
	directions := make([][]float32, len(weights))
	n := 0
	for k, w := range weights {
		n += w.Len()
		directions[k] = make([]float32, w.Len())
		for i, g := range tape.Grad(w) {
			d := r.NormFloat64()
			directions[k][i] = float32(d)
			want += d * float64(g)
			norm += float64(g) * float64(g)
			dnorm += d * d
		}
	}
	at := func(step float64) (s float64) {
		for k, w := range weights {
			for i, d := range directions[k] {
				w.Data[i] += float32(step) * d
			}
		}
		_, y := c.Forward(nil, x, nil)
		for i, v := range y.Data {
			s += float64(v) * float64(seed[i])
		}
		for k, w := range weights {
			for i, d := range directions[k] {
				w.Data[i] -= float32(step) * d
			}
		}
		return s
	}
	const h = 4e-3
	got := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
	if err := math.Abs(got-want) / math.Sqrt(norm*dnorm/float64(n)); !(err < 1e-2) { // a network's tolerance
		t.Errorf("directional derivative %g, finite difference %g: error %.2e of the gradient", want, got, err)
	}
}

// TestFeaturesOfOnePicture holds both small extractors to rows that do not depend on the batch, and to their errors.
func TestFeaturesOfOnePicture(t *testing.T) {
	random, err := metric.NewRandom(3)
	if err != nil {
		t.Fatal(err)
	}
	pictures := noisePictures(9, 7, 6, 3)
	for name, e := range map[string]interface {
		Dim() int
		Features([]float64, []imageio.Image) error
	}{"classifier": smallClassifier(t), "random": random} {
		d := e.Dim()
		all, one := make([]float64, 9*d), make([]float64, d)
		if err := e.Features(all, pictures); err != nil {
			t.Fatal(err)
		}
		for i := range pictures {
			if err := e.Features(one, pictures[i:i+1]); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(one, all[i*d:(i+1)*d]) {
				t.Errorf("%s: the features of picture %d depend on its batch", name, i)
			}
		}
		if slices.Equal(all[:d], all[d:2*d]) {
			t.Errorf("%s: two pictures have the same features", name)
		}
		if err := e.Features(one, noisePictures(1, 7, 6, 1)); err == nil {
			t.Errorf("%s: a grey picture was taken for a colour one", name)
		}
		two := []imageio.Image{pictures[0], {H: 7, W: 6, C: 3, Pix: make([]uint8, 7*6*3-1)}}
		if err := e.Features(make([]float64, 2*d), two); err == nil || !strings.Contains(err.Error(), "picture 1") {
			t.Errorf("%s: a picture that lacks a byte: %v", name, err)
		}
	}
	if _, err := metric.NewRandom(4); err == nil {
		t.Error("random features of four channels")
	}
}

// TestRandomKeepsNothing: pictures that have gone through leave no memory behind.
func TestRandomKeepsNothing(t *testing.T) {
	r, err := metric.NewRandom(3)
	if err != nil {
		t.Fatal(err)
	}
	pictures := noisePictures(16, 32, 32, 3) // whose floats are as many as a buffer of the free list has
	dst := make([]float64, 16*r.Dim())
	held := func(passes int) int64 {
		for range passes {
			if err := r.Features(dst, pictures); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	if before, after := held(5), held(40); after-before > 2<<20 {
		t.Errorf("40 passes over 200 kB of pictures kept %d kB", (after-before)>>10)
	}
}

// TestRandomWeights pins the formula: the first pixel of a black picture of one channel, by hand.
func TestRandomWeights(t *testing.T) {
	r, err := metric.NewRandom(1)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float64, r.Dim())
	if err := r.Features(dst, []imageio.Image{imageio.New(1, 1, 1)}); err != nil {
		t.Fatal(err)
	}
	// One pixel of value -1 sees the centre tap only: weight 4·32 of layer 0 for the first channel.
	var state, z uint64
	for range 4*32 + 1 {
		state += 0x9e3779b97f4a7c15
	}
	z = (state ^ state>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	y := -math.Sqrt(6.0/9) * (float64(z>>11)/(1<<52) - 1)
	if want := y / (1 + math.Exp(-y)); !(math.Abs(dst[0]-want) < 1e-6) { // float32
		t.Errorf("feature 0 is %g, want %g", dst[0], want)
	}
}
