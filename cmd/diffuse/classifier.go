package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/dataset"
	"diffuse/imageio"
	"diffuse/internal/kernel"
	"diffuse/metric"
	"diffuse/sampler"
	"diffuse/tensor"
	"diffuse/train"
)

// classifierOptions are the flags of the hidden command that makes the classifiers of package metric.
type classifierOptions struct {
	data, out, title string
	epochs, batch    int
	lr               float64
	seed             uint64
	note             string
}

// classifierCommand is not shown in help: it makes a part of this program, once (make features).
func classifierCommand(u *ui) *cobra.Command {
	o := classifierOptions{epochs: 20, batch: 128, lr: 2e-3}
	c := &cobra.Command{
		Use:     "train-classifier --data D --out FILE.safetensors --title NAME",
		Short:   "Train the small classifier whose features measure pictures",
		Example: "  diffuse train-classifier --data fashion-mnist/ --title fashion --out fashion.safetensors",
		Hidden:  true,
		Args:    between(0, 0, "flags only"),
		RunE:    func(c *cobra.Command, _ []string) error { return runClassifier(c.Context(), u, o) },
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "idx `FOLDER` with a train and a test part")
	f.StringVar(&o.out, "out", "", "`FILE.safetensors` for the classifier")
	f.StringVar(&o.title, "title", "", "what the metric is called after")
	f.IntVar(&o.epochs, "epochs", o.epochs, "passes over the pictures")
	f.IntVar(&o.batch, "batch", o.batch, "pictures per step")
	f.Float64Var(&o.lr, "lr", o.lr, "learning rate, falling to 0 in a straight line")
	f.Uint64Var(&o.seed, "seed", 0, "of weights, order, flips and dropout")
	f.StringVar(&o.note, "note", "", "a sentence on data and licence, kept in the file")
	return c
}

func runClassifier(ctx context.Context, u *ui, o classifierOptions) error {
	if o.data == "" || o.out == "" || o.title == "" || o.epochs < 1 || o.batch < 1 {
		return usagef("train-classifier needs --data, --out and --title, and at least one epoch and one picture per step")
	}
	if err := checkOutput("out", o.out); err != nil {
		return err
	}
	learn, err := openSet(u, o.data, dataset.Options{Split: "train"})
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	test, err := openSet(u, o.data, dataset.Options{Split: "test"})
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if !slices.Equal(learn.ClassNames(), test.ClassNames()) {
		return fmt.Errorf("--data: the classes of the train part are %v, of the test part %v", learn.ClassNames(), test.ClassNames())
	}
	if learn.Len() < o.batch {
		return usagef("--batch %d is more than the %d pictures to learn from", o.batch, learn.Len())
	}
	h, w, ch := learn.Size()
	c, err := metric.NewClassifier(metric.ClassifierCard{
		Title: o.title, Height: h, Width: w, Channels: ch, Widths: []int{32, 64, 80, 80}, Classes: learn.ClassNames(),
	}, sampler.Stream(o.seed, "classifier"))
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	if err := fitClassifier(ctx, u, c, learn, o); err != nil {
		return err
	}
	// The accuracy is that of the weights as they will be stored.
	f, err := c.File(checkpoint.BF16)
	if err != nil {
		return err
	}
	if c, err = metric.ReadClassifier(f); err != nil {
		return err
	}
	if c.Accuracy, err = accuracy(c, test); err != nil {
		return err
	}
	c.Training = fmt.Sprintf("%d pictures, %d epochs, batch %d, Adam %g. %s", learn.Len(), o.epochs, o.batch, o.lr, o.note)
	if f, err = c.File(checkpoint.BF16); err != nil {
		return err
	}
	if err := checkpoint.WriteFile(o.out, f); err != nil {
		return err
	}
	u.summary("%s: accuracy %.4f on %d pictures it has not seen", o.out, c.Accuracy, test.Len())
	return nil
}

// fitClassifier trains c by cross-entropy.
func fitClassifier(ctx context.Context, u *ui, c *metric.Classifier, data dataset.Dataset, o classifierOptions) error {
	opt, err := train.NewOptimizer(c, nil, train.DefaultOptions())
	if err != nil {
		return err
	}
	steps := data.Len() / o.batch
	total := float64(o.epochs * steps)
	bar := u.progress("training", "steps", 0, total)
	defer bar.finish()
	for e := range o.epochs {
		order := dataset.Permutation(o.seed, e, data.Len())
		for s := range steps {
			if ctx.Err() != nil {
				return errInterrupted
			}
			done := float64(e*steps + s)
			loss, grad, err := classifierStep(c, data, order[s*o.batch:(s+1)*o.batch], opt.Weights, sampler.Stream(o.seed, fmt.Sprint("step", done)))
			if err != nil {
				return err
			}
			if _, bad := opt.Norm(grad); bad >= 0 {
				return fmt.Errorf("the gradient of %s is not finite in step %.0f", opt.Names[bad], done)
			}
			opt.Step(grad, o.lr*(1-done/total), 1, 0)
			bar.set(done+1, fmt.Sprintf("loss %.4f", loss))
		}
	}
	return nil
}

