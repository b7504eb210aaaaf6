package skiptune_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"diffuse/skiptune"
)

func equal(t *testing.T, what string, got []float32, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d weights, want %d", what, len(got), len(want))
		return
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= 1e-7) { // float32 rounding
			t.Errorf("%s: weight %d is %v, want %v", what, i, got[i], w)
		}
	}
}

// The paper's example of a ramp over the 16 skips of the ImageNet-64 network, in both ways to count.
func TestRampFacts(t *testing.T) {
	steps := func(from, step float64) []float64 {
		r := make([]float64, 16)
		for i := range r {
			r[i] = from + step*float64(i)
		}
		return r
	}
	equal(t, ".5 to 1 from the bottom", skiptune.Ramp(16, .5, 1, skiptune.FromBottom), steps(.5, .03125)...)
	equal(t, ".5 to 1 to the top", skiptune.Ramp(16, .5, 1, skiptune.ToTop), steps(.53125, .03125)...)
	equal(t, ".55 to 1", skiptune.Ramp(16, .55, 1, skiptune.FromBottom), steps(.55, .028125)...)
	if r := skiptune.Ramp(16, .5, 1, skiptune.ToTop); r[15] != 1 {
		t.Errorf("the highest weight is %v, want exactly 1", r[15])
	}
	if r := skiptune.Ramp(0, .5, 1, skiptune.FromBottom); len(r) != 0 {
		t.Errorf("no skips gave %v", r)
	}
}

// sides are four connections on three resolutions.
var sides = []int{7, 14, 28, 28}

// at parses and asks for the joins at a noise level.
func at(t *testing.T, text string, sigma float64) []skiptune.Join {
	t.Helper()
	tuning, err := skiptune.Parse(text, sides)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return tuning.At(sigma)
}

// norms and shortcuts take the two factors of skips out of joins; no joins are factors 1.
func norms(joins []skiptune.Join) []float32 {
	return factors(joins, func(j skiptune.Join) float32 { return j.Norm })
}

func shortcuts(joins []skiptune.Join) []float32 {
	return factors(joins, func(j skiptune.Join) float32 { return j.Shortcut })
}

func factors(joins []skiptune.Join, of func(skiptune.Join) float32) []float32 {
	list := []float32{1, 1, 1, 1}
	for i, j := range joins {
		list[i] = of(j)
	}
	return list
}

