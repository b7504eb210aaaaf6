package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"diffuse/dataset"
)

// evalSettings say what is measured, by which features and against what. The commands that measure bind their flags to them.
type evalSettings struct {
	ref, refSplit       string // real pictures or their statistics; the part of the pictures
	metrics             string // a list, "" for what is possible
	features, inception string
	perClass            bool
	nearest             int // K of precision and recall
	most                int // pictures of either side in precision and recall
	subsets, subsetSize int // of KID

	neighbours string // PNG file for the samples nearest to the reference, "" for none
	noCache    bool   // neither read nor keep the features of a reference

	read dataset.Options // how the pictures of ref are read, but for their part
	own  *storedSet      // the reference itself, where it is open already; then ref is only its name
}

// defaultEvalSettings are the peers' numbers of neighbours and subsets.
func defaultEvalSettings() evalSettings {
	return evalSettings{nearest: 3, most: 10_000, subsets: 100, subsetSize: 1000}
}

// An evaluation measures one set of pictures after the other in the same way: with one feature network, against one reference, by one list
// of metrics. It is what every command that measures calls, so that their numbers agree: make it once, before the work; let
// [evaluation.prepare] see what will come, so that whatever can be refused is refused now; then call [evaluation.measure] as often as there are
// pictures. The reference's features are computed once. It belongs to one goroutine.
type evaluation struct {
	settings evalSettings
	wanted   []string // metrics by name, nil: those that are possible
	e        *extractor
	ref      *reference
	real     *featureSet // the reference's, once something needed them
	has      kept        // what real holds
	warned   bool        // that there are few pictures for a distance; once says it for all sets
}

// newEvaluation opens feature network and reference for pictures of h×w×c.
func newEvaluation(u *ui, s evalSettings, h, w, c int) (*evaluation, error) {
	wanted, err := parseMetrics(s.metrics)
	if err != nil {
		return nil, err
	}
	e, err := s.extractor(u, h, w, c)
	if err != nil {
		return nil, err
	}
	if i := slices.Index(wanted, "fid"); i >= 0 {
		if e.distanceName() != "fid" {
			return nil, withHint(usagef("--metrics fid: FID is defined on Inception's features, not on %s", e.Name()), "--metrics fd with these, or --inception FILE.safetensors")
		}
		wanted[i] = "fd"
	}
	ref, err := s.reference(u, e, h, w, c)
	if err != nil {
		return nil, err
	}
	return &evaluation{settings: s, wanted: wanted, e: e, ref: ref}, nil
}

// prepare checks that pictures such as samples can be measured and computes what is needed of the reference. No picture of samples is touched.
func (v *evaluation) prepare(ctx context.Context, u *ui, samples pictureSet) error {
	m, err := v.plan(samples)
	if err != nil {
		return err
	}
	return m.readReference(ctx, u)
}

// measure computes the metrics of samples.
func (v *evaluation) measure(ctx context.Context, u *ui, samples pictureSet) (*evalReport, error) {
	m, err := v.plan(samples)
	if err != nil {
		return nil, err
	}
	return m.run(ctx, u)
}

// A measurement is an evaluation of one set of pictures.
type measurement struct {
	*evaluation
	samples   pictureSet
	kinds     []metricKind
	generated *featureSet
	report    evalReport

	toNet                    []int // the classifier's number of each class of the samples
	toRef                    []int // the reference's, or -1
	netByNumber, refByNumber bool  // for want of names
}

// plan checks that the metrics can be had of samples, before any work is done for them.
func (v *evaluation) plan(samples pictureSet) (*measurement, error) {
	m := &measurement{evaluation: v, samples: samples}
	for _, k := range metricKinds() {
		switch err := m.possible(k.name, k.pictures); {
		case slices.Contains(v.wanted, k.name), v.settings.neighbours != "" && k.name == "authenticity":
			if err != nil {
				return nil, err
			}
		case v.wanted != nil || !k.unasked || err != nil:
			continue
		}
		m.kinds = append(m.kinds, k)
	}
	if v.settings.perClass {
		if err := m.matchReference(); err != nil {
			return nil, err
		}
	}
	m.report = evalReport{
		Version: version().Version, Samples: samples.Describe(), Reference: v.ref.what, Features: v.e.Name(), FeaturesSHA: v.e.hash,
		Pictures: samples.Len(), Metrics: map[string]measured{}, distance: v.e.distanceName(),
	}
	if v.ref.gaussian != nil {
		m.report.RefPictures = v.ref.gaussian.N
	} else {
		m.report.RefPictures = v.ref.pictures.Len()
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
		if name == "authenticity" && m.settings.neighbours != "" {
			return usagef("--neighbours needs real pictures; %s holds their statistics only", m.settings.ref)
		}
		return usagef("--metrics %s needs real pictures; %s holds their statistics only", name, m.settings.ref)
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
	least := map[string]int{"fd": 2, "fd-infinity": 4, "kid": 2, "prdc": m.settings.nearest + 1, "authenticity": 2, "is": inceptionSplits}
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

// run computes everything.
func (m *measurement) run(ctx context.Context, u *ui) (*evalReport, error) {
	started := time.Now()
	m.report.Time = started.UTC().Format(time.RFC3339)
	// The samples first: what is wrong with them shows before minutes have gone into a reference.
	var err error
	if m.generated, err = extract(ctx, u, m.samples, m.e, m.keep(true)); err != nil {
		return nil, err
	}
	if err := m.readReference(ctx, u); err != nil {
		return nil, err
	}
	if d := m.e.Dim(); m.wants("fd") && !m.warned {
		m.warned = true
		if n := m.generated.N; n <= d {
			u.warn("%d pictures for %d features: the distance depends on their number more than on what they show; a few thousand are usual", n, d)
		}
		if n := m.report.RefPictures; 0 < n && n <= d {
			u.warn("--ref has %d pictures for %d features: the distance depends on their number, too", n, d)
		}
	}
	for _, k := range m.kinds {
		if ctx.Err() != nil {
			return nil, errInterrupted
		}
		if err := k.compute(m, ctx, u); ctx.Err() != nil {
			return nil, errInterrupted
		} else if err != nil {
			return nil, err
		}
	}
	if m.settings.perClass {
		if err := m.byClass(u); err != nil {
			return nil, err
		}
	}
	m.report.Seconds = time.Since(started).Seconds()
	return &m.report, nil
}

// keep is what the metrics need of the samples' features, or of the reference's.
func (m *measurement) keep(samples bool) kept {
	k := kept{rows: m.settings.perClass, gaussian: m.wants("fd") && (samples || m.ref.gaussian == nil), pixels: m.wants("sw") || samples && m.settings.neighbours != ""}
	for _, kind := range m.kinds {
		k.rows = k.rows || kind.rows && (samples || kind.pictures)
	}
	return k
}

// readReference computes the reference's features, unless that was done or no metric needs them.
func (m *measurement) readReference(ctx context.Context, u *ui) (err error) {
	need, v := m.keep(false), m.evaluation
	if v.has.covers(need) {
		return nil
	}
	if v.settings.noCache {
		v.real, err = extract(ctx, u, v.ref.pictures, v.e, need)
	} else {
		v.real, err = extractCached(ctx, u, v.ref.pictures, v.e, need)
	}
	if err != nil {
		return fmt.Errorf("--ref: %w", err)
	}
	v.has = need
	return nil
}

// set notes a result.
func (m *measurement) set(name string, value, std float64, how string) {
	m.report.Metrics[name] = measured{value, std, how}
	m.report.order = append(m.report.order, name)
}
