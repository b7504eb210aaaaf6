package distill_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"diffuse/distill"
	"diffuse/tensor"
	"diffuse/train"
)

// crossEntropy is the definition of distill.CrossEntropy's loss.
func crossEntropy(features []float32, channels int, kept []bool, real bool, limit float64) float64 {
	var sum float64
	n, per := 0, len(features)/channels/len(kept)
	for p := range len(features) / channels {
		if !kept[p/per] {
			continue
		}
		var l float64
		for _, v := range features[p*channels : (p+1)*channels] {
			l += float64(v) / float64(channels)
		}
		l = min(max(l, -limit), limit)
		probability := 1 / (1 + math.Exp(-l))
		if !real {
			probability = 1 - probability
		}
		sum -= math.Log(probability)
		n++
	}
	return sum / float64(n)
}

// TestCrossEntropy compares loss and gradient with the definition and its differences, for pictures left out and logits beyond the limit.
func TestCrossEntropy(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const channels, positions = 3, 4
	kept := []bool{true, false, true}
	x := make([]float32, len(kept)*positions*channels)
	for i := range x {
		x[i] = float32(3 * r.NormFloat64())
	}
	x[0], x[channels] = 60, -90 // logits of about 20 and -30
	for _, real := range []bool{true, false} {
		for _, limit := range []float64{10, math.Inf(1)} {
			seed := make([]float32, len(x))
			near(t, "loss", distill.CrossEntropy(seed, x, channels, kept, real, limit, 2), crossEntropy(x, channels, kept, real, limit), 1e-9)
			for i := range x {
				const h = 1.0 / 64
				v := x[i]
				x[i] = v + h
				up := crossEntropy(x, channels, kept, real, limit)
				x[i] = v - h
				down := crossEntropy(x, channels, kept, real, limit)
				x[i] = v
				if want := 2 * (up - down) / (2 * h); !(math.Abs(float64(seed[i])-want) <= 1e-5) {
					t.Errorf("real %v, limit %g: gradient %d is %g, want %g", real, limit, i, seed[i], want)
				}
			}
		}
	}
}

// realPictures are a data set of eight noisy pictures in four classes.
type realPictures struct{}

func (realPictures) Len() int             { return 8 }
func (realPictures) Size() (h, w, c int)  { return 8, 8, 1 }
func (realPictures) Labels() int          { return 4 }
func (realPictures) ClassNames() []string { return nil }
func (realPictures) Get(i int, dst []uint8) (int, error) {
	for j := range dst {
		dst[j] = uint8(37*i + 11*j)
	}
	return i % 4, nil
}

// adversarial returns a trainer with a critic and a draw of one batch.
func adversarial(t *testing.T) (*distill.Trainer, *distill.Draws) {
	t.Helper()
	o := options()
	o.Batch, o.Microbatch = 4, 4
	o.Adversarial, o.AdversarialHold, o.AdversarialStart, o.FakeClip, o.LossScale, o.AdversarialScale, o.CriticScale = true, 0, 0, 0, 1, 0.7, 0.3
	n := distilling(t, options()).Nets
	n.Data = realPictures{}
	r := rand.New(rand.NewPCG(3, 4))
	for _, net := range []train.Network{n.Fake, n.Generator} { // apart from the teacher, and with no weights that are zero at first
		for _, w := range net.Params() {
			for i := range w.Data {
				w.Data[i] += 0.1 * float32(r.NormFloat64())
			}
		}
	}
	tr, err := distill.NewTrainer(o, n)
	if err != nil {
		t.Fatal(err)
	}
	normal := func() *tensor.Tensor {
		x := tensor.New(4, 8, 8, 1)
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64())
		}
		return x
	}
	return tr, &distill.Draws{Latent: []*tensor.Tensor{normal()}, Noise: normal(), Real: normal(), Sigma: []float64{0.3, 0.6, 1, 2}, Labels: []int{0, 1, 2, 3}}
}

// slope compares the gradient grad of net's weights along a random direction with the difference of loss, which is evaluated with the weights
// moved along it. Both are of one number in float32, so that one percent is what rounding leaves.
func slope(t *testing.T, what string, net train.Network, grad [][]float32, loss func() float64) {
	t.Helper()
	const h = 2e-3
	r := rand.New(rand.NewPCG(9, 9))
	var along float64
	var start, direction [][]float32
	for _, w := range net.Params() {
		d := make([]float32, len(w.Data))
		for i := range d {
			d[i] = float32(r.NormFloat64())
			along += float64(d[i]) * float64(grad[len(start)][i])
		}
		start, direction = append(start, slices.Clone(w.Data)), append(direction, d)
	}
	move := func(by float32) float64 {
		k := 0
		for _, w := range net.Params() {
			for i := range w.Data {
				w.Data[i] = start[k][i] + by*direction[k][i]
			}
			k++
		}
		return loss()
	}
	want := (8*(move(h)-move(-h)) - (move(2*h) - move(-2*h))) / (12 * h)
	move(0)
	near(t, "slope of "+what, along, want, 1e-2)
}

