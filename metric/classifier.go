package metric

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/internal/kernel"
	"diffuse/tensor"
)

// A Classifier is a small convolutional network whose last hidden layer serves as features: four 3×3 convolutions, each with
// group norm and SiLU, two of which halve the picture; the mean over the pixels; a linear map to the classes. It is what measures
// pictures where the Inception network does not apply. Its methods may be called by several goroutines at once.
type Classifier struct {
	ClassifierCard
	params []weight // weight, bias, gamma, beta of each convolution, then weight and bias of the head
}

type weight struct {
	name string
	*tensor.Tensor
}

// A ClassifierCard says what a classifier is, apart from its weights. It is stored as JSON in the metadata of its file; unknown
// fields are refused.
type ClassifierCard struct {
	Title    string   `json:"title"` // what the metric is called after, such as "fashion"
	Height   int      `json:"height"`
	Width    int      `json:"width"`
	Channels int      `json:"channels"`
	Widths   []int    `json:"widths"` // channels of the four convolutions
	Classes  []string `json:"classes"`
	Accuracy float64  `json:"accuracy"` // on pictures it was not trained on
	Training string   `json:"training"` // a sentence on data, length and licence
}

// Metadata keys of a classifier's file.
const (
	classifierFormat = "diffuse-classifier-1"
	formatKey        = "format"
	cardKey          = "card"
)

const (
	normGroups = 8
	normEps    = 1e-5
)

// strides of the four convolutions.
var strides = [4]int{1, 2, 2, 1}

func (c ClassifierCard) check() error {
	if c.Height < 4 || c.Width < 4 || c.Channels < 1 || c.Channels > 4 || len(c.Widths) != len(strides) || len(c.Classes) < 2 {
		return fmt.Errorf("a classifier of %d×%d×%d pictures with widths %v and %d classes", c.Height, c.Width, c.Channels, c.Widths, len(c.Classes))
	}
	for _, w := range c.Widths {
		if w < normGroups || w%normGroups != 0 || w > 1<<12 {
			return fmt.Errorf("a classifier of widths %v: want multiples of %d", c.Widths, normGroups)
		}
	}
	return nil
}

// NewClassifier returns a classifier with random weights (He et al. 2015, arXiv 1502.01852) from rng.
func NewClassifier(card ClassifierCard, rng *rand.Rand) (*Classifier, error) {
	c, err := emptyClassifier(card)
	if err != nil {
		return nil, err
	}
	for _, p := range c.params {
		s := p.Shape
		switch {
		case len(s) > 1:
			std := math.Sqrt(2 / float64(p.Len()/s[len(s)-1]))
			for i := range p.Data {
				p.Data[i] = float32(std * rng.NormFloat64())
			}
		case p.name[len(p.name)-5:] == "gamma":
			for i := range p.Data {
				p.Data[i] = 1
			}
		}
	}
	return c, nil
}

func emptyClassifier(card ClassifierCard) (*Classifier, error) {
	if err := card.check(); err != nil {
		return nil, err
	}
	c := &Classifier{ClassifierCard: card}
	card.eachWeight(func(name string, shape ...int) {
		c.params = append(c.params, weight{name, tensor.New(shape...)})
	})
	return c, nil
}

// eachWeight calls add for every parameter of a network of card c.
func (c ClassifierCard) eachWeight(add func(name string, shape ...int)) {
	in := c.Channels
	for i, out := range c.Widths {
		add(fmt.Sprintf("conv%d.weight", i), 3, 3, in, out)
		add(fmt.Sprintf("conv%d.bias", i), out)
		add(fmt.Sprintf("norm%d.gamma", i), out)
		add(fmt.Sprintf("norm%d.beta", i), out)
		in = out
	}
	add("head.weight", in, len(c.Classes))
	add("head.bias", len(c.Classes))
}

// match reports the first tensor of a file that is not as a network of card c has it.
func (c ClassifierCard) match(f *checkpoint.File) (err error) {
	n := 0
	c.eachWeight(func(name string, shape ...int) {
		n++
		stored, missing := f.Tensor(name)
		switch want := tensor.FileShape(shape); {
		case err != nil:
		case missing != nil:
			err = missing
		case !slices.Equal(stored.Shape, want):
			err = fmt.Errorf("tensor %q: shape %v, want %v", name, stored.Shape, want)
		}
	})
	if err == nil && len(f.Tensors) != n {
		err = fmt.Errorf("a classifier of %d tensors, want %d", len(f.Tensors), n)
	}
	return err
}

// Params yields the weights in a fixed order; the tensors are the classifier's own.
func (c *Classifier) Params() iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) {
		for _, p := range c.params {
			if !yield(p.name, p.Tensor) {
				return
			}
		}
	}
}

