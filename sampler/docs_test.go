package sampler_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"diffuse/sampler"
	"diffuse/schedule"
)

var update = flag.Bool("update", false, "rewrite the table in docs/samplers.md")

// The table of docs/samplers.md is what this program measures. -update writes it.
func TestSamplersPage(t *testing.T) {
	const path, begin, end = "../docs/samplers.md", "<!-- table: made by go test ./sampler -run SamplersPage -update -->\n", "<!-- end of table -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has lost the marks around its table", path)
	}
	table := samplersTable(t)
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+table+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != table {
		t.Errorf("%s is out of date; go test ./sampler -run SamplersPage -update makes it\nwant\n%s", path, table)
	}
	for _, info := range sampler.All() {
		if !strings.Contains(string(page), "| `"+info.Name+"`") {
			t.Errorf("%s does not name %s", path, info.Name)
		}
	}
}

// samplersTable has a row for each form of each solver.
func samplersTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| solver | order | measured: karras, exponential | NFE for n steps | states | noise | source |\n|---|---|---|---|---|---|---|\n")
	for _, info := range sampler.All() {
		for k, f := range forms(info) {
			name, source := "`"+info.Name+"`", info.Source
			if choice := strings.TrimPrefix(f.name(), info.Name); choice != "" {
				name += "," + choice
			}
			if k > 0 {
				source = ""
			}
			_, karras := f.measure(t, "karras")
			_, exponential := f.measure(t, "exponential")
			noise := "no"
			switch {
			case info.Stochastic:
				noise = "always"
			case info.UsesEta || info.UsesChurn:
				noise = "if asked for"
			case slices.Contains(info.Extra, "restart"):
				noise = "in intervals"
			}
			fmt.Fprintf(&b, "| %s | %d | %.1f, %.1f | %s | %d | %s | %s |\n", name, f.ConvergenceOrder(f.options), karras, exponential, cost(info), f.states(), noise, source)
		}
	}
	return b.String()
}

// cost writes the evaluations as a function of n, which is linear.
func cost(i sampler.Info) string {
	if i.NFE == nil {
		return "by tolerance"
	}
	slope := i.NFE(1001) - i.NFE(1000)
	rest := i.NFE(1000) - slope*1000
	s := "n"
	if slope != 1 {
		s = fmt.Sprint(slope, "n")
	}
	if rest != 0 {
		s += fmt.Sprintf(" %c %d", "+-"[(1-sign(rest))/2], abs(rest))
	}
	return s
}

func sign(n int) int { return n / abs(n) }
func abs(n int) int  { return max(n, -n) }

// states measures the memory of a run in units of the state: what it allocates, its copy of the start included, the caller's and the
// denoiser's own not.
func (f form) states() int {
	x := make([]float64, 1<<16)
	d := func(dst, x []float64, sigma float64) {
		for i, v := range x {
			dst[i] = v / (1 + sigma)
		}
	}
	o := f.options
	o.Noise = func(dst []float64, _, _ float64) { clear(dst) }
	sigmas := schedule.Karras(9, .002, 80, 7)
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	for range f.Sampler(d, x, sigmas, o) {
	}
	runtime.ReadMemStats(&m1)
	return int(math.Round(float64(m1.TotalAlloc-m0.TotalAlloc) / 8 / float64(len(x))))
}
