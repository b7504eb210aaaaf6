package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"diffuse/metric"
)

// searched runs a search over a bowl whose lowest point is given, and returns the best candidate and how many were tried.
func searched(t *testing.T, s tuneSpace, score func(bottom, top float64, window string) float64) (best string, tried int) {
	t.Helper()
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	lowest := math.Inf(1)
	seen := map[string]bool{}
	err := s.search(func(skip string) (float64, error) {
		if seen[skip] {
			t.Errorf("candidate %s comes twice", skip)
		}
		seen[skip] = true
		weights, window, _ := strings.Cut(skip, "@")
		var bottom, top float64
		if n, _ := fmt.Sscanf(weights, "%g:%g", &bottom, &top); n == 1 {
			top = bottom
		}
		if bottom < s.lo || bottom > s.hi || top < s.lo || top > s.hi {
			t.Errorf("candidate %s is out of the range", skip)
		}
		v := score(bottom, top, window)
		if v < lowest {
			best, lowest = skip, v
		}
		return v, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return best, len(seen)
}

// The search finds the lowest point of a bowl to within the last step, on the grid or not, at the edge or inside.
func TestTuneSearch(t *testing.T) {
	bowl := func(bottom, top float64) func(b, u float64, w string) float64 {
		return func(b, u float64, _ string) float64 { return (b-bottom)*(b-bottom) + 2*(u-top)*(u-top) }
	}
	ramp := tuneSpace{ramp: true, lo: 0.6, hi: 1, points: 3, rounds: 3, most: 100}
	for _, c := range []struct {
		bottom, top float64
		want        string
	}{{0.8, 1, "0.8:1"}, {0.725, 0.85, "0.725:0.85"}, {0.4, 1.3, "0.6:1"}, {0.9, 0.9, "0.9"}} {
		if best, n := searched(t, ramp, bowl(c.bottom, c.top)); best != c.want {
			t.Errorf("bowl around %v, %v: found %s after %d candidates, want %s", c.bottom, c.top, best, n, c.want)
		}
	}
	constant := tuneSpace{lo: 0.6, hi: 1, points: 5, rounds: 2, most: 100}
	if best, n := searched(t, constant, bowl(0.83, 0.83)); best != "0.825" || n > 10 {
		t.Errorf("constant: found %s after %d candidates, want 0.825 after at most 10", best, n)
	}
	constant.windows = []string{"", "0.1..5"}
	best, _ := searched(t, constant, func(b, _ float64, w string) float64 {
		if w == "" {
			return 10
		}
		return math.Abs(b - 0.7)
	})
	if best != "0.7@0.1..5" {
		t.Errorf("windows: found %s", best)
	}
	ramp.most = 11
	if _, n := searched(t, ramp, bowl(0.725, 0.85)); n != 11 {
		t.Errorf("%d candidates of at most 11", n)
	}
	failure := errors.New("no")
	if err := ramp.search(func(string) (float64, error) { return 0, failure }); err != failure {
		t.Errorf("an error of a candidate became %v", err)
	}
}

// The jackknife of a mean is its textbook standard error, s/sqrt(n), and noise that two candidates share leaves their difference.
func TestJackknife(t *testing.T) {
	x := []float64{3, 1, 4, 1, 5, 9, 2, 6}
	n, sum, sq := float64(len(x)), 0.0, 0.0
	for _, v := range x {
		sum += v
	}
	var without []float64
	for _, v := range x {
		sq += (v - sum/n) * (v - sum/n)
		without = append(without, (sum-v)/(n-1))
	}
	want := math.Sqrt(sq / (n - 1) / n)
	if got := jackknife(without); !(math.Abs(got-want) < 1e-12) {
		t.Errorf("standard error %v, want %v", got, want)
	}
	a, b := tuned{Score: 5, Without: without}, tuned{Score: 6}
	for _, v := range without {
		b.Without = append(b.Without, v+1)
	}
	if gain, e := a.gain(b); gain != 1 || !(e < 1e-12) {
		t.Errorf("gain %v ± %v, want 1 ± 0", gain, e)
	}
	if list := ranked([]tuned{b, a}); list[0].Score != 5 || list[1].Score != 6 {
		t.Errorf("ranked %v", list)
	}
}

// A set without some pictures has the mean and covariance of the others.
func TestOutside(t *testing.T) {
	all := &featureSet{Features: metric.Features{N: 5, D: 1, X: []float64{1, 2, 30, 40, 6}}}
	rest, err := all.outside(2, 4)
	if err != nil || rest.N != 3 || !slices.Equal(rest.X, []float64{1, 2, 6}) {
		t.Fatalf("outside: %v, %v", rest, err)
	}
	if m := rest.gaussian.Mean[0]; !(math.Abs(m-3) < 1e-12) {
		t.Errorf("mean %v, want 3", m)
	}
	if !slices.Equal(all.X, []float64{1, 2, 30, 40, 6}) {
		t.Errorf("the whole set became %v", all.X)
	}
}