// TestCriticGradient: the gradient of the fake network is that of its loss with the critic's part.
func TestCriticGradient(t *testing.T) {
	tr, d := adversarial(t)
	loss := func() float64 {
		var r distill.StepResult
		if err := tr.FakeUpdate(d, &r); err != nil {
			t.Fatal(err)
		}
		return r.FakeLoss*64 + r.CriticLoss
	}
	loss()
	fake, _ := tr.Gradients()
	grad := clone(fake)
	slope(t, "the fake network's loss", tr.Nets.Fake, grad, loss)

	// The critic's part by its definition, SiDA's code for one processor.
	var r distill.StepResult
	if err := tr.FakeUpdate(d, &r); err != nil {
		t.Fatal(err)
	}
	y := pictures(tr, d)
	fakeNet := tr.Nets.Fake.(network)
	kept := []bool{true, true, true, true}
	entropy := func(clean *tensor.Tensor, real bool) float64 {
		f := fakeNet.Encode(nil, noisy(clean, d), d.Sigma, d.Labels, nil)
		return crossEntropy(f.Data, f.Shape[3], kept, real, math.Inf(1))
	}
	var weight float64
	for _, s := range d.Sigma {
		weight += (s*s + 0.25) / (s * s * 0.25)
	}
	near(t, "the critic's loss", r.CriticLoss, 0.3/4*weight*(entropy(y, false)+entropy(d.Real, true))/2, 1e-5)
}

