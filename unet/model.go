package unet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"diffuse/checkpoint"
	"diffuse/schedule"
)

// A Model is what a model file holds: one .safetensors file whose metadata
// has the card and whose tensors are the weights.
type Model struct {
	Card
	Net *Net
}

// A Card says what a network is, apart from its weights. It is stored as
// JSON in the metadata of the model file; unknown fields are refused.
type Card struct {
	Config        Config          `json:"config"`
	Precond       string          `json:"preconditioning"`       // "edm", "edm-v", "v", "eps", "x0", "vp", "ve", "iddpm", "discrete", "consistency" or "score"
	SigmaData     float64         `json:"sigma_data"`            // EDM only
	ImageRange    [2]float64      `json:"image_range"`           // what byte 0 and byte 255 become: the scale of denoised pictures, mostly -1 to 1
	ImageMean     []float64       `json:"image_mean,omitempty"`  // of the training data on that scale, per channel
	Classes       []string        `json:"classes,omitempty"`     // names, one per label
	Training      json.RawMessage `json:"training,omitempty"`    // how the weights came to be
	Description   string          `json:"description,omitempty"` // a sentence for people
	License       string          `json:"license,omitempty"`     // of weights and data
	ImagesTrained int64           `json:"images_trained,omitempty"`

	Discrete   *schedule.Trained `json:"discrete,omitempty"`    // of preconditioning "discrete"
	SigmaRange *[2]float64       `json:"sigma_range,omitempty"` // of "consistency" and "score": the levels that it was trained on; from 0 for a teacher of consistency models
	Diffusers  *DiffusersOrigin  `json:"diffusers,omitempty"`   // of a model that came from diffusers
	Sampling   *Sampling         `json:"sampling,omitempty"`    // how pictures are drawn unless one asks for something else
}

// Sampling is how the pictures of a model are best drawn, spelled as the flags of "diffuse sample": Sampler is a name for sampler.Lookup, and
// the noise levels are schedule.Karras(Steps, SigmaMin, SigmaMax, Rho), for a student of few evaluations
// the first Steps of schedule.Karras(Steps+1, …) and a 0.
type Sampling struct {
	Sampler  string  `json:"sampler"`
	Steps    int     `json:"steps"`
	SigmaMin float64 `json:"sigma_min"`
	SigmaMax float64 `json:"sigma_max"`
	Rho      float64 `json:"rho"`
	Skip     string  `json:"skip,omitempty"` // skip weights
	Few      bool    `json:"few,omitempty"`  // a student of few evaluations: SigmaMin only places the levels above it
}

// Preconditioning returns what Precond names.
func (c Card) Preconditioning() (schedule.Precond, error) {
	switch {
	case c.Precond == "consistency" || c.Precond == "score":
		if r := c.SigmaRange; r == nil || !(r[0] >= 0 && r[0] < r[1] && r[1] < 1e6) || !(c.SigmaData > 0) {
			return schedule.Precond{}, fmt.Errorf("preconditioning %q without its range of noise levels", c.Precond)
		} else if c.Precond == "score" {
			return schedule.Score(r[0], r[1]), nil
		}
		return schedule.Consistency(c.SigmaRange[0], c.SigmaRange[1], c.SigmaData), nil
	case c.Precond != "discrete":
		return schedule.PrecondByName(c.Precond, c.SigmaData)
	case c.Discrete == nil:
		return schedule.Precond{}, errors.New("discrete preconditioning without its schedule")
	}
	return c.Discrete.Precond()
}

// Metadata keys of a model file.
const (
	formatKey  = "format"
	formatName = "diffuse-model-1"
	cardKey    = "card"
)

// Save writes the model to path as one .safetensors file, atomically, with
// weights stored as d.
func (m *Model) Save(path string, d checkpoint.DType) error {
	f, err := m.File(d)
	if err != nil {
		return fmt.Errorf("writing model %s: %w", path, err)
	}
	return checkpoint.WriteFile(path, f)
}

// File returns the contents of a model file with weights stored as d. The configuration in it is the network's, whatever the card says.
func (m *Model) File(d checkpoint.DType) (*checkpoint.File, error) {
	c := m.Card
	c.Config = m.Net.Config
	card, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	tensors, err := m.Net.Export(d)
	if err != nil {
		return nil, err
	}
	return &checkpoint.File{Meta: map[string]string{formatKey: formatName, cardKey: string(card)}, Tensors: tensors}, nil
}

// LoadModel reads a model file, told apart by content: one of ours, or a
// snapshot or training state of EDM or SiD (see [ReadEDM]), or weights of OpenAI's
// programs (see [ReadOpenAI]). The error says what is
// wrong with it: no file of either kind, no card, unknown fields, missing,
// unknown or misshapen tensors.
func LoadModel(path string) (*Model, error) { return LoadModelAs(path, "") }

