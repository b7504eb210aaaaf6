package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"diffuse/imageio"
	"diffuse/metric"
	"diffuse/sampler"
)

// A metricKind is a number that "diffuse eval" can compute.
type metricKind struct {
	name     string
	pictures bool // it needs real pictures, not only their statistics
	unasked  bool // it is computed if the user names no metrics
	compute  func(m *measurement) error
}

// metricKinds lists the metrics in the order in which they are printed.
func metricKinds() []metricKind {
	return []metricKind{
		{"fd", false, true, (*measurement).frechet},
		{"fd-infinity", true, false, (*measurement).infinity},
		{"kid", true, true, (*measurement).kid},
		{"prdc", true, true, (*measurement).prdc},
		{"is", false, false, (*measurement).inceptionScore},
		{"sw", true, false, (*measurement).sliced},
		{"accuracy", false, true, (*measurement).accuracy},
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

// An evalReport is what was measured, as JSON writes it.
type evalReport struct {
	Samples   string              `json:"samples"`
	Reference string              `json:"reference"`
	Features  string              `json:"features"`
	Pictures  int                 `json:"pictures"`
	Metrics   map[string]measured `json:"metrics"`
	PerClass  map[string]float64  `json:"per_class,omitempty"` // Fréchet distance
	Seconds   float64             `json:"seconds"`
	Time      string              `json:"time"`

	order []string // the metrics as printed
}

// A measured is a metric's value and, where it is a mean over parts, their standard deviation.
type measured struct {
	Value float64 `json:"value"`
	Std   float64 `json:"std,omitempty"`
}

// A featureSet is what the feature network saw in a set of pictures.
type featureSet struct {
	metric.Features
	labels  []int // -1 for none
	guesses []int // of a classifier, nil for other extractors
	pixels  []float64
}

// A measurement compares samples with a reference.
type measurement struct {
	o       *evalOptions
	kinds   []metricKind
	asked   bool // by name
	samples pictureSet
	ref     *reference
	e       *extractor
	report  evalReport

	generated, real *featureSet
}

// A reference is real pictures or their statistics.
type reference struct {
	pictures pictureSet
	gaussian *metric.Gaussian
	what     string
}

// newMeasurement checks that the metrics can be had.
func newMeasurement(o *evalOptions, wanted []string, samples pictureSet, ref *reference, e *extractor) (*measurement, error) {
	m := &measurement{o: o, samples: samples, ref: ref, e: e, asked: wanted != nil}
	if i := slices.Index(wanted, "fid"); i >= 0 {
		if m.distanceName() != "fid" {
			return nil, withHint(usagef("--metrics fid: FID is defined on Inception's features, not on %s", e.Name()), "--metrics fd with these, or --inception FILE.safetensors")
		}
		wanted[i] = "fd"
	}
	for _, k := range metricKinds() {
		possible := ref.pictures != nil || !k.pictures
		if slices.Contains(wanted, k.name) && !possible {
			return nil, usagef("--metrics %s needs real pictures; %s holds their statistics only", k.name, o.ref)
		}
		if slices.Contains(wanted, k.name) || wanted == nil && k.unasked && possible {
			m.kinds = append(m.kinds, k)
		}
	}
	if o.perClass && (ref.pictures == nil || ref.pictures.ClassNames() == nil) {
		return nil, usagef("--per-class needs a reference of pictures in classes")
	}
	m.report = evalReport{
		Samples: samples.Describe(), Reference: ref.what, Features: e.Name(), Pictures: samples.Len(),
		Metrics: map[string]measured{}, Time: time.Now().UTC().Format(time.RFC3339),
	}
	return m, nil
}

// distanceName is what the Fréchet distance is called over these features.
func (m *measurement) distanceName() string {
	if strings.HasPrefix(m.e.Name(), "inception-2048/") {
		return "fid"
	}
	return "fd-" + m.e.Name()
}

// keepsPixels tells whether a metric looks at the pictures themselves.
func (m *measurement) keepsPixels() bool {
	return slices.ContainsFunc(m.kinds, func(k metricKind) bool { return k.name == "sw" })
}

// run computes everything.
func (m *measurement) run(ctx context.Context, u *ui) error {
	var err error
	if m.generated, err = extract(ctx, u, m.samples, m.e, m.keepsPixels()); err != nil {
		return err
	}
	if m.ref.pictures != nil {
		if m.real, err = extract(ctx, u, m.ref.pictures, m.e, m.keepsPixels()); err != nil {
			return fmt.Errorf("--ref: %w", err)
		}
	}
	if n, d := m.generated.N, m.e.Dim(); n <= d {
		u.warn("%d pictures for %d features: the distance depends on their number more than on what they show; a few thousand are usual", n, d)
	}
	for _, k := range m.kinds {
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err := k.compute(m); err != nil {
			return err
		}
	}
	if m.o.perClass {
		return m.classes()
	}
	return nil
}

// set notes a result.
func (m *measurement) set(name string, value, std float64) {
	m.report.Metrics[name] = measured{value, std}
	m.report.order = append(m.report.order, name)
}

// extract computes the features of a set.
func extract(ctx context.Context, u *ui, set pictureSet, e *extractor, pixels bool) (*featureSet, error) {
	s := &featureSet{Features: metric.Features{D: e.Dim()}}
	classifier, classifies := e.Extractor.(*metric.Classifier)
	err := set.Each(ctx, u, func(pictures []imageio.Image, labels []int) error {
		rows := make([]float64, len(pictures)*s.D)
		if classifies {
			guesses, err := classifier.Classify(rows, pictures)
			if err != nil {
				return err
			}
			s.guesses = append(s.guesses, guesses...)
		} else if err := e.Features(rows, pictures); err != nil {
			return err
		}
		s.X, s.labels = append(s.X, rows...), append(s.labels, labels...)
		s.N += len(pictures)
		for _, p := range pictures {
			if !pixels {
				break
			}
			for _, v := range p.Pix {
				s.pixels = append(s.pixels, float64(v)/255)
			}
		}
		return nil
	})
	return s, err
}

func (m *measurement) frechet() error {
	a, err := metric.Fit(m.generated.Features)
	if err != nil {
		return err
	}
	if m.ref.gaussian == nil {
		g, err := metric.Fit(m.real.Features)
		if err != nil {
			return fmt.Errorf("--ref: %w", err)
		}
		m.ref.gaussian = &g
	}
	d, err := metric.Frechet(a, *m.ref.gaussian)
	if err == nil {
		m.set(m.distanceName(), d, 0)
	}
	return err
}

// infinity extrapolates over prefixes from half of the pictures to all, in random order.
func (m *measurement) infinity() error {
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
		m.set(m.distanceName()+"-infinity", x.Intercept, 0)
	}
	return err
}

func (m *measurement) kid() error {
	size := min(m.o.subsetSize, m.generated.N, m.real.N)
	in1, in2, err := metric.KIDDraws(m.generated.N, m.real.N, size, m.o.subsets, 0)
	if err != nil {
		return err
	}
	s, err := metric.KIDSubsets(m.generated.Features, m.real.Features, in1, in2)
	if err == nil {
		name := "kid"
		if m.distanceName() != "fid" {
			name = "kid-" + m.e.Name()
		}
		m.set(name, s.Mean, s.Std)
	}
	return err
}

// prdc compares at most --nearest-pictures rows of either side, drawn at random where there are more.
func (m *measurement) prdc() error {
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
		m.set("precision", p.Precision, 0)
		m.set("recall", p.Recall, 0)
		m.set("density", p.Density, 0)
		m.set("coverage", p.Coverage, 0)
	}
	return err
}

