package metric

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"diffuse/checkpoint"
)

// A Provenance says where statistics come from. An empty string means that nobody knows.
type Provenance struct {
	Data          string // what the pictures are, in words or as a path: shown, never compared
	Extractor     string // the feature network and layer, such as "inception-2048"
	ExtractorHash string // SHA-256 of the file with its weights, in hexadecimal, or "formula"
	Resize        string // how pictures became the network's input, such as "torch_fidelity" or "none, 32×32×3"
}

// Comparable refuses to compare statistics of different extractors, weights or resizes, where both sides know theirs; the error says which two. What one side does
// not know is let pass.
func (p Provenance) Comparable(q Provenance) error {
	for _, f := range []struct{ what, p, q string }{
		{"extractors", p.Extractor, q.Extractor},
		{"extractor weights", p.ExtractorHash, q.ExtractorHash},
		{"resizes", p.Resize, q.Resize},
	} {
		if f.p != "" && f.q != "" && f.p != f.q {
			return fmt.Errorf("statistics made with different %s cannot be compared: %q and %q", f.what, f.p, f.q)
		}
	}
	return nil
}

// Stats are the contents of a statistics file: a Gaussian, where it comes from and, in ADM's files, a second Gaussian of the spatial features (nil otherwise).
type Stats struct {
	Gaussian
	Provenance
	Spatial *Gaussian
}

// FrechetStats is [Frechet] of statistics whose provenances agree (see [Provenance.Comparable]).
func FrechetStats(a, b Stats) (float64, error) {
	if err := a.Comparable(b.Provenance); err != nil {
		return 0, err
	}
	return Frechet(a.Gaussian, b.Gaussian)
}

// ReadStats reads a statistics file, told apart by content:
//   - npz with mu (d) and sigma (d×d), of any float type, as pytorch-fid, EDM and ADM (guided-diffusion) write it; ADM's mu_s and sigma_s become
//     Spatial, its pictures are not unpacked. N and the provenance are unknown.
//   - our safetensors, as [Stats.WriteFile] writes it.
//   - a pickled dictionary of mu and sigma, or EDM2's of such dictionaries by metric, of which "fid" is taken, beside num_images.
//
// The statistics are checked (see [Gaussian.Check]); errors name path.
func ReadStats(path string) (Stats, error) {
	s, err := readStats(path)
	if err != nil {
		return Stats{}, fmt.Errorf("statistics file %s: %w", path, err)
	}
	return s, nil
}

func readStats(path string) (Stats, error) {
	start, err := firstBytes(path)
	if err != nil {
		return Stats{}, err
	}
	f, err := checkpoint.Open(path) // first: a safetensors file may start with any two bytes, which are its header's length
	switch {
	case err != nil && start == "PK":
		f, err = checkpoint.OpenNPZ(path)
	case err != nil && checkpoint.IsPickle(path):
		return readPickledStats(path)
	}
	if err != nil {
		return Stats{}, err
	}
	defer f.Close()
	s := Stats{Provenance: Provenance{
		Data: f.Meta["data"], Extractor: f.Meta["extractor"], ExtractorHash: f.Meta["extractor_sha256"], Resize: f.Meta["resize"],
	}}
	if s.Gaussian, err = gaussianOf(f, "mu", "sigma"); err != nil {
		return Stats{}, err
	}
	if f.Tensors["mu_s"] != nil {
		g, err := gaussianOf(f, "mu_s", "sigma_s")
		if err != nil {
			return Stats{}, err
		}
		s.Spatial = &g
	}
	if n, ok := f.Meta["pictures"]; ok {
		if s.N, err = strconv.Atoi(n); err != nil || s.N < 2 {
			return Stats{}, fmt.Errorf("statistics of %q pictures", n)
		}
	}
	return s, nil
}

