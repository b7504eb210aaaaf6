package schedule_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"diffuse/schedule"
)

func grid(t *testing.T, spec string) []float64 {
	t.Helper()
	g, err := schedule.Parse(spec)
	if err != nil {
		t.Fatalf("Parse(%q): %v", spec, err)
	}
	s, err := g(8, .002, 80, 7)
	if err != nil {
		t.Fatalf("%q: %v", spec, err)
	}
	return s
}

func TestParse(t *testing.T) {
	c := schedule.DefaultCosine()
	from := func(l schedule.LogSNR) []float64 {
		s, err := schedule.FromLogSNR(l, 8, .002, 80)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, f := range []struct {
		spec string
		want []float64
	}{
		{"karras", schedule.Karras(8, .002, 80, 7)},
		{" EDM ", schedule.Karras(8, .002, 80, 7)},
		{"exponential", schedule.Exponential(8, .002, 80)},
		{"logsnr", schedule.Exponential(8, .002, 80)},
		{"cosine", from(c.LogSNR)},
		{"Cosine:Shift=64@256", from(c.Shifted(64, 256, schedule.ClipA))},
		{"cosine:shift=64@256,clip=B", from(c.Shifted(64, 256, schedule.ClipB))},
		{"cosine:interpolate=32:256@512", from(c.Interpolated(32, 256, 512, schedule.ClipA, schedule.LowAtNoisy))},
		{"cosine:interpolate=32:256@512,clip=b,low_at_clean", from(c.Interpolated(32, 256, 512, schedule.ClipB, schedule.LowAtClean))},
		{"cosine:min=-10,max=20,low-at-noisy,interpolate=32:64@64", from(schedule.Cosine{Min: -10, Max: 20}.Interpolated(32, 64, 64, schedule.ClipA, schedule.LowAtNoisy))},
	} {
		relative(t, f.spec, grid(t, f.spec), f.want, 0)
	}
}

func TestParseErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"":                                           "karras, exponential, poly",
		"linear-betas":                               "karras, exponential, poly",
		"exponential:rho=7":                          "takes no options",
		"karras:rho=0":                               "must lie between",
		"karras:speed":                               "valid options: rho=R",
		"flow:shift=0":                               "must lie between",
		"flow:diffusers=yes":                         "takes no value",
		"flow:timesteps=10":                          "belongs to the flag diffusers",
		"sigmoid:start=3,end=-3":                     "below end",
		"cosine-gamma:start=1":                       "below end",
		"sigmoid-jabri:start=3,end=-3":               "below end",
		"linear:timesteps=1":                         "must lie between",
		"linear:timesteps=9.5":                       "whole number",
		"linear:spacing=log":                         "trailing, leading, linspace, lcm",
		"linear:sigmas=cosine":                       "table, karras, exponential, beta",
		"linear:steps-offset=1":                      "spacing=leading",
		"linear:beta-end=1":                          "must lie between",
		"linear:timesteps=100000":                    "must rise",
		"cosine:":                                    "valid options",
		"cosine:speed=3":                             "valid options",
		"cosine:shift=64":                            "R@D",
		"cosine:shift=64:32@256":                     "R@D",
		"cosine:shift=x@256":                         "finite number",
		"cosine:shift=0@256":                         "between 1",
		"cosine:shift=64@nan":                        "finite number",
		"cosine:interpolate=32@256":                  "LOW:HIGH@D",
		"cosine:interpolate=256:32@512":              "low size comes first",
		"cosine:shift=64@256,shift=32@256":           "given twice",
		"cosine:clip=C":                              "none of a, b",
		"cosine:min=15,max=-15":                      "min < max",
		"cosine:max=1e9":                             "between -70 and 70",
		"cosine:shift=64@256,low-at-noisy":           "interpolate",
		"cosine:shift=64@256,interpolate=32:256@512": "one shift",
		"cosine:interpolate=32:256@512,low-at-noisy,low-at-clean": "contradict",
		"cosine:interpolate=32:256@512,,  ":                       "valid options",
	} {
		if _, err := schedule.Parse(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): error %v, want one that says %q", spec, err, want)
		}
	}
	for _, n := range schedule.Names() {
		name := n[0]
		g, err := schedule.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := g(0, .002, 80, 7); err == nil {
			t.Errorf("%s with 0 steps gave %v", name, s)
		}
		if s, err := g(5, 80, .002, 7); err == nil {
			t.Errorf("%s from .002 to 80 gave %v", name, s)
		}
		if s, err := g(5, math.NaN(), 80, 7); err == nil {
			t.Errorf("%s down to NaN gave %v", name, s)
		}
		if s, err := g(100, 1, math.Nextafter(1, 2), 7); err == nil {
			t.Errorf("%s with 100 levels in one bit gave %v", name, s)
		}
	}
	if g, _ := schedule.Parse("karras"); g != nil {
		if s, err := g(5, .002, 80, math.NaN()); err == nil {
			t.Errorf("rho NaN gave %v", s)
		}
	}
}

