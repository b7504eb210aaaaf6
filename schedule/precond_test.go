package schedule_test

import (
	"math"
	"strings"
	"testing"

	"diffuse/schedule"
)

// The coefficients as the reference's float32 wrappers apply them. Tolerance 1e-6 relative (float32 has 6e-8 and
// out is a difference of two numbers of size sigma, hence 1e-6*(1+sigma) there). The iDDPM levels come from a
// recurrence of 1000 float32 steps, where the last bit of the sine makes 1e-6; level indices must be equal.
func TestPrecondGolden(t *testing.T) {
	type entry struct {
		Kwargs struct {
			SigmaData *float64 `json:"sigma_data"`
			BetaD     *float64 `json:"beta_d"`
			BetaMin   float64  `json:"beta_min"`
			M         int
		}
		Sigma    []float64
		Skip     []float64 `json:"c_skip"`
		Out      []float64 `json:"c_out"`
		In       []float64 `json:"c_in"`
		Noise    []float64 `json:"c_noise"`
		SigmaMin float64   `json:"sigma_min"`
		SigmaMax any       `json:"sigma_max"`
		U        *struct {
			First []float64 `json:"u[0:4]"`
			Last  []float64 `json:"u[-4:]"`
			Sum   float64   `json:"sum_float64"`
			Round []float64 `json:"round_sigma"`
			Index []float64
		} `json:"u_first_last"`
	}
	var file struct{ Tables map[string][]entry }
	load(t, "edm/precond_tables/case.json", &file)
	if len(file.Tables) != 4 {
		t.Fatalf("%d tables, want 4", len(file.Tables))
	}
	for class, entries := range file.Tables {
		for _, e := range entries {
			p, err := schedule.PrecondByName(class, 0.5)
			if err != nil {
				t.Fatal(err)
			}
			k := e.Kwargs
			switch {
			case k.SigmaData != nil:
				p = schedule.EDM(*k.SigmaData)
			case k.BetaD != nil:
				p = schedule.VP(*k.BetaD, k.BetaMin, k.M, 1e-5)
			case k.M != 0:
				p = schedule.IDDPM(0.001, 0.008, k.M)
			}
			for i, s := range e.Sigma {
				skip, out, in, noise := p.Scaling(s)
				relative(t, class, []float64{skip, in, noise}, []float64{e.Skip[i], e.In[i], e.Noise[i]}, 1e-6)
				if d := math.Abs(out - e.Out[i]); !(d <= 1e-6*(1+s)) {
					t.Errorf("%s: out(%v) = %v, want %v", class, s, out, e.Out[i])
				}
			}
			wantMax, ok := e.SigmaMax.(float64)
			if !ok {
				wantMax = math.Inf(1)
			}
			if p.SigmaMin != e.SigmaMin {
				t.Errorf("%s: SigmaMin %.17g, want %.17g", class, p.SigmaMin, e.SigmaMin)
			}
			if p.SigmaMax != wantMax && !(math.Abs(p.SigmaMax-wantMax) <= 1e-6*wantMax && e.U != nil) {
				t.Errorf("%s: SigmaMax %.17g, want %.17g", class, p.SigmaMax, wantMax)
			}
			if e.U == nil {
				continue
			}
			m := 1000
			if k.M != 0 {
				m = k.M
			}
			u := schedule.IDDPMLevels(0.001, 0.008, m)
			sum := 0.0
			for _, v := range u {
				sum += v
			}
			relative(t, class+" u", append(u[:4:4], u[len(u)-4:]...), append(e.U.First, e.U.Last...), 1e-6)
			relative(t, class+" sum of u", []float64{sum}, []float64{e.U.Sum}, 1e-6)
			relative(t, class+" rounded", p.RoundAll(e.Sigma), e.U.Round, 1e-6)
			for i, s := range e.Sigma {
				if _, _, _, noise := p.Scaling(s); float64(m-1)-noise != e.U.Index[i] {
					t.Errorf("%s: level index of %v is %v, want %v", class, s, float64(m-1)-noise, e.U.Index[i])
				}
			}
		}
	}
}

// The preconditioning table of the EDM paper's formulas, to the 9 digits it was computed with.
func TestPrecondFacts(t *testing.T) {
	for _, c := range []struct{ sigma, skip, out, in, noise, weight float64 }{
		{80, 3.90609742e-5, .499990235, .0124997559, 1.09550666, 4.00015625},
		{2.5, .0384615385, .490290338, .39223227, .229072683, 4.16},
		{.5, .5, .353553391, 1.41421356, -.173286795, 8},
	} {
		skip, out, in, noise := schedule.EDM(0.5).Scaling(c.sigma)
		relative(t, "EDM", []float64{skip, out, in, noise, schedule.EDMWeight(c.sigma, 0.5)},
			[]float64{c.skip, c.out, c.in, c.noise, c.weight}, 1e-8)
	}
}

// Each preconditioning must return x itself as sigma goes to 0 with a bounded network, and scale F's input to
// unit variance for unit-variance data (sd 0.5 for EDM), except VE, which leaves it alone.
func TestPrecondBoundaries(t *testing.T) {
	for _, p := range []schedule.Precond{schedule.EDM(0.5), schedule.DefaultVP(), schedule.VE(), schedule.DefaultIDDPM()} {
		skip, out, _, _ := p.Scaling(1e-6)
		if !(math.Abs(skip-1) < 1e-6) || !(math.Abs(out) < 1e-5) {
			t.Errorf("%s at sigma 1e-6: skip %v, out %v", p.Name, skip, out)
		}
		lo, hi := p.Limit(0.002, 80)
		if lo < 0.002 || hi > 80 || lo < p.SigmaMin || hi > p.SigmaMax {
			t.Errorf("%s: limits %v %v", p.Name, lo, hi)
		}
		same, err := schedule.PrecondByName(strings.ToUpper(p.Name), 0.5)
		if err != nil || same.Name != p.Name {
			t.Errorf("PrecondByName(%q) = %q, %v", p.Name, same.Name, err)
		}
		s := []float64{3, 1, 0}
		r := p.RoundAll(s)
		r[0] = -1
		if s[0] != 3 {
			t.Errorf("%s: RoundAll changed its argument", p.Name)
		}
	}
	if _, err := schedule.PrecondByName("ddpm", 0.5); err == nil || !strings.Contains(err.Error(), "iddpm") {
		t.Errorf("unknown name: %v", err)
	}
	if _, err := schedule.PrecondByName("edm", math.NaN()); err == nil {
		t.Error("sigma_data NaN was accepted")
	}
}

// A tie and the ends of the level table.
func TestNearestLevel(t *testing.T) {
	p := schedule.DefaultIDDPM()
	u := schedule.IDDPMLevels(0.001, 0.008, 1000)
	for _, c := range []struct {
		sigma float64
		index int
	}{{1e9, 0}, {u[0], 0}, {(u[0] + u[1]) / 2, 0}, {u[500], 500}, {u[1000], 1000}, {0, 1000}, {u[999] * 0.49, 1000}, {u[999] * 0.51, 999}} {
		_, _, _, noise := p.Scaling(c.sigma)
		if got := 999 - int(noise); got != c.index {
			t.Errorf("level nearest to %v is %d, want %d", c.sigma, got, c.index)
		}
	}
}
