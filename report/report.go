package report

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// A Report is one or more runs side by side.
type Report struct {
	Made    time.Time `json:"made"`
	Program string    `json:"program"` // that made it, with its version
	Runs    []*Run    `json:"runs"`
	Charts  []Chart   `json:"charts"`
}

// New combines runs, of which there must be one at least; it renames those whose folders have the same name. The report owns them.
func New(runs []*Run, program string, now time.Time) *Report {
	if len(runs) == 0 {
		panic("report: no runs")
	}
	tellApart(runs)
	return &Report{Made: now.UTC().Truncate(time.Second), Program: program, Runs: runs, Charts: charts(runs)}
}

// tellApart gives each run the shortest end of its path that no other has, or a number.
func tellApart(runs []*Run) {
	for depth := 1; depth <= 4; depth++ {
		seen := map[string]int{}
		for _, r := range runs {
			r.Name = pathEnd(r.Path, depth)
			seen[r.Name]++
		}
		if len(seen) == len(runs) {
			return
		}
	}
	for i, r := range runs {
		r.Name = fmt.Sprintf("%d: %s", i+1, pathEnd(r.Path, 1))
	}
}

// pathEnd returns the last n names of a path.
func pathEnd(path string, n int) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	parts := strings.Split(strings.Trim(filepath.ToSlash(path), "/"), "/")
	return strings.Join(parts[max(0, len(parts)-n):], "/")
}

// clock returns the time spent on a run over the images it had shown, nil if it cannot be told.
func (r *Run) clock() (images, seconds Numbers) {
	total := 0.0
	for _, row := range r.stats.rows {
		s, ok := row.numbers["sec_per_tick"]
		s += row.numbers["sec_maintenance"]
		if !ok || !(s >= 0) {
			return nil, nil
		}
		total += s
		images, seconds = append(images, row.images), append(seconds, total)
	}
	return thin(images, seconds)
}