// Whatever the text, Parse does not panic, and a grid it gives falls strictly from at most sigmaMax to 0.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"karras", "cosine:shift=64@256", "cosine:interpolate=32:256@512,clip=B,low_at_clean,min=-5,max=20", "cosine:min=nan", "exponential",
		"linear:spacing=leading,steps-offset=1,like=euler,sigmas=karras,final=sigma-min", "sigmoid_jabri:tau=.2,timesteps=50,zero-snr,float32",
		"flow:shift=3,diffusers", "laplace:mu=-3,b=9", "vp:beta-d=1,eps=.5", "time-uniform:rho=3", "consistency:timesteps=9", "cosine-gamma:tau=3"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, spec string, n int) {
		g, err := schedule.Parse(spec)
		if err != nil {
			return
		}
		n %= 300
		s, err := g(n, .002, 80, 7)
		if err != nil {
			return
		}
		if len(s) != n+1 || !(s[n] >= 0) || !(s[0] <= 80) {
			t.Fatalf("%q, %d steps: %v", spec, n, s)
		}
		for i := range n {
			if !(s[i] > s[i+1]) {
				t.Fatalf("%q: level %d is %v, then %v", spec, i, s[i], s[i+1])
			}
		}
	})
}

// TestGridRefuses: a range that is none is an error of every schedule, for one step as for many, and what is not refused can be sampled.
func TestGridRefuses(t *testing.T) {
	for _, name := range schedule.Names() {
		s, err := schedule.LookupAt(name[0], 28)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range [][2]float64{{1, 1}, {2, 1}, {0, 80}, {.002, math.Inf(1)}, {0, math.Inf(1)}, {math.NaN(), 80}, {.002, math.NaN()}, {.002, -1}} {
			for _, n := range []int{-1, 0, 1, 2, 20} {
				g, err := s.Grid(n, r[0], r[1], 7)
				if err != nil {
					continue
				}
				if len(g) != n+1 || !(g[n] >= 0) || math.IsInf(g[0], 0) {
					t.Errorf("%s, %d steps from %v to %v: %v", name[0], n, r[1], r[0], g)
				}
				for i := range n {
					if !(g[i] > g[i+1]) {
						t.Errorf("%s, %d steps from %v to %v: %v", name[0], n, r[1], r[0], g)
						break
					}
				}
			}
		}
	}
}

// Print the noise levels of EDM's five-step grid and those of a shifted cosine schedule.
func ExampleParse() {
	for _, name := range []string{"karras", "cosine:shift=64@256"} {
		grid, err := schedule.Parse(name)
		if err != nil {
			panic(err)
		}
		sigmas, err := grid(5, 0.002, 80, 7)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s %.4g\n", name, sigmas)
	}
	// Output:
	// karras [80 17.53 2.515 0.1698 0.002 0]
	// cosine:shift=64@256 [80 8.721 3.807 1.601 0.002212 0]
}
