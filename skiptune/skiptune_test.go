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

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want []float64
	}{
		{"0.7", []float64{.7, .7, .7, .7}},
		{" 1 ", []float64{1, 1, 1, 1}},
		{"0.5:1", []float64{.5, .625, .75, .875}},
		{"0.5:1:bottom", []float64{.5, .625, .75, .875}},
		{"0.5:1:top", []float64{.625, .75, .875, 1}},
		{"1:0.5", []float64{1, .875, .75, .625}},
		{"0.5, 0.6,0,1.2", []float64{.5, .6, 0, 1.2}},
	} {
		got, err := skiptune.Parse(c.text, 4)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.text, err)
			continue
		}
		equal(t, c.text, got, c.want...)
	}
	for text, want := range map[string]string{
		"": "want RHO", "x": "want RHO", "0.5:": "want RHO", ":1": "want RHO", "nan": "want RHO", "inf": "want RHO", "-0.1": "want RHO", "1e300": "want RHO",
		"0.5:nan": "want RHO", "0.5:1:2": "bottom or top", "0.5:1:top:1": "want RHO", "0.5,0.6": "2 skip weights", "1,1,1,1,1": "5 skip weights", "1,1,,1": "want RHO",
	} {
		if got, err := skiptune.Parse(text, 4); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, %v, want an error that says %q", text, got, err, want)
		}
	}
	if _, err := skiptune.Parse("0.7", 0); err == nil || !strings.Contains(err.Error(), "no skip connections") {
		t.Errorf("a network without skips: %v", err)
	}
}

// A ramp from 0.5 at the deepest of four skip connections towards 1.
func ExampleParse() {
	rho, err := skiptune.Parse("0.5:1", 4)
	fmt.Println(rho, err)
	// Output: [0.5 0.625 0.75 0.875] <nil>
}
