package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"diffuse/imageio"
	"diffuse/metric"
	"diffuse/sampler"
)

// A metricKind is a number that "diffuse eval" can compute.
type metricKind struct {
	name     string
	rows     bool // it needs the features of every picture, not only their mean and covariance
	pictures bool // it needs those of real pictures, too
	unasked  bool // it is computed if the user names no metrics and it is possible
	compute  func(m *measurement, ctx context.Context, u *ui) error
}

// metricKinds lists the metrics in the order in which they are printed.
func metricKinds() []metricKind {
	return []metricKind{
		{"fd", false, false, true, (*measurement).frechet},
		{"fd-infinity", true, true, false, (*measurement).infinity},
		{"kid", true, true, true, (*measurement).kid},
		{"prdc", true, true, true, (*measurement).prdc},
		{"is", true, false, false, (*measurement).inceptionScore},
		{"sw", false, true, false, (*measurement).sliced},
		{"accuracy", false, false, true, (*measurement).accuracy},
	}
}

func metricNames() []string {
	var names []string
	for _, k := range metricKinds() {
		names = append(names, k.name)
	}
	return names
}

// parseMetrics reads --metrics; nil means the user left it to us. The distance may be called "fid", and is checked to be one later.
func parseMetrics(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	var list []string
	for _, name := range strings.Split(s, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		switch name {
		case "precision", "recall", "density", "coverage":
			name = "prdc"
		}
		if name != "fid" && !slices.Contains(metricNames(), name) {
			return nil, unknownName("metric", name, metricNames())
		}
		list = append(list, name)
	}
	return list, nil
}

// A featureSet is what the feature network saw in a set of pictures.
type featureSet struct {
	metric.Features // rows may have been let go: then N is still the number of pictures
	gaussian        metric.Gaussian
	labels          []int // -1 for none
	guesses         []int // of a classifier, nil for other extractors
	pixels          []float64
}

// A measurement compares samples with a reference.
type measurement struct {
	o     *evalOptions
	kinds []metricKind
	asked bool  // by name
	toNet []int // the classifier's number of each class of the samples
	toRef []int // the reference's, or -1

	netByNumber, refByNumber bool // for want of names
	samples                  pictureSet
	ref                      *reference
	e                        *extractor
	report                   evalReport

	generated, real *featureSet
}

// A reference is real pictures, their statistics or both; the Fréchet distance prefers statistics.
type reference struct {
	pictures pictureSet
	gaussian *metric.Gaussian
	what     string
}

// newMeasurement checks that the metrics can be had, before any work is done for them.
func newMeasurement(o *evalOptions, f *pflag.FlagSet, wanted []string, samples pictureSet, ref *reference, e *extractor) (*measurement, error) {
	m := &measurement{o: o, samples: samples, ref: ref, e: e, asked: wanted != nil}
	if i := slices.Index(wanted, "fid"); i >= 0 {
		if m.distanceName() != "fid" {
			return nil, withHint(usagef("--metrics fid: FID is defined on Inception's features, not on %s", e.Name()), "--metrics fd with these, or --inception FILE.safetensors")
		}
		wanted[i] = "fd"
	}
	for _, k := range metricKinds() {
		switch err := m.possible(k.name, k.pictures); {
		case slices.Contains(wanted, k.name):
			if err != nil {
				return nil, err
			}
		case wanted != nil || !k.unasked || err != nil:
			continue
		}
		m.kinds = append(m.kinds, k)
	}
	for _, x := range [][2]string{{"nearest", "prdc"}, {"nearest-pictures", "prdc"}, {"kid-subsets", "kid"}, {"kid-subset-size", "kid"}} {
		if f.Changed(x[0]) && !m.wants(x[1]) {
			return nil, usagef("--%s has no effect: %s is not measured", x[0], x[1])
		}
	}
	if o.perClass {
		if err := m.matchReference(); err != nil {
			return nil, err
		}
	}
	m.report = evalReport{
		Version: version().Version, Samples: samples.Describe(), Reference: ref.what, Features: e.Name(), FeaturesSHA: e.hash,
		Pictures: samples.Len(), Metrics: map[string]measured{}, Time: time.Now().UTC().Format(time.RFC3339),
	}
	switch {
	case ref.gaussian != nil:
		m.report.RefPictures = ref.gaussian.N
	default:
		m.report.RefPictures = ref.pictures.Len()
	}
	if d, ok := samples.(drawnSet); ok {
		r := d.plan.report(d.plan.pictures)
		m.report.Sampling = &r
	}
	return m, m.enough()
}

