package distill

import (
	"errors"
	"fmt"

	"diffuse/dataset"
	"diffuse/internal/kernel"
	"diffuse/train"
)

// Networks are what a distillation works with: networks of one kind on pictures of one size. Generator, Fake and EMA have weights of
// their own; Teacher is only read.
type Networks struct {
	Teacher   train.Network
	Fake      train.Network // starts as a copy of the teacher
	Generator train.Network // starts as a copy of the teacher, or as another student
	EMA       train.Network // the student; becomes a copy of Generator, and then its average

	Height, Width, Channels int

	// Data are the real pictures of Options.Adversarial, of the networks' size and classes; nil without.
	Data dataset.Dataset

	// Classes are the shares of the classes that pictures are made of, in any unit; nil: without classes.
	Classes []float64
}

// A Trainer is a distillation without its folder: weights, average, Adam's state and the count of pictures.
type Trainer struct {
	Options   Options
	Nets      Networks
	Images    int64            // pictures that the generator was updated by
	Fake      *train.Optimizer // of the fake network; keeps no average
	Generator *train.Optimizer // of the generator, with its average
	Rate      float64          // factor on both learning rates, 1 at first; a run that collapsed lowers it

	levels      []float64 // that the student's evaluations start from
	fakes, gens *source
	loader      *train.Loader // of the real pictures; nil without an adversarial loss
	loss        []float64     // per picture of the batch
	judged      []float64     // the critic's part of the loss, per microbatch
	dropped     []int         // per microbatch
	parts       [2][]grad     // of the fake network and the generator, per microbatch
}

// A grad holds the gradients of all weights of a network.
type grad = [][]float32

// StepResult tells what one step did. Losses are per number of a picture, averaged over the batch.
type StepResult struct {
	FakeLoss, Loss         float64 // of the fake network (mean over its updates) and of the generator
	CriticLoss             float64 // of the fake network as a critic, in its own scale, per picture
	AdversarialLoss        float64 // and what the critic adds to the generator's
	FakeGradNorm, GradNorm float64 // L2 norms of the whole gradients
	FakeLR, LR             float64 // rates used
	EMABeta                float64 // share of the old average kept
	Pictures, Dropped      int     // that went into all updates, and of these left out because something in them was not finite
	Cleaned                int     // values of gradients that were not finite and were replaced
}

// NewTrainer prepares a distillation from the networks' present weights; EMA becomes a copy of Generator. The options are validated.
func NewTrainer(o Options, n Networks) (*Trainer, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if n.Height < 1 || n.Width < 1 || n.Channels < 1 {
		return nil, fmt.Errorf("distillation of pictures of %d×%d×%d", n.Height, n.Width, n.Channels)
	}
	classes, err := cumulative(n.Classes)
	if err != nil {
		return nil, err
	}
	if o.Guided() && classes == nil {
		return nil, errors.New("guidance needs a teacher with classes")
	}
	if err := n.apart(); err != nil {
		return nil, err
	}
	t := &Trainer{Options: o, Nets: n, Rate: 1, levels: o.Levels(), loss: make([]float64, o.Batch)}
	if t.Fake, err = train.NewOptimizer(n.Fake, nil, train.Options{Beta1: o.FakeBeta1, Beta2: o.Beta2, Eps: o.Eps}); err != nil {
		return nil, fmt.Errorf("the fake network: %w", err)
	}
	if t.Generator, err = train.NewOptimizer(n.Generator, n.EMA, train.Options{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps}); err != nil {
		return nil, fmt.Errorf("the generator: %w", err)
	}
	t.fakes = newSource(o, "fake", n.Height, n.Width, n.Channels, classes, o.fakeLevel)
	t.fakes.augmenting(o.FakeAugment)
	if _, ok := n.Fake.(train.Augmentable); o.FakeAugment > 0 && !ok {
		return nil, fmt.Errorf("fake_augment is %g, but the fake network takes no augmentation labels", o.FakeAugment)
	}
	t.gens = newSource(o, "generator", n.Height, n.Width, n.Channels, classes, o.generatorLevel)
	passes := (o.Batch-1)/o.microbatch() + 1
	t.dropped, t.judged = make([]int, passes), make([]float64, passes)
	if o.Adversarial {
		if t.loader, err = o.newLoader(n); err != nil {
			return nil, err
		}
	}
	for i, p := range []*train.Optimizer{t.Fake, t.Generator} {
		for range passes {
			var g grad
			for _, w := range p.Weights {
				g = append(g, make([]float32, len(w.Data)))
			}
			t.parts[i] = append(t.parts[i], g)
		}
	}
	return t, nil
}

