package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	"diffuse/dataset"
	"diffuse/internal/kernel"
	"diffuse/tensor"
)

// The bins of validation are eight equal parts of ln sigma over EDM's sampling range. Every run is measured in the same ones, whatever levels it trains on.
const (
	validationBins = 8
	validationLow  = 0.002
	validationHigh = 80.0
)

// Validation says what a run measures its loss on at every tick, without a gradient.
type Validation struct {
	Data     dataset.Dataset // held-out pictures, of the training data's size and number of classes
	Pictures int             // how many of them, evenly spread; at most all
}

// A ValidationLine is one line of validation.jsonl: the EDM loss (w as in [EDMLoss], per pixel value) of the averaged weights on held-out pictures, whatever
// loss the run trains with. Each picture is shown once in every bin, with a noise level and noise that depend on its place and the bin alone: the
// lines of a run, and of different runs, compare the same questions.
type ValidationLine struct {
	Tick   int64           `json:"tick"`
	Images int64           `json:"nimg"`
	Loss   float64         `json:"loss"` // mean over the bins: over ln sigma, evenly
	Bins   []ValidationBin `json:"bins"` // by rising sigma
}

// A ValidationBin is the mean loss at noise levels between two bounds.
type ValidationBin struct {
	Low  float64 `json:"sigma_min"`
	High float64 `json:"sigma_max"`
	Loss float64 `json:"loss"`
}

// check reports whether the held-out pictures fit the training data.
func (v *Validation) check(data dataset.Dataset) error {
	h, w, c := data.Size()
	h2, w2, c2 := v.Data.Size()
	switch {
	case v.Data.Len() == 0 || v.Pictures < 1:
		return fmt.Errorf("validation: %d of %d pictures are none", v.Pictures, v.Data.Len())
	case h != h2 || w != w2 || c != c2:
		return fmt.Errorf("validation: the pictures are %d×%d×%d, those for training %d×%d×%d", h2, w2, c2, h, w, c)
	case data.Labels() != v.Data.Labels():
		return fmt.Errorf("validation: the pictures have %d classes, those for training %d", v.Data.Labels(), data.Labels())
	}
	return nil
}

// measure returns the loss of net in every bin.
func (v *Validation) measure(net Network, sigmaData float64) ([]ValidationBin, error) {
	n := min(v.Pictures, v.Data.Len())
	losses, errs := make([][validationBins]float64, n), make([]error, n)
	kernel.For(n, 1, func(i0, i1 int) {
		for i := i0; i < i1; i++ {
			losses[i], errs[i] = v.picture(net, i, i*v.Data.Len()/n, sigmaData)
		}
	})
	bins := make([]ValidationBin, validationBins)
	for b := range bins {
		bins[b].Low, bins[b].High = validationSigma(float64(b)), validationSigma(float64(b+1))
		for i := range losses {
			if errs[i] != nil {
				return nil, errs[i]
			}
			bins[b].Loss += losses[i][b] / float64(n)
		}
		if math.IsNaN(bins[b].Loss) || math.IsInf(bins[b].Loss, 0) {
			return nil, fmt.Errorf("the loss at sigma %.3g to %.3g is %v", bins[b].Low, bins[b].High, bins[b].Loss)
		}
	}
	return bins, nil
}

// validationSigma is the noise level at a place on the scale of the bins, 0 to validationBins.
func validationSigma(place float64) float64 {
	return validationLow * math.Pow(validationHigh/validationLow, place/validationBins)
}

// picture returns the losses of picture `pick`, the i-th that is measured: one pass over all bins.
func (v *Validation) picture(net Network, i, pick int, sigmaData float64) (losses [validationBins]float64, err error) {
	h, w, c := v.Data.Size()
	per := h * w * c
	pixels := make([]uint8, per)
	label, err := v.Data.Get(pick, pixels)
	if err != nil {
		return losses, fmt.Errorf("reading picture %d: %w", pick, err)
	}
	if label >= v.Data.Labels() || v.Data.Labels() > 0 && label < 0 {
		return losses, fmt.Errorf("picture %d: its class is %d, the data set has %d", pick, label, v.Data.Labels())
	}
	clean, noisy := tensor.New(validationBins, h, w, c), tensor.New(validationBins, h, w, c)
	sigma, labels := make([]float64, validationBins), []int(nil)
	levels, noise := NewStream(0, forValidationSigma), NewStream(0, forValidationNoise) // of no run's seed
	var g rand.PCG
	r := rand.New(&g)
	for b := range sigma {
		draw := int64(i*validationBins + b)
		levels.Seek(&g, draw)
		sigma[b] = validationSigma(float64(b) + r.Float64())
		if v.Data.Labels() > 0 {
			labels = append(labels, label)
		}
		noise.Seek(&g, draw)
		for j, p := range pixels {
			y := float32(p)/127.5 - 1
			clean.Data[b*per+j] = y
			noisy.Data[b*per+j] = y + float32(sigma[b]*r.NormFloat64())
		}
	}
	d := net.Denoise(nil, noisy, sigma, labels, nil)
	EDMLoss(d.Data, losses[:], d.Data, clean.Data, sigma, sigmaData, 0)
	for b := range losses {
		losses[b] /= float64(per)
	}
	return losses, nil
}

// validate measures the averaged weights and writes that down.
func (r *Run) validate(t Tick) error {
	bins, err := r.job.Validation.measure(r.EMA, r.Options.SigmaData)
	if err != nil {
		return fmt.Errorf("validation after %d images: %w", r.Images, err)
	}
	line := ValidationLine{Tick: t.Stats.Tick, Images: r.Images, Bins: bins}
	for _, b := range bins {
		line.Loss += b.Loss / validationBins
	}
	return r.journal.validated(r.Dir, line)
}
