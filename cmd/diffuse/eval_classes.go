package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"diffuse/metric"
)

// matchClasses returns the number in to of each class of from, -1 for those that to does not have. Names decide: the same classes may be
// in another order or only some of them. Only where no name agrees and the names on one side are nothing but numbers, as those of arrays
// and of data sets without names are, numbers do; byNumber says so.
func matchClasses(from, to []string) (index []int, byNumber bool) {
	index = make([]int, len(from))
	found := false
	for i, name := range from {
		index[i] = slices.IndexFunc(to, func(other string) bool { return plainName(other) == plainName(name) })
		found = found || index[i] >= 0
	}
	if found || !numbered(from) && !numbered(to) {
		return index, false
	}
	for i := range from {
		if i < len(to) {
			index[i] = i
		}
	}
	return index, true
}

// numbered tells whether the names are 0, 1, 2, …
func numbered(names []string) bool {
	for i, name := range names {
		if name != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

// matchClassifier finds the classes of the samples among the classifier's. Mere numbers are taken for its classes only if the user
// asks for it, or the reference says what they are.
func (m *measurement) matchClassifier() error {
	k, ok := m.e.Extractor.(*metric.Classifier)
	names := m.samples.ClassNames()
	if !ok || names == nil {
		return usagef("--metrics accuracy needs a classifier's features and pictures in classes")
	}
	index, byNumber := matchClasses(names, k.Classes)
	if i := slices.Index(index, -1); i >= 0 {
		return usagef("--metrics accuracy: class %s of SAMPLES is none of the %s classes", names[i], k.Title)
	}
	if byNumber && m.wanted == nil {
		var known []string
		if m.ref.pictures != nil {
			known = m.ref.pictures.ClassNames()
		}
		if !slices.EqualFunc(known, k.Classes, func(a, b string) bool { return plainName(a) == plainName(b) }) {
			return usagef("--metrics accuracy: nobody says what the classes of SAMPLES are")
		}
	}
	m.toNet, m.netByNumber = index, byNumber
	return nil
}

// accuracy is the share of pictures that the classifier finds in the class they were meant to show; pictures of no class do not count.
func (m *measurement) accuracy(context.Context, *ui) error {
	right, labelled := 0, 0
	for i, label := range m.generated.labels {
		if label < 0 {
			continue
		}
		labelled++
		if m.generated.guesses[i] == m.toNet[label] {
			right++
		}
	}
	if labelled > 0 {
		how := fmt.Sprintf("%d of %d pictures", right, labelled)
		if m.netByNumber {
			how += ", classes by number"
		}
		m.set("accuracy", float64(right)/float64(labelled), 0, how)
	}
	return nil
}

// matchReference finds the classes of the samples among the reference's, for --per-class.
func (m *measurement) matchReference() error {
	if m.ref.pictures == nil || m.ref.pictures.ClassNames() == nil {
		return usagef("--per-class needs a reference of pictures in classes")
	}
	names := m.samples.ClassNames()
	if names == nil {
		return usagef("--per-class: SAMPLES are in no classes")
	}
	m.toRef, m.refByNumber = matchClasses(names, m.ref.pictures.ClassNames())
	if !slices.ContainsFunc(m.toRef, func(k int) bool { return k >= 0 }) {
		return usagef("--per-class: SAMPLES and reference have no class in common: %v and %v", names, m.ref.pictures.ClassNames())
	}
	return nil
}

// byClass computes the distance for every class by itself. One with too few pictures is left out, with a warning.
func (m *measurement) byClass(u *ui) error {
	m.report.PerClass, m.report.classes = map[string]float64{}, m.ref.pictures.ClassNames()
	if m.refByNumber {
		u.warn("classes are matched by their numbers, as SAMPLES or --ref has no names for them")
	}
	for k, name := range m.ref.pictures.ClassNames() {
		a, err := m.generated.class(k, m.toRef)
		if err != nil {
			return fmt.Errorf("class %s: %w", name, err)
		}
		b, err := m.real.class(k, nil)
		if err != nil {
			return fmt.Errorf("class %s of --ref: %w", name, err)
		}
		if a.N < 2 || b.N < 2 {
			u.warn("class %s has %d pictures to measure and %d in --ref, too few for a distance", name, a.N, b.N)
			continue
		}
		d, err := metric.FrechetFeatures(a, b)
		if err != nil {
			return fmt.Errorf("class %s: %w", name, err)
		}
		m.report.PerClass[name] = d
	}
	return nil
}

// class returns the rows of class k; labels are looked up in index, if there is one.
func (s *featureSet) class(k int, index []int) (metric.Features, error) {
	var rows []int
	for i, label := range s.labels {
		if label >= 0 && index != nil {
			label = index[label]
		}
		if label == k {
			rows = append(rows, i)
		}
	}
	return s.Take(rows)
}