// inceptionScore is computed from Inception's logits only; anything else would be another number under that name.
func (m *measurement) inceptionScore() error {
	if !strings.HasPrefix(m.e.Name(), "inception-logits") {
		return withHint(usagef("--metrics is: the Inception Score needs --features inception-logits_unbiased, not %s", m.e.Name()), "measure it in a run of its own")
	}
	const splits = 10
	n := m.generated.N
	shuffled, err := m.generated.Take(rand.New(rand.NewPCG(0, 0)).Perm(n))
	if err != nil {
		return err
	}
	s, err := metric.InceptionScore(shuffled, splits)
	if err == nil {
		m.set("inception-score", s.Mean, s.Std)
	}
	return err
}

// sliced compares the pixels, on a scale of 0 to 1, along random directions.
func (m *measurement) sliced() error {
	const directions = 128
	h, w, c := m.samples.Size()
	size := h * w * c
	if len(m.real.pixels) != m.real.N*size {
		return fmt.Errorf("--metrics sw: the pictures of --ref have another size than SAMPLES")
	}
	a := metric.Features{N: m.generated.N, D: size, X: m.generated.pixels}
	b := metric.Features{N: m.real.N, D: size, X: m.real.pixels}
	s, _, err := metric.SlicedWasserstein(a, b, metric.Directions(directions, size, 0))
	if err == nil {
		m.set("sliced-wasserstein", s.Mean, s.Std)
	}
	return err
}