// LoadModelAs is LoadModel for a file whose tensors do not tell their network's whole architecture: arch says the rest (see [ReadOpenAI]). If it
// is "", a file of flags beside path counts, NAME.flags for NAME.pt.
func LoadModelAs(path, arch string) (*Model, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		if checkpoint.IsPickle(path) {
			return loadPickle(path, arch)
		}
		return nil, err
	}
	defer f.Close()
	if IsOpenAI(f) {
		return loadOpenAI(f, path, arch)
	}
	m, err := ReadModel(f)
	if err != nil {
		return nil, fmt.Errorf("loading model %s: %w", path, err)
	}
	return m, nil
}

// loadPickle reads a pickle or PyTorch file: a network of EDM's or SiD's, or weights of OpenAI's programs.
func loadPickle(path, arch string) (*Model, error) {
	p, err := checkpoint.OpenPickle(path)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if net, _ := EDMNetwork(p); net == nil {
		f, err := p.Tensors(p.Root)
		if err == nil && IsOpenAI(f) {
			return loadOpenAI(f, path, arch)
		}
	}
	m, err := ReadEDM(p)
	if err != nil {
		return nil, fmt.Errorf("loading model %s: %w", path, err)
	}
	return m, nil
}

func loadOpenAI(f *checkpoint.File, path, arch string) (*Model, error) {
	if arch == "" {
		b, err := readJSON(strings.TrimSuffix(path, filepath.Ext(path)) + ".flags")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		arch = strings.TrimSpace(string(b))
	}
	m, err := ReadOpenAI(f, arch)
	if err != nil {
		return nil, fmt.Errorf("loading model %s: %w", path, err)
	}
	return m, nil
}

// ReadModel builds a model from an opened file, which may be closed
// afterwards.
func ReadModel(f *checkpoint.File) (*Model, error) {
	card, err := ReadCard(f)
	if err != nil {
		return nil, err
	}
	if err := outline(card.Config).match(f.Tensors); err != nil {
		return nil, err // before anything of the network's size is allocated
	}
	m := &Model{Card: card, Net: empty(card.Config)}
	if err := m.Net.Import(f.Tensors); err != nil {
		return nil, err
	}
	return m, nil
}

// ReadCard returns the card of an opened model file without touching its
// weights.
func ReadCard(f *checkpoint.File) (Card, error) {
	var c Card
	if got := f.Meta[formatKey]; got != formatName {
		if strings.HasPrefix(got, "diffuse-model-") {
			return c, fmt.Errorf("format %q is newer than this program, which reads %q", got, formatName)
		}
		return c, fmt.Errorf("not a diffuse model: its metadata has format %q, want %q", got, formatName)
	}
	if err := strictUnmarshal([]byte(f.Meta[cardKey]), &c); err != nil {
		return c, fmt.Errorf("reading the model card: %w", err)
	}
	if err := c.Config.Validate(); err != nil {
		return c, err
	}
	if len(c.Classes) != 0 && len(c.Classes) != c.Config.LabelDim {
		return c, fmt.Errorf("the model card names %d classes, the network has %d", len(c.Classes), c.Config.LabelDim)
	}
	if !(c.ImageRange[0] < c.ImageRange[1]) {
		return c, fmt.Errorf("the model card has image range %v, want low below high", c.ImageRange)
	}
	_, err := c.Preconditioning()
	return c, err
}

// Denoiser returns the preconditioned network for a batch with the given
// labels, which it keeps: a class per picture, −1 for none; nil = none at all. A class that the
// network does not have is an error.
func (m *Model) Denoiser(labels []int) (Denoiser, error) {
	if err := m.Net.checkLabels(labels); err != nil {
		return Denoiser{}, err
	}
	p, err := m.Preconditioning()
	return Denoiser{Net: m.Net, Precond: p, Labels: labels}, err
}

// checkLabels reports the first label that is neither −1 nor a class. Where a UNet2DModel embeds labels as it does times, every number is one.
func (c Config) checkLabels(labels []int) error {
	numbers := c.LabelDim > 0 && c.UNet2D != nil && c.UNet2D.ClassEmbedding == "timestep"
	for i, l := range labels {
		switch {
		case l == -1 || numbers && l >= 0 || 0 <= l && l < c.LabelDim:
		case c.LabelDim == 0:
			return fmt.Errorf("picture %d is to be of class %d, and the network has no classes", i, l)
		default:
			return fmt.Errorf("picture %d is to be of class %d, and the network has classes 0 to %d (-1: none)", i, l, c.LabelDim-1)
		}
	}
	return nil
}
