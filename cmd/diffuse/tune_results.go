package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A tuneLine is a line of a results file: a candidate and the settings it was measured with.
type tuneLine struct {
	tuned
	Settings json.RawMessage `json:"settings"`
}

// keep adds a candidate to the results file, if there is one.
func (t *tuner) keep(c tuned) error {
	if t.o.results == "" {
		return nil
	}
	if err := appendLine(t.o.results, tuneLine{c, json.RawMessage(t.key)}); err != nil {
		return fmt.Errorf("--results: %w", err)
	}
	return nil
}

// readResults takes the candidates of the same settings from the results file. A line that was cut short, by a full disk say, does not count;
// a file without any candidate is of another kind, and nothing is added to it.
func (t *tuner) readResults() error {
	t.stored = map[string]tuned{}
	if t.o.results == "" {
		return nil
	}
	b, err := os.ReadFile(t.o.results)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("--results: %w", err)
	}
	others, bad := 0, 0
	for text := range bytes.Lines(b) {
		var line tuneLine
		switch err := json.Unmarshal(text, &line); {
		case err != nil || line.Skip == "":
			bad++
		case string(line.Settings) == t.key:
			t.stored[line.Skip] = line.tuned
		default:
			others++
		}
	}
	if bad > 0 && len(t.stored)+others == 0 {
		return withHint(fmt.Errorf("--results %s holds no candidates of diffuse tune", t.o.results), "name another file, or delete this one")
	}
	if len(t.stored)+others > 0 {
		t.u.note("%s: %d candidates of these settings, %d of others", t.o.results, len(t.stored), others)
	}
	return nil
}