// Forward returns the features, N×Dim, and the logits, N×classes, of pictures x, N×Height×Width×Channels in [-1, 1]. dropout
// holds a generator per picture for a tenth of the features to be dropped in training, or is nil.
func (c *Classifier) Forward(t *tensor.Tape, x *tensor.Tensor, dropout []*rand.Rand) (features, logits *tensor.Tensor) {
	h := x
	for i, stride := range strides {
		p := c.params[4*i:]
		y := tensor.Conv2D(t, h, p[0].Tensor, p[1].Tensor, tensor.ConvOptions{Stride: stride, Pad: 1})
		if h != x {
			tensor.Recycle(t, h)
		}
		h = tensor.GroupNorm(t, y, p[2].Tensor, p[3].Tensor, nil, nil, tensor.NormOptions{Groups: normGroups, Eps: normEps, SiLU: true})
		tensor.Recycle(t, y)
	}
	features = tensor.Mean(t, h)
	tensor.Recycle(t, h)
	f := features
	if dropout != nil {
		f = tensor.Dropout(t, f, 0.1, dropout)
	}
	head := c.params[4*len(strides):]
	return features, tensor.Linear(t, f, head[0].Tensor, head[1].Tensor)
}

// File returns the contents of the classifier's safetensors file, weights stored as d.
func (c *Classifier) File(d checkpoint.DType) (*checkpoint.File, error) {
	card, err := json.Marshal(c.ClassifierCard)
	if err != nil {
		return nil, err
	}
	f := &checkpoint.File{Meta: map[string]string{formatKey: classifierFormat, cardKey: string(card)}, Tensors: map[string]*checkpoint.Tensor{}}
	for _, p := range c.params {
		if f.Tensors[p.name], err = checkpoint.Float32(tensor.FileShape(p.Shape), tensor.ToFile(p.Tensor)).As(d); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", p.name, err)
		}
	}
	return f, nil
}

// ReadClassifier builds a classifier from an opened file, which may be closed afterwards.
func ReadClassifier(f *checkpoint.File) (*Classifier, error) {
	if got := f.Meta[formatKey]; got != classifierFormat {
		return nil, fmt.Errorf("not a classifier: its metadata has format %q, want %q", got, classifierFormat)
	}
	var card ClassifierCard
	d := json.NewDecoder(bytes.NewReader([]byte(f.Meta[cardKey])))
	d.DisallowUnknownFields()
	if err := d.Decode(&card); err != nil {
		return nil, fmt.Errorf("reading the classifier's card: %w", err)
	}
	if err := cmp.Or(card.check(), card.match(f)); err != nil {
		return nil, err // before anything of the size that the card claims is allocated
	}
	c, err := emptyClassifier(card)
	if err != nil {
		return nil, err
	}
	for _, p := range c.params {
		data, err := f.Tensors[p.name].Float32()
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", p.name, err)
		}
		tensor.FromFile(p.Tensor, data)
	}
	return c, nil
}

// Name is the extractor's: statistics are comparable only under the same one.
func (c *Classifier) Name() string { return c.Title }

// Dim is the number of features of a picture.
func (c *Classifier) Dim() int { return c.Widths[len(c.Widths)-1] }

// Features writes the features of pictures to dst, one row of Dim each. Pictures of another size or number of channels
// are an error, and it panics if dst is not as long as these rows.
func (c *Classifier) Features(dst []float64, pictures []imageio.Image) error {
	_, err := c.Classify(dst, pictures)
	return err
}

// Classify is Features that also returns the most likely class of each picture.
func (c *Classifier) Classify(dst []float64, pictures []imageio.Image) ([]int, error) {
	n, dim := len(pictures), c.Dim()
	if len(dst) != n*dim {
		panic(fmt.Sprintf("metric: %d values for %d rows of %d features", len(dst), n, dim))
	}
	for i, m := range pictures {
		if m.H != c.Height || m.W != c.Width || m.C != c.Channels {
			return nil, fmt.Errorf("picture %d is one of %d×%d×%d; the %s features are for %d×%d×%d", i, m.H, m.W, m.C, c.Title, c.Height, c.Width, c.Channels)
		}
		if err := sound(m); err != nil {
			return nil, fmt.Errorf("picture %d: %w", i, err)
		}
	}
	classes := make([]int, n)
	kernel.For(n, pass, func(i0, i1 int) { c.classify(dst[i0*dim:i1*dim], classes[i0:i1], pictures[i0:i1]) })
	return classes, nil
}

// pass is the number of small pictures that one processor takes through a network at a time: their activations stay in its cache.
const pass = 16

func (c *Classifier) classify(dst []float64, classes []int, pictures []imageio.Image) {
	x := tensor.New(len(pictures), c.Height, c.Width, c.Channels)
	per := x.Len() / len(pictures)
	for i, m := range pictures {
		imageio.ToFloat(x.Data[i*per:(i+1)*per], m.Pix)
	}
	features, logits := c.Forward(nil, x, nil)
	for i, v := range features.Data {
		dst[i] = float64(v)
	}
	for i := range classes {
		row := logits.Data[i*len(c.Classes) : (i+1)*len(c.Classes)]
		classes[i] = slices.Index(row, slices.Max(row))
	}
	tensor.Recycle(nil, features, logits)
}
