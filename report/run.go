package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Run is what its folder holds. Lines that a resumed run took back are not in it.
type Run struct {
	Name     string    `json:"name"` // the folder's, with as much of its path as tells it from the other runs
	Path     string    `json:"path"` // as given
	State    State     `json:"state"`
	Images   float64   `json:"images"`   // shown so far
	Duration float64   `json:"duration"` // to show in all, 0 if unknown
	Options  []Option  `json:"options"`  // of options.json, in its order
	Sessions []Session `json:"sessions"`
	Pictures []Picture `json:"pictures"`
	Model    *Model    `json:"model"` // for the caller of Read to set; may stay nil
	Notes    []string  `json:"notes"` // what is missing or damaged, for people

	stats      table            // of stats.jsonl
	metrics    table            // of metrics.jsonl
	how        map[string]bool  // how the metrics were measured
	classes    []classDistances // of metrics.jsonl
	validation []validationLine
	evals      []evalLine
	log        []string // the last lines
}

// A Model says what network a run trains: facts, and a table whose first row is its header.
type Model struct {
	File  string      `json:"file"`
	Facts [][2]string `json:"facts"`
	Table [][]string  `json:"table"`
}

// A Session is the program and the machine that worked on a run from some moment on.
type Session struct {
	Images  float64   `json:"nimg"`
	Time    time.Time `json:"time"`
	Version string    `json:"version"`
	Commit  string    `json:"commit,omitempty"`
	Go      string    `json:"go"`
	System  string    `json:"system"`
	Kernels string    `json:"kernels"`
	Threads int       `json:"threads"`
}

// ErrNoRun is wrapped by Read's error for a folder that holds no run.
var ErrNoRun = errors.New("not the folder of a run")

// Read reads the run in folder dir. It is an error if there is neither an options.json nor a stats.jsonl in it, or if a file cannot be opened;
// whatever else is missing, cut short or damaged becomes a note. Now decides whether the run is still alive.
func Read(dir string, now time.Time) (*Run, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("reading a run: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is a file, %w", dir, ErrNoRun)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{Name: filepath.Base(abs), Path: dir, how: map[string]bool{}}
	text, err := readSome(filepath.Join(dir, "options.json"), 16<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading a run: %w", err)
	}
	if _, e := os.Stat(filepath.Join(dir, "stats.jsonl")); err != nil && e != nil {
		return nil, fmt.Errorf("%s is %w: it has neither options.json nor stats.jsonl", dir, ErrNoRun)
	}
	switch {
	case err != nil:
		r.note("options.json is missing")
	default:
		r.readOptions(text)
	}
	for name, read := range map[string]func(line []byte) error{
		"stats.jsonl": r.addStats, "metrics.jsonl": r.addMetrics, "validation.jsonl": r.addValidation, "eval.jsonl": r.addEval, "sessions.jsonl": r.addSession,
	} {
		if err := r.readLines(name, filepath.Join(dir, name), read); err != nil {
			return nil, err
		}
	}
	slices.Sort(r.Notes) // maps have no order
	if err := r.findPictures(dir); err != nil {
		return nil, err
	}
	if err := r.readLog(dir); err != nil {
		return nil, err
	}
	if len(r.stats.rows) == 0 {
		r.note("stats.jsonl has no whole line yet")
	}
	r.finish(now)
	return r, nil
}

func (r *Run) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// readSome returns the first `limit` bytes of a file.
func readSome(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (r *Run) addStats(line []byte) error {
	numbers, err := numbersOf(line)
	if err != nil {
		return err
	}
	return r.stats.add(numbers)
}

func (r *Run) addSession(line []byte) error {
	var s Session
	if err := json.Unmarshal(line, &s); err != nil {
		return err
	}
	r.Sessions = append(r.Sessions, s)
	return nil
}

// finish fills in what the files together say.
func (r *Run) finish(now time.Time) {
	if n := len(r.stats.rows); n > 0 {
		r.Images = r.stats.rows[n-1].images
	}
	if d, err := strconv.ParseFloat(r.option("options.duration"), 64); err == nil && d >= 0 && d <= 1e15 {
		r.Duration = d
	}
	r.State = r.state(now)
}

// shownLog is how much of a log a page shows.
const shownLog, shownLogBytes = 200, 64 << 10

// readLog keeps the end of log.txt.
func (r *Run) readLog(dir string) error {
	f, err := os.Open(filepath.Join(dir, "log.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		r.note("log.txt is missing")
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a run: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading a run: %w", err)
	}
	start := max(0, info.Size()-shownLogBytes)
	text := make([]byte, shownLogBytes)
	n, err := f.ReadAt(text, start)
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	text = bytes.ToValidUTF8(text[:n], []byte("\uFFFD"))
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if start > 0 {
		lines = lines[1:] // cut in its middle
	}
	r.log = lines[max(0, len(lines)-shownLog):]
	return nil
}
