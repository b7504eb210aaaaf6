package schedule_test

import (
	"math"
	"strings"
	"testing"

	"diffuse/schedule"
)

// Every curve: the derivatives against central differences of step 1e-6 relative (error about 1e-9), the inverse
// against the curve, and the ends.
func TestCurves(t *testing.T) {
	for name, c := range map[string]struct {
		schedule.Curve
		first, last float64 // times
	}{
		"linear":                {schedule.LinearCurve(), 0.002, 80},
		"linear, scaled":        {schedule.LinearCurve().VariancePreserving(), 0.002, 80},
		"ve":                    {schedule.VECurve(), 0.0004, 10000},
		"vp":                    {schedule.VPCurve(19.9, 0.1), 1e-3, 1},
		"vp, scaled":            {schedule.VPCurve(19.9, 0.1).VariancePreserving(), 1e-5, 1},
		"vp, negative beta_min": {schedule.VPCurve(schedule.VPBetas(0.002, 80, 1e-3)).VariancePreserving(), 1e-3, 1},
	} {
		if c.Scale == nil {
			c.Scale, c.ScaleDeriv = func(float64) float64 { return 1 }, func(float64) float64 { return 0 }
		}
		if s, scale := c.Sigma(0), c.Scale(0); s != 0 || scale != 1 {
			t.Errorf("%s: sigma(0) = %v and s(0) = %v, want 0 and 1", name, s, scale)
		}
		for i := range 101 {
			time := c.first * math.Pow(c.last/c.first, float64(i)/100)
			sigma := c.Sigma(time)
			if back := c.SigmaInv(sigma); !(math.Abs(back/time-1) <= 1e-9) {
				t.Errorf("%s: the time of sigma(%v) = %v is %v", name, time, sigma, back)
			}
			h := 1e-6 * time
			for what, f := range map[string][2]func(float64) float64{"sigma": {c.Sigma, c.SigmaDeriv}, "s": {c.Scale, c.ScaleDeriv}} {
				want := (f[0](time+h) - f[0](time-h)) / (2 * h)
				if d := f[1](time); !(math.Abs(d-want) <= 1e-6*math.Abs(want)+1e-9/time) {
					t.Errorf("%s: %s'(%v) = %v, the difference quotient is %v", name, what, time, d, want)
				}
			}
		}
	}
}

// The fitted constants are those of the released models at their range, and reach the ends of any range.
func TestVPBetas(t *testing.T) {
	vp := schedule.VPCurve(19.9, 0.1)
	d, m := schedule.VPBetas(vp.Sigma(1e-3), vp.Sigma(1), 1e-3)
	relative(t, "betas", []float64{d, m}, []float64{19.9, 0.1}, 1e-12)
	for _, r := range [][2]float64{{0.002, 80}, {0.02, 100}, {0.1, 10}} {
		c := schedule.VPCurve(schedule.VPBetas(r[0], r[1], 1e-3))
		relative(t, "ends", []float64{c.Sigma(1e-3), c.Sigma(1)}, r[:], 1e-10)
	}
}

// The grids of EDM's recorded ablation runs (testdata/edm, call_sigmas of the Euler runs and of the VE run).
func TestDiscretizations(t *testing.T) {
	for name, want := range map[string][]float64{
		"vp":  {152.16697028394623, 25.148852404503916, 6.11166250604729, 2.0344293401724713, 0.7238067666813103, 0.010485992786706403, 0},
		"ve":  {100, 18.2056420302608, 3.314454017339986, 0.6034176336545164, 0.10985605433061173, 0.02, 0},
		"edm": {80, 24.408341786580095, 5.838947631011886, 0.9654169263318955, 0.08508720268939021, 0.002, 0},
	} {
		d, err := schedule.DiscretizationByName(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Grid(6, d.SigmaMin, d.SigmaMax, 7)
		if err != nil {
			t.Fatal(err)
		}
		relative(t, name, got, want, 1e-12)
		if one, err := d.Grid(1, d.SigmaMin, d.SigmaMax, 7); err != nil || len(one) != 2 || one[0] != d.SigmaMax || one[1] != 0 {
			t.Errorf("%s, one step: %v, %v", name, one, err)
		}
	}
	d, _ := schedule.DiscretizationByName("iddpm")
	net := schedule.DefaultIDDPM()
	lo, hi := net.Limit(d.SigmaMin, d.SigmaMax)
	got, err := d.Grid(6, lo, hi, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{80.20369720458984, 3.007101535797119, 1.3726155757904053, 0.7306733131408691, 0.3339899182319641, 0.006422337144613266, 0}
	relative(t, "iddpm", net.RoundAll(got), want, 2e-6) // a float32 table, ours off by up to 1.1e-6
}

func TestDiscretizationErrors(t *testing.T) {
	for _, d := range schedule.Discretizations() {
		for _, c := range [][3]float64{{0, 1, 2}, {3, 2, 1}, {3, 0, 1}, {3, 1, math.Inf(1)}, {3, math.NaN(), 1}} {
			if g, err := d.Grid(int(c[0]), c[1], c[2], 7); err == nil {
				t.Errorf("%s: %v steps from %v to %v gave %v, want an error", d.Name, c[0], c[2], c[1], g)
			}
		}
	}
	d, _ := schedule.DiscretizationByName("edm")
	if _, err := d.Grid(3, 1, 2, 0); err == nil || !strings.Contains(err.Error(), "rho") {
		t.Errorf("rho 0: %v", err)
	}
	if _, err := schedule.IDDPMSteps(900, 1, 10, 0.001, 0.008, 1000); err == nil || !strings.Contains(err.Error(), "900 steps, but only") {
		t.Errorf("more steps than levels: %v", err)
	}
	if g, err := schedule.IDDPMSteps(1, 0.002, 81, 0.001, 0.008, 1000); err != nil || len(g) != 2 || !(g[0] > 80 && g[0] < 81) || g[1] != 0 {
		t.Errorf("one step: %v, %v", g, err)
	}
	for want, err := range map[string]error{
		"valid names: vp, ve, iddpm, edm": second(schedule.DiscretizationByName("x")),
		"valid names: vp, ve, linear":     second(schedule.CurveByName("x", "none", 1, 2)),
		"valid names: vp, none":           second(schedule.CurveByName("ve", "x", 1, 2)),
		"curve vp: smallest noise level":  second(schedule.CurveByName("vp", "vp", 2, 1)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