// apart reports a network that is missing, or two that share a weight: each would undo what the other learns, or teach itself.
func (n Networks) apart() error {
	owner := map[*float32]string{}
	for _, part := range []struct {
		name string
		net  train.Network
	}{{"teacher", n.Teacher}, {"fake network", n.Fake}, {"generator", n.Generator}, {"average", n.EMA}} {
		if part.net == nil {
			return fmt.Errorf("distillation needs a network as %s", part.name)
		}
		for name, w := range part.net.Params() {
			if len(w.Data) == 0 {
				continue
			}
			if other, taken := owner[&w.Data[0]]; taken {
				return fmt.Errorf("parameter %q is one and the same tensor in the %s and the %s", name, other, part.name)
			}
			owner[&w.Data[0]] = part.name
		}
	}
	return nil
}

// cumulative turns shares into a rising list that ends in 1.
func cumulative(shares []float64) ([]float64, error) {
	if shares == nil {
		return nil, nil
	}
	var sum float64
	for i, s := range shares {
		if !(s >= 0) || s > 1e300 {
			return nil, fmt.Errorf("class %d has the share %v, want 0 or more", i, s)
		}
		sum += s
	}
	if sum == 0 {
		return nil, errors.New("no class has a share above 0")
	}
	c, at := make([]float64, len(shares)), 0.0
	for i, s := range shares {
		at += s
		c[i] = at / sum
	}
	return c, nil
}

// Step updates the fake network, then the generator. After an error the weights may be those between two updates: go on from a checkpoint.
func (t *Trainer) Step() (StepResult, error) {
	o := t.Options
	rate := t.Rate * o.rates().LearningRate(t.Images)
	r := StepResult{FakeLR: rate * o.FakeLR, LR: rate * o.LR, EMABeta: train.EMABeta(o.Batch, o.EMAHalfLife, o.EMARampup, t.Images)}
	for i := range o.FakeUpdates {
		first := t.Images*int64(o.FakeUpdates) + int64(i*o.Batch)
		d := t.fakes.draw(first)
		if t.loader != nil {
			b, err := t.loader.Load(first, o.Batch)
			if err != nil {
				return r, err
			}
			d.Real = b.Clean
			if d.Labels != nil {
				copy(d.Labels, b.Labels)
			}
		}
		if err := t.FakeUpdate(d, &r); err != nil {
			return r, err
		}
	}
	r.FakeLoss /= float64(o.FakeUpdates)
	r.CriticLoss /= float64(o.FakeUpdates)
	warm, update := t.Images < o.WarmImages, t.GeneratorUpdate
	switch {
	case warm:
		r.LR = rate * o.WarmLR
		update = t.WarmUpdate
	case o.Adversarial && t.Images < o.AdversarialHold: // the critic learns first
		update = func(*Draws, *StepResult) error { return nil }
	}
	if err := update(t.gens.draw(t.Images), &r); err != nil {
		return r, err
	}
	t.Images += int64(o.Batch)
	if warm && t.Images >= o.WarmImages {
		t.Generator.Forget() // moments of another loss, on another scale
	}
	return r, nil
}