// wants tells whether a metric is computed.
func (m *measurement) wants(name string) bool {
	return slices.ContainsFunc(m.kinds, func(k metricKind) bool { return k.name == name })
}

// possible says why a metric cannot be had from these pictures, reference and features.
func (m *measurement) possible(name string, pictures bool) error {
	if pictures && m.ref.pictures == nil {
		return usagef("--metrics %s needs real pictures; %s holds their statistics only", name, m.o.ref)
	}
	switch name {
	case "is":
		// Inception's logits, without the bias, as the peers take them; anything else would be another number under that name.
		if !strings.HasPrefix(m.e.Name(), "inception-logits_unbiased/") {
			return withHint(usagef("--metrics is: the Inception Score needs --features inception-logits_unbiased, not %s", m.e.Name()), "measure it in a run of its own")
		}
	case "sw":
		h, w, c := m.samples.Size()
		if rh, rw, rc := m.ref.pictures.Size(); rh != h || rw != w || rc != c {
			return usagef("--metrics sw: the pictures of --ref are %d×%d×%d, those of SAMPLES %d×%d×%d", rh, rw, rc, h, w, c)
		}
	case "accuracy":
		return m.matchClassifier()
	}
	return nil
}

// enough checks the numbers of pictures.
func (m *measurement) enough() error {
	least := map[string]int{"fd": 2, "fd-infinity": 4, "kid": 2, "prdc": m.o.nearest + 1, "is": inceptionSplits}
	for _, k := range m.kinds {
		n := least[k.name]
		if have := m.samples.Len(); have < n {
			return fmt.Errorf("%s needs at least %d pictures; there are %d to measure", k.name, n, have)
		}
		if k.name == "fd" && m.ref.gaussian != nil || k.name == "is" || m.ref.pictures == nil {
			continue
		}
		if have := m.ref.pictures.Len(); have < n {
			return fmt.Errorf("%s needs at least %d pictures; --ref has %d", k.name, n, have)
		}
	}
	return nil
}

// distanceName is what the Fréchet distance is called over these features.
func (m *measurement) distanceName() string {
	if strings.HasPrefix(m.e.Name(), "inception-2048/") {
		return "fid"
	}
	return "fd-" + m.e.Name()
}

// run computes everything.
func (m *measurement) run(ctx context.Context, u *ui) error {
	if err := m.extractBoth(ctx, u); err != nil {
		return err
	}
	if d := m.e.Dim(); m.wants("fd") {
		if n := m.generated.N; n <= d {
			u.warn("%d pictures for %d features: the distance depends on their number more than on what they show; a few thousand are usual", n, d)
		}
		if n := m.report.RefPictures; 0 < n && n <= d {
			u.warn("--ref has %d pictures for %d features: the distance depends on their number, too", n, d)
		}
	}
	for _, k := range m.kinds {
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err := k.compute(m, ctx, u); err != nil {
			return err
		}
	}
	if m.o.perClass {
		return m.classes(u)
	}
	return nil
}

// set notes a result.
func (m *measurement) set(name string, value, std float64, how string) {
	m.report.Metrics[name] = measured{value, std, how}
	m.report.order = append(m.report.order, name)
}

