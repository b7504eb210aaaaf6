package metric_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/metric"
)

func TestGoldenInceptionScore(t *testing.T) {
	type score struct {
		Mean float64 `json:"inception_score_mean"`
		Std  float64 `json:"inception_score_std"`
	}
	r := open(t)
	for name, w := range results[map[string]map[string]score](t, "isc") {
		logits := r.set(t, name)
		perm := metric.NewRandomState(2020).Perm(logits.N)
		if !slices.Equal(perm, r.rows(t, "isc."+name+".permutation_2020")[0]) {
			t.Errorf("%s: the permutation is not NumPy's", name)
		}
		shuffled := must(logits.Take(perm))(t)
		for key, s := range map[string]metric.Score{
			"splits10_in_order":         must(metric.InceptionScore(logits, 10))(t),
			"splits10_shuffled_rng2020": must(metric.InceptionScore(shuffled, 10))(t),
			"splits1":                   must(metric.InceptionScore(logits, 1))(t),
		} {
			want, ok := w[key]
			if !ok {
				t.Fatalf("%s: no %s recorded", name, key)
			}
			near(t, name+" "+key+" mean", s.Mean, want.Mean, 1e-10, 0)
			near(t, name+" "+key+" std", s.Std, want.Std, 1e-10, 1e-3)
		}
	}
}

// Pictures that are all alike score 1; five classes told apart with certainty score 5; a shift of all logits of a row changes nothing.
func TestInceptionScoreLimits(t *testing.T) {
	alike := changed(random(1, 20, 6), func(_, j int, _ float64) float64 { return float64(j) })
	near(t, "alike", must(metric.InceptionScore(alike, 4))(t).Mean, 1, 1e-14, 0)
	sure := changed(random(1, 20, 5), func(i, j int, _ float64) float64 {
		if i%5 == j {
			return 2000
		}
		return -2000
	})
	near(t, "certain", must(metric.InceptionScore(sure, 2))(t).Mean, 5, 1e-14, 0)
	some := random(1, 30, 6)
	want := must(metric.InceptionScore(some, 3))(t).Mean
	near(t, "shifted rows", must(metric.InceptionScore(changed(some, func(i, _ int, v float64) float64 { return v + float64(i) }), 3))(t).Mean, want, 1e-12, 0)
}

func TestInceptionScoreRefuses(t *testing.T) {
	for name, bad := range poison(random(1, 12, 4)) {
		if s, err := metric.InceptionScore(bad, 3); err == nil && name != "another width" {
			t.Errorf("%s: not refused, %v", name, s)
		}
	}
	if _, err := metric.InceptionScore(random(1, 9, 4), 10); err == nil || !strings.Contains(err.Error(), "there are 9") {
		t.Errorf("more splits than pictures: %v", err)
	}
	if _, err := metric.InceptionScore(random(1, 9, 4), 0); err == nil {
		t.Error("no splits: not refused")
	}
	if _, err := metric.InceptionScore(random(1, 9, 1), 1); err == nil {
		t.Error("one class: not refused")
	}
	if s := must(metric.InceptionScore(random(1, 3, 4), 3))(t); math.IsNaN(s.Mean) {
		t.Error("NaN")
	}
}
