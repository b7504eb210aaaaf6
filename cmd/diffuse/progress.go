package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows how far a wait is: a bar on a terminal, a plain line every few seconds elsewhere. Waits under half a second
// show nothing. Its methods are for one goroutine.
type progress struct {
	u       *ui
	what    string // what is being done: "sampling"
	unit    string // what is counted: "pictures"
	total   float64
	done    float64
	extra   string // appended to the line: "loss 0.231"
	started time.Time
	printed time.Time
	bar     *progressbar.ProgressBar
	base    float64 // the count at which this run started, for the rate
}

const (
	barDelay   = 500 * time.Millisecond
	linePeriod = 5 * time.Second
	barScale   = 1000 // bar ticks for the whole, so that fractions of a picture show
)

// progress starts counting to total, from done.
func (u *ui) progress(what, unit string, done, total float64) *progress {
	now := time.Now()
	return &progress{u: u, what: what, unit: unit, base: done, done: done, total: total, started: now, printed: now}
}

// set moves the count and shows it if it is time to.
func (p *progress) set(done float64, extra string) {
	p.done, p.extra = done, extra
	if p.u.quiet {
		return
	}
	now := time.Now()
	if !isTerminal(p.u.stderr) {
		if now.Sub(p.printed) >= linePeriod {
			p.printed = now
			fmt.Fprintln(p.u.stderr, p.line(now))
		}
		return
	}
	if p.bar == nil {
		if now.Sub(p.started) < barDelay {
			return
		}
		p.bar = p.newBar()
	}
	p.bar.Describe(fmt.Sprintf("%s %s", p.what, p.counts(now)))
	p.bar.Set(int(barScale * p.done / p.total))
}

// pause takes time that was spent on something else out of the rate; a nil progress, as before the start, has none.
func (p *progress) pause(d time.Duration) {
	if p != nil {
		p.started = p.started.Add(d)
	}
}

// finish clears the bar.
func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}

// line is the plain form: what, count, share, rate, time left.
func (p *progress) line(now time.Time) string {
	return fmt.Sprintf("%s: %s, %.0f%%, %s left", p.what, p.counts(now), 100*p.done/p.total, p.left(now))
}

// counts says how much is done, how fast, and the caller's extra words.
func (p *progress) counts(now time.Time) string {
	s := fmt.Sprintf("%s/%s %s, %.3g %s/s", count(p.done), count(p.total), p.unit, p.rate(now), p.unit)
	if p.extra != "" {
		s += ", " + p.extra
	}
	return s
}

func (p *progress) rate(now time.Time) float64 {
	if d := now.Sub(p.started).Seconds(); d > 0 {
		return (p.done - p.base) / d
	}
	return 0
}

// left estimates the time to the end from the mean rate.
func (p *progress) left(now time.Time) string {
	rate := p.rate(now)
	if !(rate > 0) {
		return "unknown time"
	}
	return time.Duration((p.total - p.done) / rate * float64(time.Second)).Round(time.Second).String()
}

func (p *progress) newBar() *progressbar.ProgressBar {
	return progressbar.NewOptions(barScale,
		progressbar.OptionSetWriter(p.u.stderr),
		progressbar.OptionSetWidth(20),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionUseANSICodes(os.Getenv("TERM") != "dumb"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(false),
	)
}

// count writes a number of things shortly: 950, 12.5k, 3.20M.
func count(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.2fM", x/1e6)
	case x >= 1e5:
		return fmt.Sprintf("%.1fk", x/1e3)
	}
	return fmt.Sprintf("%.0f", x)
}
