package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
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

// readResults takes the candidates of the same settings from the results file.
func (t *tuner) readResults() error {
	list, err := readStored(t.u, t.o.results, t.key, "candidates of diffuse tune", func(c tuned) bool { return c.Skip != "" })
	t.stored = map[string]tuned{}
	for _, c := range list {
		t.stored[c.Skip] = c
	}
	return err
}

// readStored takes the lines of the same settings from a results file. A line that was cut short, by a full disk say, does not count; a file
// without any line of the kind is another's, and nothing is added to it. No path, and no file yet, are no lines.
func readStored[T any](u *ui, path, settings, kind string, valid func(T) bool) ([]T, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--results: %w", err)
	}
	var same []T
	others, bad := 0, 0
	for text := range bytes.Lines(b) {
		var value T
		var of struct {
			Settings json.RawMessage `json:"settings"`
		}
		switch err := errors.Join(json.Unmarshal(text, &value), json.Unmarshal(text, &of)); {
		case err != nil || !valid(value):
			bad++
		case string(of.Settings) == settings:
			same = append(same, value)
		default:
			others++
		}
	}
	if bad > 0 && len(same)+others == 0 {
		return nil, withHint(fmt.Errorf("--results %s holds no %s", path, kind), "name another file, or delete this one")
	}
	if len(same)+others > 0 {
		what, _, _ := strings.Cut(kind, " ")
		u.note("%s: %d %s of these settings, %d of others", path, len(same), what, others)
	}
	return same, nil
}
