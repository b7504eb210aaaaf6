package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A timing is what one operation takes on average, in seconds.
type timing struct {
	n         int     // operations timed
	wall, cpu float64 // by the clock, and by the processor time of the whole process
}

// timeCalls times n calls of f.
func timeCalls(n int, f func()) timing {
	start, used := time.Now(), cpuTime()
	for range n {
		f()
	}
	wall, cpu := time.Since(start), cpuTime()-used
	return timing{n, wall.Seconds() / float64(n), cpu.Seconds() / float64(n)}
}

// measure times f for at least d, after one call to warm up. prepare, which may be nil, runs before every f and is not timed.
func measure(d time.Duration, prepare, f func()) timing {
	calls := 1
	if prepare == nil { // several calls in a row, lest asking for the time be what is measured
		prepare = func() {}
		calls = max(1, int(1e-3/timeCalls(1, f).wall))
	} else {
		prepare()
		f()
	}
	var sum timing
	for sum.n == 0 || sum.wall < d.Seconds() {
		prepare()
		t := timeCalls(calls, f)
		sum.n += t.n
		sum.wall += t.wall * float64(t.n)
		sum.cpu += t.cpu * float64(t.n)
	}
	return timing{sum.n, sum.wall / float64(sum.n), sum.cpu / float64(sum.n)}
}

// A figure is one number of a benchmark line.
type figure struct {
	value float64
	unit  string
}

// A benchResult is one benchmark in JSON.
type benchResult struct {
	Name       string             `json:"name"`
	Iterations int                `json:"iterations"`
	NsPerOp    float64            `json:"ns_per_op"`
	Metrics    map[string]float64 `json:"metrics"`
}

// A bencher runs benchmarks and prints them as they are done.
type bencher struct {
	ctx     context.Context
	u       *ui
	filter  *regexp.Regexp
	time    time.Duration
	results []benchResult
	err     error // the first, of training

	peakRate float64 // flop a second on all threads
	cpuPeak  float64 // flop a second of processor time on one thread
}

func (b *bencher) threads() int { return runtime.GOMAXPROCS(0) }

// wants reports whether a benchmark is to be run.
func (b *bencher) wants(name string) bool { return b.ctx.Err() == nil && b.filter.MatchString(name) }

// header prints what benchstat shows above its tables.
func (b *bencher) header(model string) {
	if b.u.json {
		return
	}
	v := version()
	fmt.Fprintf(b.u.stdout, "goos: %s\ngoarch: %s\npkg: diffuse\n", runtime.GOOS, runtime.GOARCH)
	if cpu := cpuModel(); cpu != "" {
		fmt.Fprintf(b.u.stdout, "cpu: %s\n", cpu)
	}
	fmt.Fprintf(b.u.stdout, "kernels: %s\nmodel: %s\nprecision: %v\n", v.Kernels, model, b.u.precision.precision())
}

// report prints one benchmark in the form of the Go benchmark format, or keeps it for JSON.
func (b *bencher) report(name string, t timing, figures ...figure) {
	r := benchResult{name, t.n, t.wall * 1e9, map[string]float64{}}
	line := fmt.Sprintf("Benchmark%s-%d\t%d\t%s ns/op", name, b.threads(), t.n, short(r.NsPerOp))
	for _, m := range figures {
		r.Metrics[m.unit] = m.value
		line += fmt.Sprintf("\t%s %s", short(m.value), m.unit)
	}
	b.results = append(b.results, r)
	if !b.u.json {
		fmt.Fprintln(b.u.stdout, line)
		return
	}
	b.u.note("%s: %.3g ms", name, t.wall*1e3)
}

// short writes a number with four digits or all of its whole ones.
func short(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// work returns the figures of an operation of flop operations.
func (b *bencher) work(flop float64, t timing) []figure {
	return []figure{
		{flop / t.wall / 1e9, "GFLOP/s"}, {100 * flop / t.wall / b.peakRate, "peak-%"},
		{t.cpu * 1e9, "cpu-ns/op"}, {100 * flop / t.cpu / b.cpuPeak, "cpu-peak-%"},
	}
}

// cpuModel is the CPU's name where the system tells it, or "".
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
