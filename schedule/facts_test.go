package schedule_test

import (
	"math"
	"testing"

	"diffuse/schedule"
)

// Values of the simple-diffusion schedules worked out by hand in double precision and printed with six decimals.
func TestCosineFacts(t *testing.T) {
	const tol = 1e-5
	c := schedule.DefaultCosine()
	near(t, "bounded cosine", each([]float64{0, .1, .25, .5, .75, .9, 1}, c.LogSNR),
		[]float64{15, 3.679740, 1.761183, 0, -1.761183, -3.679740, -15}, tol)
	mid := []float64{.25, .5, .75}
	for _, f := range []struct {
		noise, image float64
		want         []float64
	}{
		{32, 64, []float64{.374889, -1.386294, -3.147478}},
		{32, 256, []float64{-2.397700, -4.158883, -5.920066}},
		{64, 256, []float64{-1.011405, -2.772589, -4.533772}},
	} {
		near(t, "shifted A", each(mid, c.Shifted(f.noise, f.image, schedule.ClipA)), f.want, tol)
	}
	ends := []float64{0, .25, .5, .75, 1}
	near(t, "interpolated A 512", each(ends, c.Interpolated(32, 256, 512, schedule.ClipA, schedule.LowAtClean)),
		[]float64{9.454823, -2.744273, -3.465736, -4.187198, -16.386294}, tol)
	near(t, "interpolated A 256", each(ends, c.Interpolated(32, 256, 256, schedule.ClipA, schedule.LowAtClean)),
		[]float64{10.841117, -1.357979, -2.079442, -2.800904, -15}, tol)
	near(t, "shifted B", each(ends, c.Shifted(32, 256, schedule.ClipB)), []float64{15, -2.390166, -4.150172, -5.903017, -15}, tol)
	near(t, "interpolated B", each(ends, c.Interpolated(32, 256, 512, schedule.ClipB, schedule.LowAtClean)),
		[]float64{15, -2.733315, -3.456092, -4.176226, -15}, tol)
}

// Alpha and sigma of the 64@256 schedule, and the ancestral step of DDPM from t = .5 to .4 in terms of logSNR.
func TestAlphaSigmaFacts(t *testing.T) {
	l := schedule.DefaultCosine().Shifted(64, 256, schedule.ClipA)
	for _, f := range []struct{ t, alpha, sigma, ve float64 }{
		{.5, .24253563, .9701425, 4}, {.25, .51643479, .85632652, 1.65815036}, {.75, .10308232, .99467283, 9.6493059},
	} {
		a, s := schedule.AlphaSigma(l(f.t))
		relative(t, "alpha, sigma, sigma_ve", []float64{a, s, schedule.Sigma(l(f.t))}, []float64{f.alpha, f.sigma, f.ve}, 1e-7)
	}
	c := -math.Expm1(l(.5) - l(.4))
	_, s := schedule.AlphaSigma(l(.4))
	relative(t, "DDPM step", []float64{c, s * s * c}, []float64{.47189032, .42195354}, 1e-7)
}

// EDM's published step grids with eight digits.
func TestKarrasFacts(t *testing.T) {
	for _, want := range [][]float64{
		{80, 57.585985, 40.785574, 28.374585, 19.352453, 12.910082, 8.4009353, 5.3151945, 3.2568215, 1.9233398,
			1.0881706, .58534812, .29644228, .13951647, .059947311, .022934518, .00752802, .002, 0},
		{80, 42.415189, 21.108677, 9.7232014, 4.0661236, 1.501742, .46997906, .11663856, .020435335, .002, 0},
		{80, 17.527832, 2.515219, .16975276, .002, 0},
	} {
		relative(t, "karras", schedule.Karras(len(want)-1, .002, 80, 7), want, 1e-7)
	}
	inside := 0
	for _, s := range schedule.Karras(256, .002, 80, 7)[:256] {
		if s >= .05 && s <= 50 {
			inside++
		}
	}
	if inside != 191 {
		t.Errorf("%d of 256 levels in [.05, 50], want 191", inside)
	}
}

