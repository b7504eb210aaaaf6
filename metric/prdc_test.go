package metric_test

import (
	"context"
	"math"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"diffuse/internal/kernel"
	"diffuse/metric"
)

// Counts are exact, also with ties; radii are equal to the rounding of a sum.
func TestGoldenPRDC(t *testing.T) {
	type counts struct {
		Precision, Recall, Density, Coverage float64
		PC                                   int `json:"precision_count"`
		RC                                   int `json:"recall_count"`
		DC                                   int `json:"density_count"`
		CC                                   int `json:"coverage_count"`
	}
	type numbers struct {
		Radii1 []float64 `json:"radius_generated_first8"`
		Radii2 []float64 `json:"radius_real_first8"`
		Sum1   float64   `json:"radius_generated_sum"`
		Sum2   float64   `json:"radius_real_sum"`
		LE, LT counts
	}
	r := open(t)
	cases := 0
	for key, byK := range results[map[string]map[string]numbers](t, "prdc") {
		words := strings.Split(key, "_") // A_generated_B_real
		x, y := r.set(t, words[0]), r.set(t, words[2])
		for k, w := range byK {
			k, err := strconv.Atoi(k[1:])
			if err != nil {
				t.Fatal(err)
			}
			checkRadii(t, x, k, w.Radii1, w.Sum1)
			checkRadii(t, y, k, w.Radii2, w.Sum2)
			for strict, c := range map[bool]counts{false: w.LE, true: w.LT} {
				got := must(metric.PrecisionRecall(context.Background(), x, y, metric.PRDCOptions{K: k, Strict: strict}))(t)
				want := metric.PRDC{Precision: c.Precision, Recall: c.Recall, Density: c.Density, Coverage: c.Coverage,
					PrecisionCount: c.PC, RecallCount: c.RC, DensityCount: c.DC, CoverageCount: c.CC}
				if got != want {
					t.Errorf("%s k=%d strict=%v:\n got %+v\nwant %+v", key, k, strict, got, want)
				}
				cases++
			}
		}
	}
	if cases != 16 {
		t.Errorf("%d cases, want 16", cases)
	}
}

func checkRadii(t *testing.T, f metric.Features, k int, first []float64, sum float64) {
	t.Helper()
	r := must(metric.Radii(context.Background(), f, k))(t)
	total := 0.0
	for i, v := range r {
		total += v
		if i < len(first) && !(math.Abs(v-first[i]) <= 1e-12*math.Max(first[i], 1)) {
			t.Errorf("radius %d with k=%d is %.17g, want %.17g", i, k, v, first[i])
		}
	}
	if !(math.Abs(total-sum) <= 1e-11*sum) {
		t.Errorf("sum of radii with k=%d is %.17g, want %.17g", k, total, sum)
	}
}

// plainPRDC is the definition, pair by pair.
func plainPRDC(x, y metric.Features, o metric.PRDCOptions) metric.PRDC {
	distance := func(a, b []float64) (s float64) {
		for i := range a {
			s += float64((a[i] - b[i]) * (a[i] - b[i]))
		}
		return s
	}
	radius := func(f metric.Features, i int) float64 {
		best := make([]float64, 0, f.N)
		for j := range f.N {
			if j != i {
				best = append(best, distance(f.Row(i), f.Row(j)))
			}
		}
		for n := range o.K {
			for m := n + 1; m < len(best); m++ {
				if best[m] < best[n] {
					best[n], best[m] = best[m], best[n]
				}
			}
		}
		return best[o.K-1]
	}
	inside := func(d, r float64) bool { return d < r || !o.Strict && d == r }
	var p metric.PRDC
	real := make([]float64, y.N)
	for j := range real {
		real[j] = radius(y, j)
	}
	recalled, covered := map[int]bool{}, map[int]bool{}
	for i := range x.N {
		n, r := 0, radius(x, i)
		for j := range y.N {
			d := distance(x.Row(i), y.Row(j))
			if inside(d, real[j]) {
				n++
				covered[j] = true
			}
			if inside(d, r) {
				recalled[j] = true
			}
		}
		p.DensityCount += n
		p.PrecisionCount += min(n, 1)
	}
	p.RecallCount, p.CoverageCount = len(recalled), len(covered)
	p.Precision, p.Recall = float64(p.PrecisionCount)/float64(x.N), float64(p.RecallCount)/float64(y.N)
	p.Density, p.Coverage = float64(p.DensityCount)/float64(o.K*x.N), float64(p.CoverageCount)/float64(y.N)
	return p
}