// readPickledStats reads EDM2's reference statistics, as its calculate_metrics.py saves them.
func readPickledStats(path string) (s Stats, err error) {
	p, err := checkpoint.OpenPickle(path)
	if err != nil {
		return s, err
	}
	defer p.Close()
	f, err := p.File()
	if err != nil {
		return s, err
	}
	prefix := ""
	if f.Tensors["mu"] == nil && f.Tensors["fid.mu"] != nil {
		prefix = "fid."
	}
	if s.Gaussian, err = gaussianOf(f, prefix+"mu", prefix+"sigma"); err != nil {
		return s, fmt.Errorf("a Python pickle without a Fréchet distance's statistics: %w", err)
	}
	root, _ := p.Root.(*checkpoint.Dict)
	switch n := root.Get("num_images").(type) {
	case nil:
	case int64:
		if s.N = int(n); n < 2 {
			return s, fmt.Errorf("statistics of %d pictures", n)
		}
	default:
		return s, errors.New("num_images is not a whole number")
	}
	return s, nil
}

func firstBytes(path string) (string, error) {
	b := make([]byte, 2)
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		_, err = io.ReadFull(f, b)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return "", e.Err // the caller names the path
	}
	if err != nil {
		return "", fmt.Errorf("empty or cut short: %w", err)
	}
	return string(b), nil
}

// gaussianOf decodes a mean and a covariance.
func gaussianOf(f *checkpoint.File, mu, sigma string) (Gaussian, error) {
	m, err1 := f.Tensor(mu)
	c, err2 := f.Tensor(sigma)
	if err := errors.Join(err1, err2); err != nil {
		return Gaussian{}, err
	}
	if len(m.Shape) != 1 || len(c.Shape) != 2 || c.Shape[0] != m.Shape[0] || c.Shape[1] != m.Shape[0] {
		return Gaussian{}, fmt.Errorf("%s of shape %v and %s of shape %v; want d and d×d", mu, m.Shape, sigma, c.Shape)
	}
	if !m.DType.Float() || !c.DType.Float() {
		return Gaussian{}, fmt.Errorf("%s of type %s and %s of type %s; want floats", mu, m.DType, sigma, c.DType)
	}
	var g Gaussian
	var err error
	if g.Mean, err = m.Float64(); err != nil {
		return Gaussian{}, fmt.Errorf("%s: %w", mu, err)
	}
	if g.Cov, err = c.Float64(); err != nil {
		return Gaussian{}, fmt.Errorf("%s: %w", sigma, err)
	}
	return g, g.Check()
}

// WriteNPZ writes mu and sigma as float64, and mu_s and sigma_s if Spatial is set, for pytorch-fid, EDM and ADM. The format has no place for the number of
// pictures and the provenance: they are lost.
func (s Stats) WriteNPZ(path string) error {
	arrays, err := s.arrays()
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return checkpoint.WriteNPZ(path, arrays...)
}

// WriteFile writes the same arrays as safetensors, with the number of pictures and the provenance as metadata.
func (s Stats) WriteFile(path string) error {
	arrays, err := s.arrays()
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	f := &checkpoint.File{Meta: map[string]string{"format": "diffuse statistics 1"}, Tensors: map[string]*checkpoint.Tensor{}}
	for _, a := range arrays {
		f.Tensors[a.Name] = a.Tensor
	}
	for key, v := range map[string]string{
		"data": s.Data, "extractor": s.Extractor, "extractor_sha256": s.ExtractorHash, "resize": s.Resize,
	} {
		if v != "" {
			f.Meta[key] = v
		}
	}
	if s.N > 0 {
		f.Meta["pictures"] = strconv.Itoa(s.N)
	}
	return checkpoint.WriteFile(path, f)
}

// arrays checks s before anything is written.
func (s Stats) arrays() ([]checkpoint.Array, error) {
	pair := func(g Gaussian, mu, sigma string) []checkpoint.Array {
		d := len(g.Mean)
		return []checkpoint.Array{
			{Name: mu, Tensor: checkpoint.Float64([]int{d}, g.Mean)},
			{Name: sigma, Tensor: checkpoint.Float64([]int{d, d}, g.Cov)},
		}
	}
	if err := s.Gaussian.Check(); err != nil {
		return nil, err
	}
	out := pair(s.Gaussian, "mu", "sigma")
	if s.Spatial != nil {
		if err := s.Spatial.Check(); err != nil {
			return nil, fmt.Errorf("spatial: %w", err)
		}
		out = append(out, pair(*s.Spatial, "mu_s", "sigma_s")...)
	}
	return out, nil
}
