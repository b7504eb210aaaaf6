package train_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"diffuse/internal/golden"
	"diffuse/tensor"
	"diffuse/train"
)

// pipe reads recorded draws in the order in which EDM's pipe asks for them.
type pipe struct {
	g      *golden.Case
	prefix string
	next   int
}

func (p *pipe) draw(kind string) []float64 {
	name := fmt.Sprintf("%sdraw%02d.%s", p.prefix, p.next, kind)
	p.next++
	v, _ := p.g.Float64(name)
	return v
}

// augmentations applies the gates to recorded draws: rand < p·multiplier lets a value through.
func (p *pipe) augmentations(n int, probability float64, which map[string]bool) []train.Augmentation {
	all := make([]train.Augmentation, n)
	angle := func(u float64) float64 { return (2*u - 1) * math.Pi }
	each := func(name string, multiplier float64, kind string, set func(i int, v []float64)) {
		if !which[name] {
			return
		}
		v := p.draw(kind)
		gate := p.draw("rand")
		for i := range all {
			if gate[i] < probability*multiplier {
				set(i, v)
			}
		}
	}
	each("xflip", 1e8, "randint", func(i int, v []float64) { all[i].FlipX = v[i] == 1 })
	each("yflip", 1, "randint", func(i int, v []float64) { all[i].FlipY = v[i] == 1 })
	each("scale", 1, "randn", func(i int, v []float64) { all[i].Scale = v[i] })
	each("rotate_frac", 1, "rand", func(i int, v []float64) { all[i].Rotate = angle(v[i]) })
	if which["aniso"] {
		v, axis, gate, turn := p.draw("randn"), p.draw("rand"), p.draw("rand"), p.draw("rand")
		for i := range all {
			if gate[i] < probability {
				all[i].Stretch = v[i]
			}
			if turn[i] < 0.5 {
				all[i].StretchAxis = angle(axis[i])
			}
		}
	}
	each("translate_frac", 1, "randn", func(i int, v []float64) { all[i].ShiftX, all[i].ShiftY = v[i], v[n+i] })
	return all
}

// labelColumns are the label numbers of each transform, in EDM's order.
var labelColumns = []struct {
	name    string
	columns []int
}{{"xflip", []int{0}}, {"yflip", []int{1}}, {"scale", []int{2}}, {"rotate_frac", []int{3, 4}}, {"aniso", []int{5, 6}}, {"translate_frac", []int{7, 8}}}

// TestGoldenAugment compares pictures and labels with EDM's pipe on recorded draws. The peer computes coordinates in float32, which moves a
// bilinear sample by some 1e-5 of a difference of neighbours; the tolerance is a fifth of the case's.
func TestGoldenAugment(t *testing.T) {
	g := golden.Open(t, "edm/augment")
	var file struct {
		Cases []struct {
			Name   string
			Kwargs map[string]float64
			P      float64
			Images string
		}
	}
	g.JSON("case.json", &file)
	if len(file.Cases) != 9 {
		t.Fatalf("%d cases, want 9", len(file.Cases))
	}
	for _, c := range file.Cases {
		which := map[string]bool{}
		for name := range c.Kwargs {
			which[name] = true
		}
		x := image(g, c.Images)
		p := &pipe{g: g, prefix: c.Name + "."}
		checkAugmentations(t, c.Name, p.augmentations(x.Shape[0], c.P, which), which, x, image(g, c.Name+".out"), g, c.Name+".labels")
	}

	// The pipe within EDM's loss: the noise level is drawn before it.
	g = golden.Open(t, "edm/train_edm_augment")
	which := map[string]bool{}
	for _, l := range labelColumns {
		which[l.name] = true
	}
	p := &pipe{g: g, next: 1}
	checkAugmentations(t, "train_edm_augment", p.augmentations(4, 0.6, which), which, image(g, "images"), image(g, "augmented_images"), g, "augment_labels")
}

func checkAugmentations(t *testing.T, name string, all []train.Augmentation, which map[string]bool, x, want *tensor.Tensor, g *golden.Case, labels string) {
	t.Helper()
	per := len(x.Data) / len(all)
	var got []float64
	for i, a := range all {
		a.Apply(x.Data[i*per:(i+1)*per], x.Shape[1], x.Shape[2], x.Shape[3])
		var nine [train.AugmentLabels]float32
		a.Labels(nine[:])
		for _, l := range labelColumns {
			if which[l.name] {
				for _, k := range l.columns {
					got = append(got, float64(nine[k]))
				}
			}
		}
	}
	golden.Close(t, name, x.Data, want.Data, 4e-5)
	wantLabels, _ := g.Float64(labels)
	golden.Close(t, name+", labels", got, wantLabels, 1e-6) // float32 sines
}