func TestGridEnds(t *testing.T) {
	relative(t, "one step", schedule.Karras(1, .002, 80, 7), []float64{80, 0}, 0)
	relative(t, "one step", schedule.Exponential(1, .002, 80), []float64{80, 0}, 0)
	relative(t, "two steps", schedule.Karras(2, .002, 80, 7), []float64{80, .002, 0}, 0)
	one, err := schedule.FromLogSNR(schedule.DefaultCosine().LogSNR, 1, .002, 80)
	if err != nil {
		t.Fatal(err)
	}
	relative(t, "one step", one, []float64{80, 0}, 0)
	for _, f := range []func(){
		func() { schedule.Karras(0, .002, 80, 7) },
		func() { schedule.Karras(5, 80, .002, 7) },
		func() { schedule.Karras(5, 0, 80, 7) },
		func() { schedule.Karras(5, .002, math.NaN(), 7) },
		func() { schedule.Karras(5, .002, 80, 0) },
		func() { schedule.Exponential(3, .002, math.Inf(1)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a grid that cannot exist did not panic")
				}
			}()
			f()
		}()
	}
}

// The unshifted cosine schedule cut to [.002, 80] is sigma = tan(phi) with phi evenly spaced from atan 80 to
// atan .002; uncut it runs from t = 1 to t = 0.
func TestFromLogSNR(t *testing.T) {
	const n = 10
	l := schedule.DefaultCosine().LogSNR
	got, err := schedule.FromLogSNR(l, n, .002, 80)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, n+1)
	for i := range n {
		a, b := math.Atan(80), math.Atan(.002)
		want[i] = math.Tan(a + float64(i)/(n-1)*(b-a))
	}
	relative(t, "tan grid", got, want, 1e-10)
	full, err := schedule.FromLogSNR(l, n, 0, math.Inf(1))
	if err != nil {
		t.Fatal(err)
	}
	relative(t, "whole schedule", []float64{full[0], full[n-1], full[n]}, []float64{math.Exp(7.5), math.Exp(-7.5), 0}, 1e-9)
	shifted, err := schedule.FromLogSNR(schedule.DefaultCosine().Interpolated(32, 256, 512, schedule.ClipA, schedule.LowAtNoisy), 1000, .002, 80)
	if err != nil || shifted[0] != 80 || shifted[999] != .002 {
		t.Errorf("interpolated grid: ends %v, error %v", shifted, err)
	}
	for _, c := range []struct {
		n        int
		min, max float64
	}{{0, .002, 80}, {5, 1e9, 2e9}, {5, 1e-9, 1e-8}, {5, 2, 1}, {5, math.NaN(), 80}, {5, .002, math.NaN()}} {
		if g, err := schedule.FromLogSNR(l, c.n, c.min, c.max); err == nil {
			t.Errorf("FromLogSNR(%d, %v, %v) = %v, want an error", c.n, c.min, c.max, g)
		}
	}
	for name, l := range map[string]schedule.LogSNR{"flow": schedule.Flow(1), "laplace": schedule.Laplace(0, .5)} {
		for n := range 3 {
			if g, err := schedule.FromLogSNR(l, n+1, .002, math.Inf(1)); err == nil {
				t.Errorf("%s, which begins at pure noise, gave %v in %d steps", name, g, n+1)
			}
		}
		if g, err := schedule.FromLogSNR(l, 1, .002, 80); err != nil || g[0] != 80 {
			t.Errorf("%s from 80: %v, %v", name, g, err)
		}
	}
	// Reference sizes 128 apart: the printed direction turns back in the middle.
	bad := schedule.DefaultCosine().Interpolated(8, 1024, 1024, schedule.ClipA, schedule.LowAtClean)
	if g, err := schedule.FromLogSNR(bad, 20, 0, math.Inf(1)); err == nil {
		t.Errorf("a schedule that does not fall gave %v", g)
	}
}
