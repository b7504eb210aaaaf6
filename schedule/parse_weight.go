package schedule

import (
	"fmt"
	"strings"
)

// A weightFamily is a line of the table of weights.
type weightFamily struct {
	name, options string
	build         func(o *options, sigmaData float64) Weight
}

func weightFamilies() []weightFamily {
	plain := func(w Weight) func(*options, float64) Weight { return func(*options, float64) Weight { return w } }
	return []weightFamily{
		{"edm", "", func(_ *options, sd float64) Weight {
			return func(sigma float64) float64 { return EDMWeight(sigma, sd) }
		}},
		{"eps", "", plain(SNRWeight)},
		{"snr", "", plain(SNRWeight)},
		{"v", "", plain(SNRPlusOneWeight)},
		{"x0", "", plain(func(float64) float64 { return 1 })},
		{"truncated-snr", "", plain(TruncatedSNRWeight)},
		{"min-snr", "gamma=SNR", func(o *options, _ float64) Weight { return MinSNR(o.number("gamma", 5, 1e-6, 1e9)) }},
		{"soft-min-snr", "", func(_ *options, sd float64) Weight { return SoftMinSNR(sd) }},
		{"sigmoid", "bias=LOGSNR", func(o *options, _ float64) Weight { return SigmoidWeight(o.number("bias", -3, -50, 50)) }},
	}
}

// WeightNames returns what [ParseWeight] knows.
func WeightNames() []string {
	var names []string
	for _, f := range weightFamilies() {
		names = append(names, f.name)
	}
	return names
}

// ParseWeight turns what a user types into a [Weight] on the squared error of the denoised picture, for pictures of standard deviation
// sigmaData: edm ([EDMWeight]), eps or snr (the plain error of the noise, [SNRWeight]), v (of v, [SNRPlusOneWeight]), x0 (of the
// picture, 1), truncated-snr, min-snr:gamma=5, soft-min-snr, sigmoid:bias=-3. A level so low or high that its weight is not a number
// between 0 and the largest float32 is the caller's to avoid; the levels of [ParseDensity] are not. Unknown names and options are errors that list the valid ones.
func ParseWeight(spec string, sigmaData float64) (Weight, error) {
	name, opts, has := strings.Cut(canonical(spec), ":")
	for _, f := range weightFamilies() {
		if f.name != name {
			continue
		}
		o := parseOptions(opts, has)
		w := f.build(o, sigmaData)
		if err := o.finish(f.options); err != nil {
			return nil, fmt.Errorf("loss %q: %w", spec, err)
		}
		return w, nil
	}
	return nil, fmt.Errorf("unknown loss %q; valid names: %s", spec, strings.Join(WeightNames(), ", "))
}