// TestDrawAugmentation counts how often each transform is drawn and checks the spread of its values.
func TestDrawAugmentation(t *testing.T) {
	const n, p = 20000, 0.12
	r := rand.New(rand.NewPCG(5, 6))
	var flipX, flipY, scale, rotate, stretch, turned, shift int
	var squares [3]float64
	for range n {
		a := train.DrawAugmentation(r, p)
		count := func(c *int, is bool) {
			if is {
				*c++
			}
		}
		count(&flipX, a.FlipX)
		count(&flipY, a.FlipY)
		count(&scale, a.Scale != 0)
		count(&rotate, a.Rotate != 0)
		count(&stretch, a.Stretch != 0)
		count(&turned, a.StretchAxis != 0)
		count(&shift, a.ShiftX != 0 && a.ShiftY != 0)
		squares[0] += a.Scale * a.Scale
		squares[1] += a.Rotate * a.Rotate
		squares[2] += a.ShiftY * a.ShiftY
	}
	// Standard errors of shares are at most .0035, of variances (over 2400 draws) 3 percent.
	for name, v := range map[string][2]float64{
		"FlipX": {float64(flipX) / n, .5}, "FlipY": {float64(flipY) / n, p / 2}, "Scale": {float64(scale) / n, p}, "Rotate": {float64(rotate) / n, p},
		"Stretch": {float64(stretch) / n, p}, "StretchAxis": {float64(turned) / n, p / 2}, "Shift": {float64(shift) / n, p},
	} {
		if !(math.Abs(v[0]-v[1]) < .014) {
			t.Errorf("%s in %.4f of all pictures, want %.4f", name, v[0], v[1])
		}
	}
	for i, want := range []float64{1, math.Pi * math.Pi / 3, 1} {
		if got := squares[i] / (n * p); !(math.Abs(got-want) < .15*want) {
			t.Errorf("mean square %d is %g, want %g", i, got, want)
		}
	}
	if a := train.DrawAugmentation(r, 0); a != (train.Augmentation{FlipX: a.FlipX}) {
		t.Errorf("probability 0 gave %+v", a)
	}
}

// TestAugmentedLoader: labels come with the pictures, belong to the image's number, and leave every other draw as it was.
func TestAugmentedLoader(t *testing.T) {
	o := options()
	load := func(augment float64, first int64, n int) *train.Batch {
		o.Augment = augment
		l, err := train.NewLoader(toy{}, o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Load(first, n)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	plain, all, one := load(0, 0, 40), load(0.5, 0, 40), load(0.5, 17, 1)
	golden.Close(t, "image 17 alone", one.Noisy.Data, all.Noisy.Data[17*64:18*64], 0)
	golden.Close(t, "labels of image 17 alone", one.Augment.Data, all.Augment.Data[17*train.AugmentLabels:18*train.AugmentLabels], 0)
	golden.Close(t, "noise levels", all.Sigma, plain.Sigma, 0)
	if plain.Augment != nil {
		t.Error("a batch without augmentation has labels")
	}
	changed := 0
	for i := range 40 {
		same := true
		for j := range 64 {
			same = same && plain.Clean.Data[i*64+j] == all.Clean.Data[i*64+j]
		}
		zero := golden.MaxAbs(all.Augment.Data[i*train.AugmentLabels:(i+1)*train.AugmentLabels]) == 0
		if !same {
			changed++
		}
		if zero && !same {
			t.Errorf("image %d was changed and has zero labels", i)
		}
		noise := func(b *train.Batch) float64 { return float64(b.Noisy.Data[i*64] - b.Clean.Data[i*64]) }
		if d := math.Abs(noise(plain) - noise(all)); !(d <= 1e-5*(1+plain.Sigma[i])) {
			t.Errorf("the noise of image %d differs by %g", i, d)
		}
	}
	if changed < 20 {
		t.Errorf("%d of 40 images changed, want most of them", changed)
	}
}

// BenchmarkAugment times the full transform of one RGB picture.
func BenchmarkAugment(b *testing.B) {
	for _, size := range []int{32, 64} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			a := train.Augmentation{Scale: 0.5, Rotate: 1, Stretch: -1, StretchAxis: 0.3, ShiftX: 0.5, ShiftY: -0.5}
			x := make([]float32, size*size*3)
			for range b.N {
				a.Apply(x, size, size, 3)
			}
		})
	}
}