// TestFakeAugment: generated and real pictures are augmented before noise is added, and the fake network is told how; the generator's pictures stay as they are for its own loss.
func TestFakeAugment(t *testing.T) {
	tr, d := adversarial(t)
	plain := *d
	for i := range d.Sigma {
		d.Augment = append(d.Augment, train.Augmentation{FlipX: i%2 == 0, Rotate: 0.4 * float64(i), Scale: 0.5})
		d.RealAugment = append(d.RealAugment, train.Augmentation{FlipY: true, ShiftX: float64(i)})
	}
	var r distill.StepResult
	if err := tr.FakeUpdate(d, &r); err != nil {
		t.Fatal(err)
	}
	tell := func(clean *tensor.Tensor, all []train.Augmentation) network {
		labels := tensor.New(4, train.AugmentLabels)
		for i, a := range all {
			a.Apply(clean.Data[64*i:64*(i+1)], 8, 8, 1)
			a.Labels(labels.Data[train.AugmentLabels*i:][:train.AugmentLabels])
		}
		return tr.Nets.Fake.(network).WithAugment(labels).(network)
	}
	y, real := pictures(tr, d), d.Real.Clone()
	told, toldReal := tell(y, d.Augment), tell(real, d.RealAugment)
	b, f := told.DenoiseEncode(tensor.NewTape(y), noisy(y, d), d.Sigma, d.Labels, nil)
	g := toldReal.Encode(nil, noisy(real, d), d.Sigma, d.Labels, nil)
	loss := make([]float64, 4)
	train.EDMLoss(make([]float32, 256), loss, b.Data, y.Data, d.Sigma, 0.5, 1)
	near(t, "the fake network's loss", r.FakeLoss*256, loss[0]+loss[1]+loss[2]+loss[3], 1e-5)
	kept := []bool{true, true, true, true}
	var weight float64
	for _, s := range d.Sigma {
		weight += (s*s + 0.25) / (s * s * 0.25)
	}
	entropy := crossEntropy(f.Data, f.Shape[3], kept, false, math.Inf(1)) + crossEntropy(g.Data, g.Shape[3], kept, true, math.Inf(1))
	near(t, "the critic's loss", r.CriticLoss, 0.3/4*weight*entropy/2, 1e-5)

	losses := func(d *distill.Draws) distill.StepResult {
		tr, _ := adversarial(t)
		var r distill.StepResult
		if err := tr.GeneratorUpdate(d, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if got, want := losses(d), losses(&plain); got != want {
		t.Errorf("the generator's update is %+v with augmentations and %+v without", got, want)
	}
}

// TestPersuasion: what the adversarial part adds to the generator's gradient is the gradient of its definition with the weights of pictures held constant, and SiD's part is halved.
func TestPersuasion(t *testing.T) {
	gradient := func(scale float64, on bool) (*distill.Trainer, *distill.Draws, [][]float32, distill.StepResult) {
		tr, d := adversarial(t)
		tr.Options.AdversarialScale, tr.Options.Adversarial = scale, on
		var r distill.StepResult
		if err := tr.GeneratorUpdate(d, &r); err != nil {
			t.Fatal(err)
		}
		_, g := tr.Gradients()
		return tr, d, clone(g), r
	}
	tr, d, both, r := gradient(0.7, true)
	_, _, half, _ := gradient(0, true)
	_, _, whole, _ := gradient(0, false)
	for i := range half {
		for j := range half[i] {
			if diff := math.Abs(float64(2*half[i][j] - whole[i][j])); !(diff <= 1e-6*math.Abs(float64(whole[i][j]))) {
				t.Fatalf("SiD's part of gradient %d, %d is %g, want half of %g", i, j, half[i][j], whole[i][j])
			}
			both[i][j] -= half[i][j]
		}
	}
	y := pictures(tr, d)
	a := tr.Nets.Teacher.Denoise(nil, noisy(y, d), d.Sigma, d.Labels, nil)
	var inverse float64
	for i := range 4 {
		var w float64
		for j := 64 * i; j < 64*i+64; j++ {
			w += math.Abs(float64(y.Data[j]-a.Data[j])) / 64
		}
		inverse += 1 / w
	}
	loss := func() float64 {
		f := tr.Nets.Fake.(network).Encode(nil, noisy(pictures(tr, d), d), d.Sigma, d.Labels, nil)
		return 0.5 * 0.7 / 4 * 64 * inverse * crossEntropy(f.Data, f.Shape[3], []bool{true, true, true, true}, true, 10)
	}
	near(t, "the adversarial loss", r.AdversarialLoss, loss(), 1e-5)
	slope(t, "the adversarial loss", tr.Nets.Generator, both, loss)
}

// pictures are what the generator makes of the draws.
func pictures(tr *distill.Trainer, d *distill.Draws) *tensor.Tensor {
	x := d.Latent[0].Clone()
	for i := range x.Data {
		x.Data[i] *= 2.5
	}
	return tr.Nets.Generator.Denoise(nil, x, []float64{2.5, 2.5, 2.5, 2.5}, d.Labels, nil)
}

// noisy is y + sigma·n.
func noisy(y *tensor.Tensor, d *distill.Draws) *tensor.Tensor {
	x := y.Clone()
	for i := range x.Data {
		x.Data[i] += float32(d.Sigma[i/64]) * d.Noise.Data[i]
	}
	return x
}

func clone(g [][]float32) [][]float32 {
	var c [][]float32
	for _, v := range g {
		c = append(c, slices.Clone(v))
	}
	return c
}

// TestAdversarialRun: a run with a critic is resumed to the same bytes; the generator waits for the critic, and gradients are clipped.
func TestAdversarialRun(t *testing.T) {
	o := options()
	o.Adversarial, o.AdversarialHold, o.AdversarialStart, o.FakeClip, o.FakeAugment = true, 16, 24, 1e-4, 0.5
	adversarialJob := func() distill.Job {
		j := job(t, options(), nil)
		j.Options, j.Networks.Data = o, realPictures{}
		return j
	}
	whole := filepath.Join(t.TempDir(), "run")
	if err := finish(t, distill.Start, whole, adversarialJob(), 0); err != nil {
		t.Fatal(err)
	}
	for _, stop := range []int{1, 3} {
		dir := filepath.Join(t.TempDir(), "run")
		var stopped *train.Interrupted
		if err := finish(t, distill.Start, dir, adversarialJob(), stop); !errors.As(err, &stopped) {
			t.Fatalf("stopped after step %d: %v", stop, err)
		}
		if err := finish(t, distill.Resume, dir, adversarialJob(), 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, dir, "checkpoint.safetensors"), read(t, whole, "checkpoint.safetensors")) {
			t.Errorf("stopped after step %d: the checkpoint differs from the uninterrupted run's", stop)
		}
	}
	n := adversarialJob().Networks
	tr, err := distill.NewTrainer(o, n)
	if err != nil {
		t.Fatal(err)
	}
	before := values(n.Generator.(network))
	for tr.Images < o.AdversarialHold {
		r, err := tr.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !(r.CriticLoss > 0) || r.AdversarialLoss != 0 {
			t.Errorf("before the start the critic's loss is %g and the adversarial one %g", r.CriticLoss, r.AdversarialLoss)
		}
	}
	same(t, "the generator that waits", values(n.Generator.(network)), before)
	fake, _ := tr.Gradients()
	for _, g := range fake {
		for _, v := range g {
			if v > 1e-4 || v < -1e-4 {
				t.Fatalf("a value of the gradient is %g, want at most 1e-4", v)
			}
		}
	}
	for tr.Images <= o.AdversarialStart {
		r, err := tr.Step()
		if err != nil {
			t.Fatal(err)
		}
		if last := tr.Images > o.AdversarialStart; last != (r.AdversarialLoss > 0) {
			t.Errorf("after %d pictures the adversarial loss is %g", tr.Images, r.AdversarialLoss)
		}
	}
	n.Data = nil
	if _, err := distill.NewTrainer(o, n); err == nil {
		t.Error("an adversarial loss without pictures is accepted")
	}
}