// The float32 products only choose which pairs to look at. Sets that would betray them: ties everywhere, a far centre, values beside
// which float32 sees nothing, magnitudes that float32 cannot hold, everything equal.
func TestPRDCIsExact(t *testing.T) {
	n1, n2 := 140, 530 // more than a tile of rows, and of columns
	if testing.Short() {
		n1, n2 = 60, 90
	}
	grid := func(_, _ int, v float64) float64 { return math.Round(v) }
	for name, change := range map[string]func(i, j int, v float64) float64{
		"plain":           func(_, _ int, v float64) float64 { return v },
		"ties":            grid,
		"far ties":        func(i, j int, v float64) float64 { return 4096 + grid(i, j, v) },
		"near float64 1":  func(_, _ int, v float64) float64 { return 1 + 0x1p-40*math.Round(v) },
		"an outlier":      func(i, j int, v float64) float64 { return math.Round(v) + 1e6*float64(max(0, 1-i)) },
		"huge":            func(i, j int, v float64) float64 { return 0x1p120 * grid(i, j, v) },
		"beyond float32":  func(i, j int, v float64) float64 { return 0x1p400 * grid(i, j, v) },
		"float32 squares": func(i, j int, v float64) float64 { return 0x1p64 * grid(i, j, v) },
		"tiny":            func(i, j int, v float64) float64 { return 0x1p-100 * grid(i, j, v) },
		"below float32":   func(i, j int, v float64) float64 { return 0x1p-300 * grid(i, j, v) },
		"all equal":       func(_, _ int, _ float64) float64 { return 0.1 },
	} {
		x, y := changed(random(4, n1, 3), change), changed(random(5, n2, 3), change)
		for _, o := range []metric.PRDCOptions{{K: 1}, {K: 4, Strict: true}, {K: 4}} {
			for _, sets := range [][2]metric.Features{{x, y}, {y, x}} {
				got := must(metric.PrecisionRecall(context.Background(), sets[0], sets[1], o))(t)
				if want := plainPRDC(sets[0], sets[1], o); got != want {
					t.Errorf("%s, %+v:\n got %+v\nwant %+v", name, o, got, want)
				}
			}
		}
	}
}

func TestPRDCProperties(t *testing.T) {
	x, y := random(6, 150, 8), random(7, 200, 8)
	want := must(metric.PrecisionRecall(context.Background(), x, y, metric.DefaultPRDCOptions()))(t)
	if got := must(metric.PrecisionRecall(context.Background(), permuted(t, x), permuted(t, y), metric.DefaultPRDCOptions()))(t); got != want {
		t.Errorf("rows in another order: %+v, want %+v", got, want)
	}
	swapped := must(metric.PrecisionRecall(context.Background(), y, x, metric.DefaultPRDCOptions()))(t)
	if swapped.PrecisionCount != want.RecallCount || swapped.RecallCount != want.PrecisionCount {
		t.Errorf("swapped sets: %+v, want precision and recall swapped of %+v", swapped, want)
	}
	same := must(metric.PrecisionRecall(context.Background(), x, x, metric.DefaultPRDCOptions()))(t)
	if same.Precision != 1 || same.Recall != 1 || same.Coverage != 1 || !(same.Density > 1) {
		t.Errorf("identical sets: %+v", same)
	}
	away := must(metric.PrecisionRecall(context.Background(), changed(x, func(_, _ int, v float64) float64 { return v + 100 }), y, metric.DefaultPRDCOptions()))(t)
	if away != (metric.PRDC{}) {
		t.Errorf("sets apart: %+v", away)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(5))
	if got := must(metric.PrecisionRecall(context.Background(), x, y, metric.DefaultPRDCOptions()))(t); got != want {
		t.Errorf("five threads: %+v, want %+v", got, want)
	}
	defer kernel.SetLevel(kernel.Generic)()
	if got := must(metric.PrecisionRecall(context.Background(), x, y, metric.DefaultPRDCOptions()))(t); got != want {
		t.Errorf("plain Go kernels: %+v, want %+v", got, want)
	}
}

func TestPRDCRefuses(t *testing.T) {
	refuses(t, random(3, 12, 4), func(a, b metric.Features) error {
		_, err := metric.PrecisionRecall(context.Background(), a, b, metric.DefaultPRDCOptions())
		return err
	})
	a := random(1, 3, 2)
	if _, err := metric.PrecisionRecall(context.Background(), a, a, metric.DefaultPRDCOptions()); err == nil || !strings.Contains(err.Error(), "at least 4 pictures") {
		t.Errorf("three pictures for K = 3: %v", err)
	}
	if _, err := metric.PrecisionRecall(context.Background(), a, a, metric.PRDCOptions{}); err == nil {
		t.Error("K = 0: not refused")
	}
	if _, err := metric.PrecisionRecall(context.Background(), a, changed(a, func(_, _ int, v float64) float64 { return 1e200 * v }), metric.PRDCOptions{K: 1}); err == nil {
		t.Error("overflow: not refused")
	}
	if _, err := metric.Radii(context.Background(), a, 0); err == nil {
		t.Error("radius of neighbour 0: not refused")
	}
}

func BenchmarkPRDC(b *testing.B) {
	x, y := random(1, 10000, 64), random(2, 10000, 64)
	for b.Loop() {
		if _, err := metric.PrecisionRecall(context.Background(), x, y, metric.DefaultPRDCOptions()); err != nil {
			b.Fatal(err)
		}
	}
}
