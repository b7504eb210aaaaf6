package metric

import (
	"fmt"
	"strings"

	"diffuse/imageio"
	"diffuse/internal/kernel"
)

// An Extractor is a feature network together with the way pictures come in. Numbers made with different extractors
// cannot be compared.
type Extractor interface {
	// Name says which features these are, "inception-2048/torch_fidelity" for example.
	Name() string
	// Dim is the number of features of one picture.
	Dim() int
	// Features writes len(pictures) rows of Dim features to dst, which holds as many and no more. A row depends on its picture alone. The
	// Inception network takes pictures of any sizes, of which grey is repeated to three channels and opacity dropped; the small ones
	// take pictures of one size with their own channels, and others are an error. So is a picture whose Pix does not fit its size; errors
	// name the picture's index.
	Features(dst []float64, pictures []imageio.Image) error
}

// inceptionBatch is how many pictures go through the network at a time: about 100 MB of activations.
const inceptionBatch = 8

// inceptionExtractor reads one layer of the network through one front door.
type inceptionExtractor struct {
	net   *Inception
	layer InceptionLayer
	door  FrontDoor
}

// Extractor returns the extractor called name, "inception-LAYER/DOOR": LAYER is 64, 192, 768, 2048, logits_unbiased or logits, and
// DOOR one of the FrontDoors. FID is defined on "inception-2048/torch_fidelity". Unknown names are an error.
func (net *Inception) Extractor(name string) (Extractor, error) {
	var known []string
	for l := range inceptionLayers {
		for _, d := range FrontDoors() {
			e := &inceptionExtractor{net, InceptionLayer(l), d}
			if e.Name() == name {
				return e, nil
			}
			known = append(known, e.Name())
		}
	}
	return nil, fmt.Errorf("no extractor %q; there are %s", name, strings.Join(known, ", "))
}

// sound reports a picture that is none: without pixels, or with bytes that do not fit its size.
func sound(m imageio.Image) error {
	if m.H < 1 || m.W < 1 || m.C != 1 && m.C != 3 && m.C != 4 || len(m.Pix) != m.H*m.W*m.C {
		return fmt.Errorf("%d bytes as a picture of %d×%d pixels and %d channels", len(m.Pix), m.H, m.W, m.C)
	}
	return nil
}

func (e *inceptionExtractor) Name() string {
	return "inception-" + e.layer.String() + "/" + string(e.door)
}

func (e *inceptionExtractor) Dim() int { return e.layer.Dim() }

func (e *inceptionExtractor) Features(dst []float64, pictures []imageio.Image) error {
	dim := e.Dim()
	if len(dst) != len(pictures)*dim {
		return fmt.Errorf("%s: room for %d values, %d pictures have %d", e.Name(), len(dst), len(pictures), len(pictures)*dim)
	}
	const size = InceptionSize * InceptionSize * 3
	x := make([]float32, min(len(pictures), inceptionBatch)*size)
	errs := make([]error, inceptionBatch)
	for i := 0; i < len(pictures); i += inceptionBatch {
		some := pictures[i:min(i+inceptionBatch, len(pictures))]
		kernel.For(len(some), 1, func(j0, j1 int) {
			for j := j0; j < j1; j++ {
				errs[j] = e.door.Prepare(x[j*size:(j+1)*size], some[j])
			}
		})
		for j, err := range errs[:len(some)] {
			if err != nil {
				return fmt.Errorf("%s: picture %d: %w", e.Name(), i+j, err)
			}
		}
		copy(dst[i*dim:], e.net.Layers(x, len(some), e.layer)[0])
	}
	return nil
}
