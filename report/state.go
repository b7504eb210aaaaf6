package report

import (
	"strings"
	"time"
)

// A State says how a run is doing.
type State struct {
	Word string    `json:"word"` // "finished", "running", "interrupted", "failed" or "silent": neither ended nor heard of
	Why  string    `json:"why,omitempty"`
	Last time.Time `json:"last,omitzero"` // of the last line of statistics
}

// state judges by the log's last line that is no statistics, and by the time of the last statistics: a run is alive if the next were not
// long overdue.
func (r *Run) state(now time.Time) State {
	var s State
	rows := r.stats.rows
	overdue := 10 * time.Minute
	if n := len(rows); n > 0 {
		last := rows[n-1].numbers
		if t := last["timestamp"]; t > 0 && t < 1e11 {
			s.Last = time.UnixMilli(int64(1000 * t)).UTC()
		}
		if t := last["sec_per_tick"] + last["sec_maintenance"]; t < 1e7 {
			overdue = max(overdue, time.Duration(5*t*float64(time.Second)))
		}
	}
	if r.Duration > 0 && r.Images >= r.Duration {
		s.Word = "finished"
		return s
	}
	for i := len(r.log) - 1; i >= 0; i-- {
		_, words, _ := strings.Cut(strings.TrimSpace(r.log[i]), "  ")
		switch words = strings.TrimSpace(words); {
		case words == "interrupted":
			s.Word = "interrupted"
			return s
		case strings.HasPrefix(words, "the run stopped: "):
			s.Word, s.Why = "failed", words
			return s
		}
		if !strings.HasPrefix(words, "tick ") {
			break
		}
	}
	s.Word = "silent"
	if !s.Last.IsZero() && now.Sub(s.Last) < overdue {
		s.Word = "running"
	}
	return s
}