// FakeUpdate makes one step of Adam on the fake network with rate r.FakeLR, on pictures of the generator as it stands, and adds to r
// what it did. The draws are for Options.Batch pictures.
func (t *Trainer) FakeUpdate(d *Draws, r *StepResult) error {
	if d.Real == nil {
		return t.update(t.Fake, t.parts[0], d, t.fakePass, r.FakeLR, 0, r, &r.FakeLoss, &r.FakeGradNorm)
	}
	err := t.update(t.Fake, t.parts[0], d, t.criticPass, r.FakeLR, 0, r, &r.FakeLoss, &r.FakeGradNorm)
	r.CriticLoss += t.judgement()
	return err
}

// GeneratorUpdate makes one step of Adam on the generator with rate r.LR and of its average with r.EMABeta, and adds to r what it did. The
// draws are for Options.Batch pictures.
func (t *Trainer) GeneratorUpdate(d *Draws, r *StepResult) error {
	err := t.update(t.Generator, t.parts[1], d, t.generatorPass, r.LR, r.EMABeta, r, &r.Loss, &r.GradNorm)
	if t.adversarial() {
		r.AdversarialLoss += t.judgement()
	}
	return err
}

// adversarial tells whether the generator's loss has its adversarial part.
func (t *Trainer) adversarial() bool {
	return t.Options.Adversarial && t.Images >= t.Options.AdversarialStart
}

// judgement sums up the critic's part of the losses.
func (t *Trainer) judgement() (sum float64) {
	for _, l := range t.judged {
		sum += l
	}
	return sum
}

// A pass computes the loss of the pictures of microbatch u and leaves the gradients of their sum in part u of a network. Pictures that it leaves out are counted.
type pass func(u int, d *Draws, loss []float64) (dropped int)

// update makes one step of Adam on p by the gradients that pass leaves in parts, and adds to r, loss and norm what it did.
func (t *Trainer) update(p *train.Optimizer, parts []grad, d *Draws, pass pass, lr, emaBeta float64, r *StepResult, loss, norm *float64) error {
	t.passes(d, pass)
	l, err := t.finish(p, parts, r, norm)
	if err != nil {
		return err
	}
	*loss += l
	p.Step(parts[0], lr, 1, emaBeta)
	return nil
}

// passes cuts d into microbatches and calls pass for each, every one on a processor of its own.
func (t *Trainer) passes(d *Draws, pass pass) {
	m := t.Options.microbatch()
	kernel.For(len(t.dropped), 1, func(u0, u1 int) {
		for u := u0; u < u1; u++ {
			lo, hi := u*m, min((u+1)*m, t.Options.Batch)
			t.dropped[u] = pass(u, d.slice(lo, hi), t.loss[lo:hi])
		}
	})
}

// finish adds up what the passes left: losses, and gradients into the first part, cleaned of what is not finite.
func (t *Trainer) finish(p *train.Optimizer, parts []grad, r *StepResult, norm *float64) (loss float64, err error) {
	dropped := 0
	for _, n := range t.dropped {
		dropped += n
	}
	r.Pictures += t.Options.Batch
	r.Dropped += dropped
	if dropped == t.Options.Batch {
		return 0, &train.NonFinite{Step: p.Steps, Images: t.Images, What: "the networks' outputs are not finite for any picture of the batch"}
	}
	for _, l := range t.loss {
		loss += l
	}
	p.Sum(parts[0], parts[1:])
	n, bad := p.Norm(parts[0])
	if bad >= 0 {
		r.Cleaned += clean(parts[0])
		n, _ = p.Norm(parts[0])
	}
	if p == t.Fake && t.Options.Adversarial && t.Options.FakeClip > 0 {
		clip(parts[0], t.Options.FakeClip)
	}
	*norm = n
	return loss / float64(t.Options.Batch*t.Nets.Height*t.Nets.Width*t.Nets.Channels), nil
}