// classifierPart is the number of pictures that one processor computes at a time. It is part of the result's last bits.
const classifierPart = 16

// classifierStep returns the mean cross-entropy of a batch and its gradient. Every other picture is mirrored.
func classifierStep(c *metric.Classifier, data dataset.Dataset, pick []int, weights []*tensor.Tensor, r *rand.Rand) (float64, [][]float32, error) {
	seeds := make([][2]uint64, len(pick))
	for i := range seeds {
		seeds[i] = [2]uint64{r.Uint64(), r.Uint64()}
	}
	parts := (len(pick)-1)/classifierPart + 1
	loss, errs, grads := make([]float64, parts), make([]error, parts), make([][][]float32, parts)
	kernel.For(parts, 1, func(p0, p1 int) {
		for p := p0; p < p1; p++ {
			lo, hi := p*classifierPart, min((p+1)*classifierPart, len(pick))
			loss[p], grads[p], errs[p] = classifierPass(c, data, pick[lo:hi], seeds[lo:hi], weights, 1/float64(len(pick)))
		}
	})
	for p, err := range errs {
		if err != nil {
			return 0, nil, err
		}
		if p > 0 {
			loss[0] += loss[p]
			for i, g := range grads[p] {
				kernel.Axpy(grads[0][i], 1, g)
			}
		}
	}
	return loss[0], grads[0], nil
}

// classifierPass is one part of a step; share is what one picture counts.
func classifierPass(c *metric.Classifier, data dataset.Dataset, pick []int, seeds [][2]uint64, weights []*tensor.Tensor, share float64) (float64, [][]float32, error) {
	x := tensor.New(len(pick), c.Height, c.Width, c.Channels)
	per := x.Len() / len(pick)
	pixels := make([]uint8, per)
	labels, dropout := make([]int, len(pick)), make([]*rand.Rand, len(pick))
	for i, k := range pick {
		var err error
		if labels[i], err = data.Get(k, pixels); err != nil {
			return 0, nil, err
		}
		if seeds[i][0]&1 == 1 {
			train.Mirror(pixels, c.Height, c.Width, c.Channels)
		}
		imageio.ToFloat(x.Data[i*per:(i+1)*per], pixels)
		dropout[i] = rand.New(rand.NewPCG(seeds[i][0], seeds[i][1]))
	}
	t := tensor.NewTape(weights...)
	defer t.Free()
	_, logits := c.Forward(t, x, dropout)
	seed, loss := crossEntropy(logits, labels, share)
	t.Seed(logits, seed)
	t.Backward()
	grad := make([][]float32, len(weights))
	for i, w := range weights {
		grad[i] = slices.Clone(t.Grad(w))
	}
	return loss, grad, nil
}

// crossEntropy returns share·Σ −ln softmax(logits)[label] and its gradient.
func crossEntropy(logits *tensor.Tensor, labels []int, share float64) (grad []float32, loss float64) {
	k := logits.Len() / len(labels)
	grad = make([]float32, logits.Len())
	for i, label := range labels {
		z := logits.Data[i*k : (i+1)*k]
		top, sum := slices.Max(z), 0.0
		for _, v := range z {
			sum += math.Exp(float64(v - top))
		}
		for j, v := range z {
			p := math.Exp(float64(v-top)) / sum
			if j == label {
				loss -= share * math.Log(p)
				p--
			}
			grad[i*k+j] = float32(share * p)
		}
	}
	return grad, loss
}

// accuracy is the share of pictures whose class the classifier finds.
func accuracy(c *metric.Classifier, data dataset.Dataset) (float64, error) {
	const batch = 100
	right := 0
	for lo := 0; lo < data.Len(); lo += batch {
		pictures := make([]imageio.Image, min(batch, data.Len()-lo))
		labels := make([]int, len(pictures))
		for i := range pictures {
			pictures[i] = imageio.New(c.Height, c.Width, c.Channels)
			var err error
			if labels[i], err = data.Get(lo+i, pictures[i].Pix); err != nil {
				return 0, err
			}
		}
		classes, err := c.Classify(make([]float64, len(pictures)*c.Dim()), pictures)
		if err != nil {
			return 0, err
		}
		for i, k := range classes {
			if k == labels[i] {
				right++
			}
		}
	}
	return float64(right) / float64(data.Len()), nil
}
