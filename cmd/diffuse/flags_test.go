package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestParseNumberFile(t *testing.T) {
	for _, f := range []struct {
		text string
		want []float64
	}{
		{"80,5\n 0.5\t0", []float64{80, 5, 0.5, 0}},
		{"# from far\r\n80 # start\r\n\r\n1e-3,", []float64{80, 1e-3}},
		{"\n[80, 5.5,\n0]\n", []float64{80, 5.5, 0}},
	} {
		if got, err := parseNumberFile([]byte(f.text)); err != nil || !slices.Equal(got, f.want) {
			t.Errorf("%q: %v, error %v, want %v", f.text, got, err, f.want)
		}
	}
	for text, want := range map[string]string{
		"": "empty", "# 1 2": "empty", "[]": "empty", "[1, null]": "element 1", "[1, 2": "JSON", "[1, \"2\"]": "JSON", "[1e999]": "JSON",
		"1 two": `"two" is not a number`, "1 NaN": "NaN", "{}": "not a number",
	} {
		if got, err := parseNumberFile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, error %v, want one that says %q", text, got, err, want)
		}
	}
}

// Whatever the bytes, there are finite numbers or an error.
func FuzzParseNumberFile(f *testing.F) {
	for _, s := range []string{"80,5 0", "[80, 5]", "[null]", "#", "1e309", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseNumberFile(b)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%q: %v, error %v", b, list, err)
		}
		for _, v := range list {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%q: %v", b, list)
			}
		}
	})
}
