package distill

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"diffuse/schedule"
	"diffuse/tensor"
	"diffuse/train"
)

// A Critic is a network that can serve as fake network with the adversarial loss of SiDA (Zhou et al. 2025, arXiv 2410.14919): its encoder tells real pictures from
// generated ones, by the mean over channels of its deepest features, one logit for each of their positions.
type Critic interface {
	train.Network
	// Encode returns the deepest features of the encoder for x, N×h×w×C, recorded on t.
	Encode(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) *tensor.Tensor
	// DenoiseEncode returns what Denoise and Encode do, in one pass. t is not nil.
	DenoiseEncode(t *tensor.Tape, x *tensor.Tensor, sigma []float64, labels []int, dropout []*rand.Rand) (denoised, features *tensor.Tensor)
}

// logitLimit bounds the logits of generated pictures in the generator's loss (SiDA, sida_loss.py).
const logitLimit = 10

// CrossEntropy computes the loss of a critic that should call len(kept) pictures real, or generated: the mean of ln(1 + exp(∓l)), − for real, over
// the pictures that are kept and their positions. The logits l are the means over channels of features, N×h×w×channels. seed becomes scale times the
// gradient with respect to the features. Logits beyond ±limit count as ±limit, and have no gradient. A mismatch of lengths panics.
func CrossEntropy(seed, features []float32, channels int, kept []bool, real bool, limit, scale float64) (loss float64) {
	positions := len(features) / max(len(kept)*channels, 1)
	if len(seed) != len(features) || positions*len(kept)*channels != len(features) {
		panic(fmt.Sprintf("distill.CrossEntropy: %d seeds for %d features of %d channels and %d pictures", len(seed), len(features), channels, len(kept)))
	}
	sign, pictures := 1.0, 0
	if real {
		sign = -1
	}
	for _, k := range kept {
		if k {
			pictures++
		}
	}
	clear(seed)
	n := float64(pictures * positions)
	for i, k := range kept {
		if !k {
			continue
		}
		for p := i * positions; p < (i+1)*positions; p++ {
			f, s := features[p*channels:(p+1)*channels], seed[p*channels:(p+1)*channels]
			var sum float64
			for _, v := range f {
				sum += float64(v)
			}
			l := sum / float64(channels)
			inside := math.Abs(l) <= limit
			l = sign * min(max(l, -limit), limit)
			loss += (max(l, 0) + math.Log1p(math.Exp(-math.Abs(l)))) / n // ln(1 + exp l) without overflow
			if !inside {
				continue
			}
			g := float32(scale * sign / (1 + math.Exp(-l)) / (n * float64(channels)))
			for c := range s {
				s[c] = g
			}
		}
	}
	return loss
}

// criticPass is fakePass with the critic's loss beside: for a microbatch of n pictures, CriticScale·Σ w·(CE of real + CE of generated pictures)/2 over the batch,
// w EDM's weight of each noise level. Real and generated pictures have the same classes, levels and noise. As in SiDA's code the means are over
// what one processor computes at a time.
func (t *Trainer) criticPass(u int, d *Draws, loss []float64) (dropped int) {
	o := t.Options
	y := t.generate(t.Nets.Generator, nil, d, nil)
	real := d.Real.Clone()
	ofGenerated, ofReal := augmented(t.Nets.Fake, y, d.Augment).(Critic), augmented(t.Nets.Fake, real, d.RealAugment).(Critic)
	x, real := noisy(y, d), noisy(real, d)
	tape := tensor.NewTape(t.Fake.Weights...)
	defer tape.Free()
	b, generated := ofGenerated.DenoiseEncode(tape, x, d.Sigma, d.Labels, d.Dropout)
	seen := ofReal.Encode(tape, real, d.Sigma, d.Labels, d.Dropout)
	seed := make([]float32, len(b.Data))
	train.EDMLoss(seed, loss, b.Data, y.Data, d.Sigma, o.SigmaData, o.FakeLossScale/float64(o.Batch))
	tensor.Recycle(nil, y)
	kept := all(len(loss), b.Data, generated.Data, seen.Data)
	var weight float64
	for i, k := range kept {
		if k {
			weight += schedule.EDMWeight(d.Sigma[i], o.SigmaData)
		} else {
			loss[i] = math.NaN()
		}
	}
	dropped = dropBad(seed, loss)
	scale := o.CriticScale * weight / (2 * float64(o.Batch))
	generatedSeed, seenSeed := make([]float32, len(generated.Data)), make([]float32, len(seen.Data))
	channels := seen.Shape[3]
	t.judged[u] = scale * (CrossEntropy(generatedSeed, generated.Data, channels, kept, false, math.Inf(1), scale) +
		CrossEntropy(seenSeed, seen.Data, channels, kept, true, math.Inf(1), scale))
	tape.Seed(b, seed)
	tape.Seed(generated, generatedSeed)
	tape.Seed(seen, seenSeed)
	tape.Backward()
	t.collect(tape, t.Fake, t.parts[0][u])
	return dropped
}

// persuade seeds the critic's features of generated pictures with the gradient of the adversarial part of the generator's loss, AdversarialScale·H·W·C·Σ 1/w · CE (as
// real) over the batch, w the weight of [GeneratorSeed] of each picture, halved as SiD's part is. y and a are pictures and the teacher's estimates.
func (t *Trainer) persuade(u int, tape *tensor.Tape, features *tensor.Tensor, y, a []float32, kept []bool) {
	o := t.Options
	per := len(y) / len(kept)
	var inverse float64
	for i, k := range kept {
		if k {
			inverse += 1 / pictureWeight(y[i*per:(i+1)*per], a[i*per:(i+1)*per])
		}
	}
	scale := o.AdversarialScale * float64(per) * inverse / (2 * float64(o.Batch))
	seed := make([]float32, len(features.Data))
	t.judged[u] = scale * CrossEntropy(seed, features.Data, features.Shape[3], kept, true, logitLimit, scale)
	tape.Seed(features, seed)
}

// all tells for each of n pictures whether its part of every list of values is finite.
func all(n int, lists ...[]float32) []bool {
	kept := make([]bool, n)
	for i := range kept {
		kept[i] = true
		for _, l := range lists {
			per := len(l) / n
			kept[i] = kept[i] && finite(l[i*per:(i+1)*per])
		}
	}
	return kept
}

// clip limits every value of a gradient to ±limit.
func clip(grad [][]float32, limit float64) {
	hi := float32(limit)
	for _, g := range grad {
		for i, v := range g {
			g[i] = min(max(v, -hi), hi)
		}
	}
}

// newLoader prepares the real pictures of the adversarial loss.
func (o Options) newLoader(n Networks) (*train.Loader, error) {
	if n.Data == nil {
		return nil, errors.New("the adversarial loss needs pictures")
	}
	if _, ok := n.Fake.(Critic); !ok {
		return nil, errors.New("the fake network shows no features, which the adversarial loss needs")
	}
	if h, w, c := n.Data.Size(); h != n.Height || w != n.Width || c != n.Channels {
		return nil, fmt.Errorf("the pictures are %d×%d×%d, those of the networks %d×%d×%d", h, w, c, n.Height, n.Width, n.Channels)
	}
	if n.Classes != nil && n.Data.Labels() != len(n.Classes) {
		return nil, fmt.Errorf("the pictures have %d classes, the networks %d", n.Data.Labels(), len(n.Classes))
	}
	l := train.DefaultOptions()
	l.Seed, l.Flip = o.Seed, o.Flip
	return train.NewLoader(n.Data, l)
}