// The three plain forms: the same weights for both ways into the block, at every noise level.
func TestParseWeights(t *testing.T) {
	for _, c := range []struct {
		text string
		want []float64
	}{
		{"0.7", []float64{.7, .7, .7, .7}},
		{" 1 ", []float64{1, 1, 1, 1}},
		{"7e-1", []float64{.7, .7, .7, .7}},
		{"7e+0", []float64{7, 7, 7, 7}},
		{"0.5:1", []float64{.5, .625, .75, .875}},
		{"0.5:1:bottom", []float64{.5, .625, .75, .875}},
		{"0.5:1:top", []float64{.625, .75, .875, 1}},
		{"1:0.5", []float64{1, .875, .75, .625}},
		{"0.5, 0.6,0,1.2", []float64{.5, .6, 0, 1.2}},
	} {
		for _, sigma := range []float64{0, 0.002, 80, 1e6} {
			joins := at(t, c.text, sigma)
			equal(t, c.text, norms(joins), c.want...)
			equal(t, c.text, shortcuts(joins), c.want...)
			for i, j := range joins {
				if j.Backbone != 1 || j.Low != 1 {
					t.Errorf("%s: join %d is %+v, want FreeU's factors 1", c.text, i, j)
				}
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"": "want RHO", "x": "want RHO", "0.5:": "want RHO", ":1": "want RHO", "nan": "want RHO", "inf": "want RHO", "-0.1": "want RHO", "1e300": "want RHO",
		"0.5:nan": "want RHO", "0.5:1:2": "bottom or top", "0.5:1:top:1": "want RHO", "0.5,0.6": "2 skip weights", "1,1,1,1,1": "5 skip weights", "1,1,,1": "want RHO",
		"0.5@": "not a window", "0.5@..": "not a window", "0.5@1": "not a window", "0.5@5..1": "not a window", "0.5@-1..1": "not a window",
		"0.5@nan..1": "not a window", "0.5@inf..": "not a window", "0.5@a..b": "not a window", "@1..2": "want RHO",
		"0.5/": "unknown option", "0.5/half": "unknown option", "0.5/log": "goes with", "0.5/falling": "two ends", "0.5@1../growing": "two ends",
		"0.5@0..5/falling/log": "low end above 0", "0.5@5..5/falling": "two ends", "0.5@1..5/falling/growing": "more than one",
		"0.5+": "want RHO", "+0.5": "want RHO", "freeu:1,2,3": "four numbers", "freeu:1,1,1,-1": "want RHO",
	} {
		if got, err := skiptune.Parse(text, sides); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, %v, want an error that says %q", text, got, err, want)
		}
	}
	if _, err := skiptune.Parse("0.7", nil); err == nil || !strings.Contains(err.Error(), "no skip connections") {
		t.Errorf("a network without skips: %v", err)
	}
}

// Inside the window the weights are those of the plain form, outside there are none; both ends belong to it.
func TestWindow(t *testing.T) {
	for _, text := range []string{"0.5:1@0.1..5", "0.5:1@1e-1..5e0"} {
		for _, sigma := range []float64{0.1, 1, 5} {
			equal(t, text, norms(at(t, text, sigma)), .5, .625, .75, .875)
		}
		for _, sigma := range []float64{0.0999, 5.001, 80} {
			if joins := at(t, text, sigma); joins != nil {
				t.Errorf("%s at %v: %v, want nothing", text, sigma, joins)
			}
		}
	}
	equal(t, "open above", norms(at(t, "0.7@2..", 1e9)), .7, .7, .7, .7)
	equal(t, "open below", norms(at(t, "0.7@..2", 0)), .7, .7, .7, .7)
	tuning, err := skiptune.Parse("0.7@2..+0.8@100..200", sides)
	if err != nil {
		t.Fatal(err)
	}
	if from, to, missed := tuning.Misses(0.002, 80); !missed || from != 100 || to != 200 {
		t.Errorf("window 100..200 of a run to 80: %v, %v, %v", from, to, missed)
	}
	if _, _, missed := tuning.Misses(0.002, 100); missed {
		t.Error("a run from 100 on misses a window")
	}
}

// Weights that fall with sigma are 1 at the low end and whole at the high end; growing ones the other way round.
func TestTrend(t *testing.T) {
	for _, c := range []struct {
		text  string
		sigma float64
		want  float64
	}{
		{"0.6@1..9/falling", 1, 1}, {"0.6@1..9/falling", 3, .9}, {"0.6@1..9/falling", 9, .6}, {"0.6@1..9/falling", 9.1, 1},
		{"0.6@1..9/growing", 1, .6}, {"0.6@1..9/growing", 3, .7}, {"0.6@1..9/growing", 9, 1},
		{"0.6@1..9/falling/log", 3, .8}, {"0.6@1..9/log/growing", 3, .8}, {"0.6@1..9/falling/log", 9, .6},
	} {
		equal(t, fmt.Sprint(c.text, " at ", c.sigma), norms(at(t, c.text, c.sigma)), c.want, c.want, c.want, c.want)
	}
}

// The weight may act on one way into the block only, and terms multiply.
func TestPartsAndTerms(t *testing.T) {
	j := at(t, "0.5:1/norm", 1)
	equal(t, "norm", norms(j), .5, .625, .75, .875)
	equal(t, "norm", shortcuts(j), 1, 1, 1, 1)
	j = at(t, "0.5:1/shortcut", 1)
	equal(t, "shortcut", norms(j), 1, 1, 1, 1)
	equal(t, "shortcut", shortcuts(j), .5, .625, .75, .875)
	j = at(t, "0.5+0.8@1..2/norm", 1)
	equal(t, "product", norms(j), .4, .4, .4, .4)
	equal(t, "product", shortcuts(j), .5, .5, .5, .5)
	equal(t, "product", norms(at(t, "0.5+0.8@1..2/norm", 3)), .5, .5, .5, .5)
}

// FreeU's first index is the lowest resolution, its second the next; the others are plain.
func TestFreeU(t *testing.T) {
	want := []skiptune.Join{{1, 1, 1.2, .9}, {1, 1, 1.4, .2}, skiptune.Plain(), skiptune.Plain()}
	for i, j := range at(t, "freeu:1.2,1.4,.9,.2@..10", 10) {
		if j != want[i] {
			t.Errorf("join %d is %+v, want %+v", i, j, want[i])
		}
	}
}

// A ramp from 0.5 at the deepest of four skip connections towards 1, at middle noise levels only.
func ExampleParse() {
	tuning, err := skiptune.Parse("0.5:1@0.1..5", []int{7, 7, 14, 14})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, join := range tuning.At(2) {
		fmt.Print(join.Norm, " ")
	}
	fmt.Println(tuning.At(80))
	// Output: 0.5 0.625 0.75 0.875 []
}
