package train_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"diffuse/internal/golden"
	"diffuse/tensor"
	"diffuse/train"
	"diffuse/unet"
)

// lossCases are the cases of samplers/losses.json: the multi-scale loss by its formula in float64, and k-diffusion's frequency weights.
type lossCases struct {
	Cases []struct {
		Case           string
		Tensors        string
		Scales         json.RawMessage
		TotalPerSample []float64 `json:"total_per_sample"`
		H, W           int
		Weights        json.RawMessage
		Residual       [][][][]float64
		LossPerSample  []float64 `json:"loss_per_sample"`
	}
}

func readLosses(t *testing.T) lossCases {
	t.Helper()
	b, err := os.ReadFile(golden.Path(t, "samplers", "losses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all lossCases
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// evaluate returns the loss of every image and its gradient (scale 1) at noise level 1.
func evaluate(t testing.TB, o train.Options, denoised, clean *tensor.Tensor) (loss []float64, seed []float32) {
	t.Helper()
	l, err := o.NewLoss(clean.Shape[1], clean.Shape[2], clean.Shape[3])
	if err != nil {
		t.Fatal(err)
	}
	loss, seed = make([]float64, clean.Shape[0]), make([]float32, len(clean.Data))
	sigma := make([]float64, len(loss))
	for i := range sigma {
		sigma[i] = 1
	}
	l.Of(seed, loss, denoised.Data, clean.Data, sigma, 1)
	return loss, seed
}

// TestGoldenMultiScale compares loss and gradient with the formula of the paper. At noise level 1 and weight 1 the error of the noise is
// that of the picture, but for its sign. The paper's sum times d and the number of elements is ours. Float32 sums of up to four levels round
// a few times 6e-8.
func TestGoldenMultiScale(t *testing.T) {
	g := golden.Open(t, "samplers")
	g.Tensors = golden.Tensors(t, golden.Path(t, "samplers", "multiscale.safetensors"))
	seen := 0
	for _, c := range readLosses(t).Cases {
		if c.Tensors == "" || !g.Has(c.Tensors+".eps") {
			continue
		}
		seen++
		var scales []int
		if err := json.Unmarshal(c.Scales, &scales); err != nil {
			t.Fatal(err)
		}
		noise, estimate := image(g, c.Tensors+".eps"), image(g, c.Tensors+".eps_hat")
		o := train.DefaultOptions()
		o.Loss, o.LossScales = "x0", scales[0]
		loss, seed := evaluate(t, o, estimate, noise)
		n, d := noise.Shape[0], float64(noise.Shape[1])
		factor := d * float64(len(noise.Data)/n)
		for i := range loss {
			loss[i] /= factor
		}
		golden.Close(t, c.Case, loss, c.TotalPerSample, 1e-6*golden.MaxAbs(c.TotalPerSample))
		want := image(g, c.Tensors+".grad_eps_hat")
		for i := range seed {
			seed[i] /= float32(factor * float64(n)) // the case takes the mean over the batch
		}
		golden.Close(t, c.Case+", gradient", seed, want.Data, 1e-6*golden.MaxAbs(want.Data))
	}
	if seen != 3 {
		t.Errorf("%d multi-scale cases, want 3", seen)
	}
}

// TestGoldenDCT compares k-diffusion's frequency weights, seen in the loss of single frequencies, and its loss, a mean where ours is a sum.
func TestGoldenDCT(t *testing.T) {
	seen := 0
	for _, c := range readLosses(t).Cases {
		var scales int
		if json.Unmarshal(c.Scales, &scales) != nil {
			continue
		}
		seen++
		if scales == 0 {
			scales = 1000 // no limit
		}
		o := train.DefaultOptions()
		o.Loss, o.LossDCT = "x0", scales
		var weights [][]float64
		if err := json.Unmarshal(c.Weights, &weights); err != nil {
			t.Fatal(err)
		}
		for v := range c.H {
			for u := range c.W {
				wave := tensor.New(1, c.H, c.W, 1)
				var square float64
				for i := range wave.Data {
					y, x := float64(i/c.W), float64(i%c.W)
					wave.Data[i] = float32(math.Cos(math.Pi*(2*y+1)*float64(v)/float64(2*c.H)) * math.Cos(math.Pi*(2*x+1)*float64(u)/float64(2*c.W)))
					square += float64(wave.Data[i]) * float64(wave.Data[i])
				}
				loss, _ := evaluate(t, o, wave, tensor.New(wave.Shape...))
				near(t, fmt.Sprintf("%s: weight %d, %d", c.Case, v, u), loss[0]/square, weights[v][u], 1e-6) // of a wave rounded to float32
			}
		}
		if c.Residual == nil {
			continue
		}
		n, channels := len(c.Residual), len(c.Residual[0])
		e := tensor.New(n, c.H, c.W, channels)
		for i := range e.Data {
			k, x, y, b := i%channels, i/channels%c.W, i/channels/c.W%c.H, i/channels/c.W/c.H
			e.Data[i] = float32(c.Residual[b][k][y][x])
		}
		loss, _ := evaluate(t, o, e, tensor.New(e.Shape...))
		for i := range loss {
			loss[i] /= float64(len(e.Data) / n)
		}
		golden.Close(t, c.Case, loss, c.LossPerSample, 1e-6*golden.MaxAbs(c.LossPerSample))
	}
	if seen != 5 {
		t.Errorf("%d cases of frequency weights, want 5", seen)
	}
}

// TestLossGradients checks the gradients of all kinds of losses on pictures that are not square. The loss is a quadratic form, whose central
// difference is exact but for rounding.
func TestLossGradients(t *testing.T) {
	for name, change := range map[string]func(*train.Options){
		"plain":       func(*train.Options) {},
		"multi-scale": func(o *train.Options) { o.LossScales = 3 },
		"dct":         func(o *train.Options) { o.LossDCT = 3 },
	} {
		o := train.DefaultOptions()
		o.Loss = "min-snr:gamma=0.7"
		change(&o)
		r := rand.New(rand.NewPCG(3, 4))
		d, y := tensor.New(2, 12, 20, 3), tensor.New(2, 12, 20, 3)
		for i := range d.Data {
			d.Data[i], y.Data[i] = float32(r.NormFloat64()), float32(r.NormFloat64())
		}
		loss, seed := evaluate(t, o, d, y)
		if !(math.Abs(loss[0]-loss[1]) > 1e-3*loss[0]) {
			t.Errorf("%s: two different images have losses %v", name, loss)
		}
		for i := 0; i < len(d.Data); i += 7 {
			const h = 0.5
			old := d.Data[i]
			at := func(v float32) float64 {
				d.Data[i] = v
				l, _ := evaluate(t, o, d, y)
				return l[0] + l[1]
			}
			slope := (at(old+h) - at(old-h)) / (2 * h)
			d.Data[i] = old
			if !(math.Abs(slope-float64(seed[i])) <= 1e-4*max(1, math.Abs(slope))) { // a loss of 1e3 to 1e5 rounded by 1e-7 or less each
				t.Fatalf("%s: gradient of element %d is %g, the difference says %g", name, i, seed[i], slope)
			}
		}
	}
}

// TestConstantError: an error that is the same everywhere survives pooling, so its part at scale d/f is f times that at full size by the
// paper's weights, 1/s; with the DCT it is all in the coarsest coefficient.
func TestConstantError(t *testing.T) {
	e := tensor.New(1, 32, 64, 1)
	for i := range e.Data {
		e.Data[i] = 0.5
	}
	plain := 0.25 * 32 * 64
	o := train.DefaultOptions()
	o.Loss, o.LossScales = "x0", 8
	loss, _ := evaluate(t, o, e, tensor.New(e.Shape...))
	near(t, "multi-scale loss of sides 32, 16, 8", loss[0], plain*(1+2+4), 1e-12)
	o.LossScales, o.LossDCT = 0, 99
	loss, _ = evaluate(t, o, e, tensor.New(e.Shape...))
	near(t, "DCT loss", loss[0], plain*math.Log2(64), 1e-6) // the shorter axis has f = 1/64; waves are float32
}

// TestNoScale: a multi-scale loss that would be the plain one is an error.
func TestNoScale(t *testing.T) {
	o := train.DefaultOptions()
	o.LossScales = 32
	for _, size := range [][2]int{{32, 32}, {66, 62}, {100, 75}} {
		if _, err := o.NewLoss(size[0], size[1], 3); err == nil {
			t.Errorf("no error for pictures of %d×%d", size[0], size[1])
		}
	}
	if _, err := o.NewLoss(64, 96, 3); err != nil {
		t.Error(err)
	}
}

// BenchmarkStep times a training step, one 64×64 RGB picture through a small network, with each kind of loss: they are next to nothing beside it.
func BenchmarkStep(b *testing.B) {
	for _, kind := range []string{"plain", "multi-scale", "dct"} {
		b.Run(kind, func(b *testing.B) {
			o := options()
			o.Batch, o.ClassDropout = 1, 0
			switch kind {
			case "multi-scale":
				o.LossScales = 8
			case "dct":
				o.LossDCT = 4
			}
			c := unet.DefaultConfig("song")
			c.Resolution, c.ModelChannels, c.ChannelMult, c.NumBlocks, c.AttnResolutions = 64, 32, []int{1, 2, 2}, 1, []int{16}
			n := build(b, c)
			tr, err := train.NewTrainer(o, n, n.clone(), colour{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := tr.Step(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// colour is a data set of 64×64 RGB noise.
type colour struct{ flat }

func (colour) Size() (h, w, c int) { return 64, 64, 3 }
func (colour) Labels() int         { return 0 }

// BenchmarkLoss times the losses of one RGB picture.
func BenchmarkLoss(b *testing.B) {
	for _, size := range []int{64, 256} {
		for _, kind := range []string{"plain", "multi-scale", "dct"} {
			b.Run(fmt.Sprintf("%s/size=%d", kind, size), func(b *testing.B) {
				o := train.DefaultOptions()
				switch kind {
				case "multi-scale":
					o.LossScales = 32
				case "dct":
					o.LossDCT = 4
				}
				l, err := o.NewLoss(size, size, 3)
				if err != nil {
					b.Fatal(err)
				}
				x := make([]float32, size*size*3)
				for i := range x {
					x[i] = float32(i%17) - 8
				}
				seed, loss := make([]float32, len(x)), make([]float64, 1)
				for b.Loop() {
					l.Of(seed, loss, x, seed[:len(x)], []float64{1}, 1)
				}
			})
		}
	}
}
