package main

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"diffuse/checkpoint"
	"diffuse/metric"
	"diffuse/zoo"
)

// An extractor is a feature network with what statistics remember of it.
type extractor struct {
	metric.Extractor
	hash   string // of its weights
	resize string // what brings pictures to its size, unless its name says so
	batch  int    // pictures at a time
}

// provenance is what statistics made with e remember.
func (e *extractor) provenance(data string) metric.Provenance {
	p := metric.Provenance{Data: data, ExtractorHash: e.hash}
	p.Extractor, p.Resize, _ = strings.Cut(e.Name(), "/")
	if e.resize != "" {
		p.Resize = e.resize
	}
	return p
}

// distanceName is what the Fréchet distance is called over these features.
func (e *extractor) distanceName() string {
	if strings.HasPrefix(e.Name(), "inception-2048/") {
		return "fid"
	}
	return "fd-" + e.Name()
}

// featureNames lists what --features takes.
var featureNames = []string{"fashion", "random", "inception"}

// extractor chooses the feature network for pictures of h×w×c: the one asked for, else Inception if its weights were given, else the first that fits.
func (s *evalSettings) extractor(u *ui, h, w, c int) (*extractor, error) {
	name, door, hasDoor := strings.Cut(s.features, "/")
	switch {
	case name == "" && s.inception != "":
		name = "inception"
	case name == "":
		name = "random"
		if h == 28 && w == 28 && c == 1 {
			name = "fashion"
		}
	case !slices.Contains(featureNames, name) && !strings.HasPrefix(name, "inception-"), hasDoor && !strings.HasPrefix(name, "inception"):
		return nil, unknownName("feature network", s.features, featureNames)
	}
	if s.inception != "" && !strings.HasPrefix(name, "inception") {
		return nil, usagef("--inception contradicts --features %s: give one of them", s.features)
	}
	switch name {
	case "fashion":
		k, hash, err := fashionFeatures()
		if err != nil {
			return nil, err
		}
		if h != k.Height || w != k.Width || c != k.Channels {
			err := fmt.Errorf("the fashion features are for pictures of %d×%d×%d, these are %d×%d×%d", k.Height, k.Width, k.Channels, h, w, c)
			return nil, withHint(err, "--features random takes any size")
		}
		return &extractor{Extractor: k, hash: hash, batch: smallBatch}, nil
	case "random":
		r, err := metric.NewRandom(c)
		// Another size is another scale of texture, and grey has weights of its own.
		return &extractor{r, "formula", fmt.Sprintf("none, %d×%d×%d", h, w, c), smallBatch}, err
	}
	return s.openInception(u, name, door)
}

// fashionFeatures opens the classifier inside the program.
func fashionFeatures() (k *metric.Classifier, hash string, err error) {
	b, err := zoo.FashionFeatures()
	if err != nil {
		return nil, "", err
	}
	f, err := checkpoint.OpenBytes(b)
	if err != nil {
		return nil, "", fmt.Errorf("fashion features: %w", err)
	}
	k, err = metric.ReadClassifier(f)
	return k, fmt.Sprintf("%x", sha256.Sum256(b)), err
}

// openInception reads the user's weights: those of --inception, which are remembered if they are good, or the ones remembered. name may be
// "inception" or a layer such as "inception-64"; door is how pictures come in.
func (s *evalSettings) openInception(u *ui, name, door string) (*extractor, error) {
	path, from := s.inception, "--inception "+s.inception
	if path == "" {
		c, err := readConfig()
		if err != nil {
			return nil, err
		}
		if c.Inception == "" {
			err := usagef("--features %s needs the network's weights, which are not part of this program: --inception FILE", s.features)
			return nil, withHint(err, "FILE is pt_inception-2015-12-05-6726825d.pth, 95 MB, from the release fid_weights of github.com/mseitzer/pytorch-fid (torch-fidelity's is the same), or its tensors as safetensors; it is remembered")
		}
		path, from = c.Inception, "the Inception weights remembered from an earlier --inception"
	}
	if name == "inception" {
		name = "inception-2048"
	}
	if door == "" {
		door = string(metric.TorchFidelity)
	}
	f, err := checkpoint.OpenWeights(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	defer f.Close()
	net, err := metric.NewInception(f.Tensors)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	e, err := net.Extractor(name + "/" + door)
	if err != nil {
		return nil, usageError{fmt.Errorf("--features: %w", err)}
	}
	hash, err := fileHash(path)
	if err == nil && s.inception != "" {
		rememberInception(u, path)
	}
	return &extractor{Extractor: e, hash: hash, batch: inceptionBatch}, err
}

// Pictures that go through a feature network between two looks at the clock and at interrupts: about a tenth of a second of the
// small ones, a second of Inception.
const smallBatch, inceptionBatch = 256, 16

// inceptionLayerNames lists what may follow "inception-".
func inceptionLayerNames() string {
	var names []string
	for l := metric.Inception64; l <= metric.InceptionLogits; l++ {
		names = append(names, l.String())
	}
	return strings.Join(names, ", ")
}

// inceptionDoorNames lists what may follow the layer and a slash.
func inceptionDoorNames() string {
	var names []string
	for _, d := range metric.FrontDoors() {
		names = append(names, string(d))
	}
	return strings.Join(names, ", ")
}
