package train

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"diffuse/checkpoint"
)

// powerFormat marks a file of power-function averages, power-IMAGES.safetensors in the run folder: tensors power0.* and power1.*, in the memory layout of
// the network's parameters. The checkpoint holds the latest ones under the same names.
const (
	powerFormat = "diffuse-power-ema-1"
	powerStem   = "power"
)

// powerSections are the parts of a file that the averages take.
func (t *Trainer) powerSections() []section {
	var s []section
	for k, p := range t.powers {
		s = append(s, section{powerPrefix(k), func(i int) []float32 { return p.values[i] }})
	}
	return s
}

func powerPrefix(k int) string { return powerStem + strconv.Itoa(k) + "." }

// powerMeta describes the averages in a file's metadata.
func (t *Trainer) powerMeta(meta map[string]string) {
	if len(t.powers) > 0 {
		meta["ema_stds"] = exact(t.Options.EMAStds[0]) + "," + exact(t.Options.EMAStds[1])
	}
}

// writePowers stores the power-function averages at path.
func (t *Trainer) writePowers(path string) error {
	f := &checkpoint.File{
		Meta:    map[string]string{"format": powerFormat, "images": strconv.FormatInt(t.Images, 10)},
		Tensors: make(map[string]*checkpoint.Tensor),
	}
	t.powerMeta(f.Meta)
	t.addSections(f, t.powerSections())
	return checkpoint.WriteFile(path, f)
}

// A Reconstruction is an average of a run's weights that was put together afterwards.
type Reconstruction struct {
	Images   int64                // the profile ends here
	Averages int                  // that it was put together from
	Residual float64              // of FitProfile
	Weights  map[string][]float64 // by parameter
}

// ReconstructEMA puts the power-function average of relative standard deviation std after `images` images of the run in folder dir together from the averages
// that the run has stored up to then (Options.EMAStds): those of snapshots and the checkpoint's. With images 0 it ends with the
// latest of them. The run may be at work meanwhile.
func ReconstructEMA(dir string, std float64, images int64) (*Reconstruction, error) {
	if !(std > 0 && std <= widestEMA) {
		return nil, fmt.Errorf("the relative standard deviation of an average is %v, want more than 0 and at most %v", std, widestEMA)
	}
	files, err := openPowers(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	r := &Reconstruction{Images: images}
	if images == 0 {
		for _, f := range files {
			r.Images = max(r.Images, f.images)
		}
	}
	var given []Profile
	var used []*powerSet
	for _, f := range files {
		if f.images > 0 && f.images <= r.Images {
			used = append(used, f)
			for _, g := range f.gammas {
				given = append(given, Profile{f.images, g})
			}
		}
	}
	r.Averages = len(given)
	factors, residual, err := FitProfile(given, Profile{r.Images, EMAGamma(std)})
	if err != nil {
		return nil, fmt.Errorf("%s up to %d images: %w", dir, r.Images, err)
	}
	r.Residual, r.Weights = residual, make(map[string][]float64)
	for _, f := range used {
		if err := f.add(r.Weights, factors[:len(f.gammas)]); err != nil {
			return nil, err
		}
		factors = factors[len(f.gammas):]
	}
	return r, nil
}

// A powerSet is an open file with power-function averages.
type powerSet struct {
	*checkpoint.File
	path   string
	images int64
	gammas []float64
}

// openPowers opens all files of a run that hold power-function averages, one for each count of images.
func openPowers(dir string) (sets []*powerSet, err error) {
	defer func() {
		if err != nil {
			for _, s := range sets {
				s.Close()
			}
		}
	}()
	paths, err := filepath.Glob(filepath.Join(escapeGlob(dir), powerStem+"-*.safetensors"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(paths, filepath.Join(dir, stateFile)) {
		f, err := checkpoint.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return sets, err
		}
		s := &powerSet{File: f, path: path}
		if f.Meta["ema_stds"] == "" {
			f.Close() // a checkpoint of a run that keeps none
			continue
		}
		if err := s.describe(); err != nil {
			f.Close()
			return sets, fmt.Errorf("%s: %w", path, err)
		}
		if slices.ContainsFunc(sets, func(o *powerSet) bool { return o.images == s.images }) {
			f.Close() // the checkpoint repeats the last snapshot
			continue
		}
		sets = append(sets, s)
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("%s holds no averages to reconstruct others from: a run keeps them if it was started with ema_stds", dir)
	}
	return sets, nil
}

// escapeGlob quotes what filepath.Match takes for patterns.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// describe reads the metadata.
func (s *powerSet) describe() error {
	var err error
	if s.images, err = strconv.ParseInt(s.Meta["images"], 10, 64); err != nil || s.images < 0 {
		return fmt.Errorf("images is %q, want a count", s.Meta["images"])
	}
	for text := range strings.SplitSeq(s.Meta["ema_stds"], ",") {
		std, err := strconv.ParseFloat(text, 64)
		if err != nil || !(std > 0 && std <= widestEMA) {
			return fmt.Errorf("ema_stds is %q, want relative standard deviations", s.Meta["ema_stds"])
		}
		s.gammas = append(s.gammas, EMAGamma(std))
	}
	return nil
}

// add adds the file's averages times their factors to sum.
func (s *powerSet) add(sum map[string][]float64, factors []float64) error {
	for k, factor := range factors {
		found := false
		for name, t := range s.Tensors {
			param, ok := strings.CutPrefix(name, powerPrefix(k))
			if !ok {
				continue
			}
			found = true
			v, err := t.Float32()
			if err != nil {
				return fmt.Errorf("%s: tensor %q: %w", s.path, name, err)
			}
			if sum[param] == nil {
				sum[param] = make([]float64, len(v))
			}
			if len(sum[param]) != len(v) {
				return fmt.Errorf("%s: tensor %q has %d values, in other files of the run %d", s.path, name, len(v), len(sum[param]))
			}
			for i, x := range v {
				sum[param][i] += factor * float64(x)
			}
		}
		if !found {
			return fmt.Errorf("%s: no tensors %s*", s.path, powerPrefix(k))
		}
	}
	return nil
}
