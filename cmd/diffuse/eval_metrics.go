package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
		{"authenticity", true, true, false, (*measurement).authenticity},
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

func (m *measurement) frechet(context.Context, *ui) error {
	real := m.ref.gaussian
	if real == nil {
		real = &m.real.gaussian
	}
	d, err := metric.Frechet(m.generated.gaussian, *real)
	if err == nil {
		m.set(m.e.distanceName(), d, 0, "")
	}
	return err
}

// infinity extrapolates over prefixes from half of the pictures to all, in random order.
func (m *measurement) infinity(ctx context.Context, _ *ui) error {
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
	x, err := metric.FDInfinity(ctx, shuffled, m.real.Features, counts)
	if err == nil {
		m.set(m.e.distanceName()+"-infinity", x.Intercept, 0, fmt.Sprintf("from %d to %d pictures, order by seed 0", counts[0], n))
	}
	return err
}

// kid draws the subsets that torch-fidelity draws. Sets that one subset uses up are compared whole: more would be the same again.
func (m *measurement) kid(ctx context.Context, u *ui) error {
	const seed = 2020 // torch-fidelity's
	name := "kid"
	if m.e.distanceName() != "fid" {
		name += "-" + m.e.Name()
	}
	a, b := m.generated, m.real
	size := min(m.settings.subsetSize, a.N, b.N)
	if size == a.N && size == b.N {
		v, err := metric.KID(a.Features, b.Features)
		if err == nil {
			m.set(name, v, 0, fmt.Sprintf("all %d pictures", size))
		}
		return err
	}
	in1, in2, err := metric.KIDDrawsNumPy(a.N, b.N, size, m.settings.subsets, seed)
	if err != nil {
		return err
	}
	bar := u.progress("comparing", "subsets", 0, float64(len(in1)))
	defer bar.finish()
	s, err := metric.KIDSubsets(ctx, a.Features, b.Features, in1, in2, func(pairs int) { bar.set(float64(pairs), "") })
	if err == nil {
		m.set(name, s.Mean, s.Std, fmt.Sprintf("%d subsets of %d pictures, seed %d", len(s.Each), size, seed))
	}
	return err
}

// prdc compares at most --nearest-pictures rows of either side, drawn at random where there are more.
func (m *measurement) prdc(ctx context.Context, _ *ui) error {
	some := func(s *featureSet, purpose string) (metric.Features, error) {
		if s.N <= m.settings.most {
			return s.Features, nil
		}
		rows := sampler.Stream(0, purpose).Perm(s.N)[:m.settings.most]
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
	o.K = m.settings.nearest
	p, err := metric.PrecisionRecall(ctx, a, b, o)
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
	a := metric.Pixels{N: m.generated.N, D: size, X: m.generated.pixels}
	b := metric.Pixels{N: m.real.N, D: size, X: m.real.pixels}
	s, _, err := metric.SlicedWassersteinPixels(a, b, metric.Directions(directions, size, 0))
	if err == nil {
		m.set("sliced-wasserstein", s.Mean, s.Std, fmt.Sprintf("order 1, %d directions, seed 0", directions))
	}
	return err
}