// accuracy is the share of pictures that a classifier finds in the class they were meant to show. It needs a classifier with as
// many classes as the samples; unasked, it is left out where it cannot be had.
func (m *measurement) accuracy() error {
	k, _ := m.e.Extractor.(*metric.Classifier)
	right, labelled := 0, 0
	for i, label := range m.generated.labels {
		if label >= 0 && k != nil {
			labelled++
			if m.generated.guesses[i] == label {
				right++
			}
		}
	}
	if labelled == 0 {
		if m.asked {
			return usagef("--metrics accuracy needs a classifier's features and pictures in classes")
		}
		return nil
	}
	m.set("accuracy", float64(right)/float64(labelled), 0)
	return nil
}

// classes computes the distance for every class by itself.
func (m *measurement) classes() error {
	m.report.PerClass = map[string]float64{}
	for k, name := range m.ref.pictures.ClassNames() {
		a, err := m.generated.class(k)
		if err != nil {
			return fmt.Errorf("class %s: %w", name, err)
		}
		b, err := m.real.class(k)
		if err != nil {
			return fmt.Errorf("class %s of --ref: %w", name, err)
		}
		d, err := metric.FrechetFeatures(a, b)
		if err != nil {
			return fmt.Errorf("class %s: %w", name, err)
		}
		m.report.PerClass[name] = d
	}
	return nil
}

// class returns the rows of one class.
func (s *featureSet) class(k int) (metric.Features, error) {
	var rows []int
	for i, label := range s.labels {
		if label == k {
			rows = append(rows, i)
		}
	}
	return s.Take(rows)
}

// print writes the table, or JSON.
func (m *measurement) print(u *ui) error {
	r := m.report
	if u.json {
		return u.result(r)
	}
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "samples\t%s\nreference\t%s\nfeatures\t%s\n\n", r.Samples, r.Reference, r.Features)
	for _, name := range r.order {
		v := r.Metrics[name]
		fmt.Fprintf(w, "%s\t%s", name, shortest(v.Value))
		if v.Std != 0 {
			fmt.Fprintf(w, " ± %s", shortest(v.Std))
		}
		fmt.Fprintln(w)
	}
	if r.PerClass != nil {
		fmt.Fprintf(w, "\n%s by class\t\n", m.distanceName())
		for _, name := range m.ref.pictures.ClassNames() {
			fmt.Fprintf(w, "%s\t%s\n", name, shortest(r.PerClass[name]))
		}
	}
	return w.Flush()
}

// shortest writes a metric's value with five digits.
func shortest(v float64) string {
	if math.Abs(v) >= 1e5 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.5g", v)
}

// appendLine adds v as a line of JSON to a file.
func appendLine(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