// extractBoth computes the features of both sides, and keeps of them what the metrics need.
func (m *measurement) extractBoth(ctx context.Context, u *ui) (err error) {
	mine := kept{rows: m.o.perClass, gaussian: m.wants("fd"), pixels: m.wants("sw")}
	real := kept{rows: m.o.perClass, gaussian: m.wants("fd") && m.ref.gaussian == nil, pixels: m.wants("sw")}
	for _, k := range m.kinds {
		mine.rows = mine.rows || k.rows
		real.rows = real.rows || k.rows && k.pictures
	}
	if m.generated, err = extract(ctx, u, m.samples, m.e, mine); err != nil {
		return err
	}
	if real == (kept{}) {
		return nil
	}
	if m.real, err = extract(ctx, u, m.ref.pictures, m.e, real); err != nil {
		return fmt.Errorf("--ref: %w", err)
	}
	return nil
}

// kept is what of a set's features is kept: without rows and pixels, memory does not grow with the number of pictures.
type kept struct{ rows, gaussian, pixels bool }

// extract computes the features of a set.
func extract(ctx context.Context, u *ui, set pictureSet, e *extractor, keep kept) (*featureSet, error) {
	s := &featureSet{Features: metric.Features{D: e.Dim()}}
	if keep.rows {
		s.X = make([]float64, 0, set.Len()*s.D)
	}
	if h, w, c := set.Size(); keep.pixels {
		s.pixels = make([]float64, 0, set.Len()*h*w*c)
	}
	sum := metric.NewAccumulator(s.D)
	classifier, classifies := e.Extractor.(*metric.Classifier)
	err := set.Each(ctx, u, e.batch, func(pictures []imageio.Image, labels []int) error {
		rows := metric.Features{N: len(pictures), D: s.D, X: make([]float64, len(pictures)*s.D)}
		if classifies {
			guesses, err := classifier.Classify(rows.X, pictures)
			if err != nil {
				return err
			}
			s.guesses = append(s.guesses, guesses...)
		} else if err := e.Features(rows.X, pictures); err != nil {
			return err
		}
		s.N, s.labels = s.N+rows.N, append(s.labels, labels...)
		if keep.rows {
			s.X = append(s.X, rows.X...)
		}
		for _, p := range pictures {
			if !keep.pixels {
				break
			}
			for _, v := range p.Pix {
				s.pixels = append(s.pixels, float64(v)/255)
			}
		}
		if keep.gaussian {
			return sum.Add(rows)
		}
		return nil
	})
	if err == nil && keep.gaussian {
		s.gaussian, err = sum.Gaussian()
	}
	return s, err
}

func (m *measurement) frechet(context.Context, *ui) error {
	real := m.ref.gaussian
	if real == nil {
		real = &m.real.gaussian
	}
	d, err := metric.Frechet(m.generated.gaussian, *real)
	if err == nil {
		m.set(m.distanceName(), d, 0, "")
	}
	return err
}

// infinity extrapolates over prefixes from half of the pictures to all, in random order.
func (m *measurement) infinity(context.Context, *ui) error {
	const points = 8
	n := m.generated.N
	shuffled, err := m.generated.Take(sampler.Stream(0, "fd-infinity").Perm(n))
	if err != nil {
		return err
	}
	var counts []int
	for i := range points {
		counts = append(counts, n/2+(n-n/2)*(i+1)/points)
	}
	x, err := metric.FDInfinity(shuffled, m.real.Features, counts)
	if err == nil {
		m.set(m.distanceName()+"-infinity", x.Intercept, 0, fmt.Sprintf("from %d to %d pictures, order by seed 0", counts[0], n))
	}
	return err
}

// kid draws the subsets that torch-fidelity draws. Sets that one subset uses up are compared whole: more would be the same again.
func (m *measurement) kid(ctx context.Context, u *ui) error {
	const seed = 2020 // torch-fidelity's
	name := "kid"
	if m.distanceName() != "fid" {
		name += "-" + m.e.Name()
	}
	a, b := m.generated, m.real
	size := min(m.o.subsetSize, a.N, b.N)
	if size == a.N && size == b.N {
		v, err := metric.KID(a.Features, b.Features)
		if err == nil {
			m.set(name, v, 0, fmt.Sprintf("all %d pictures", size))
		}
		return err
	}
	in1, in2, err := metric.KIDDrawsNumPy(a.N, b.N, size, m.o.subsets, seed)
	if err != nil {
		return err
	}
	bar := u.progress("comparing", "subsets", 0, float64(len(in1)))
	defer bar.finish()
	var sum, squares float64
	each := make([]float64, len(in1))
	for i := range in1 {
		if ctx.Err() != nil {
			return errInterrupted
		}
		s, err := metric.KIDSubsets(a.Features, b.Features, in1[i:i+1], in2[i:i+1])
		if err != nil {
			return err
		}
		each[i] = s.Mean
		sum += s.Mean
		bar.set(float64(i+1), "")
	}
	mean := sum / float64(len(each))
	for _, v := range each {
		squares += (v - mean) * (v - mean)
	}
	m.set(name, mean, math.Sqrt(squares/float64(len(each))), fmt.Sprintf("%d subsets of %d pictures, seed %d", len(each), size, seed))
	return nil
}

// prdc compares at most --nearest-pictures rows of either side, drawn at random where there are more.
func (m *measurement) prdc(context.Context, *ui) error {
	some := func(s *featureSet, purpose string) (metric.Features, error) {
		if s.N <= m.o.most {
			return s.Features, nil
		}
		rows := sampler.Stream(0, purpose).Perm(s.N)[:m.o.most]
		slices.Sort(rows)
		return s.Take(rows)
	}
	a, err := some(m.generated, "prdc samples")
	if err != nil {
		return err
	}
	b, err := some(m.real, "prdc reference")
	if err != nil {
		return err
	}
	o := metric.DefaultPRDCOptions()
	o.K = m.o.nearest
	p, err := metric.PrecisionRecall(a, b, o)
	if err == nil {
		how := fmt.Sprintf("%d neighbours, %d and %d pictures", o.K, a.N, b.N)
		if a.N < m.generated.N || b.N < m.real.N {
			how += " drawn by seed 0"
		}
		m.set("precision", p.Precision, 0, how)
		m.set("recall", p.Recall, 0, how)
		m.set("density", p.Density, 0, how)
		m.set("coverage", p.Coverage, 0, how)
	}
	return err
}

// inceptionSplits is the number of parts of the Inception Score.
const inceptionSplits = 10

// inceptionScore is computed over parts of the pictures in torch-fidelity's order.
func (m *measurement) inceptionScore(context.Context, *ui) error {
	const seed = 2020
	shuffled, err := m.generated.Take(metric.NewRandomState(seed).Perm(m.generated.N))
	if err != nil {
		return err
	}
	s, err := metric.InceptionScore(shuffled, inceptionSplits)
	if err == nil {
		m.set("inception-score", s.Mean, s.Std, fmt.Sprintf("%d parts, seed %d", inceptionSplits, seed))
	}
	return err
}

// sliced compares the pixels, on a scale of 0 to 1, along random directions.
func (m *measurement) sliced(context.Context, *ui) error {
	const directions = 128
	h, w, c := m.samples.Size()
	size := h * w * c
	a := metric.Features{N: m.generated.N, D: size, X: m.generated.pixels}
	b := metric.Features{N: m.real.N, D: size, X: m.real.pixels}
	s, _, err := metric.SlicedWasserstein(a, b, metric.Directions(directions, size, 0))
	if err == nil {
		m.set("sliced-wasserstein", s.Mean, s.Std, fmt.Sprintf("order 1, %d directions, seed 0", directions))
	}
	return err
}
