package distill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"diffuse/train"
)

// A record is the content of options.json.
type record struct {
	Kind       string          `json:"kind"` // "distillation"
	Options    Options         `json:"options"`
	Setup      json.RawMessage `json:"setup"`
	Evaluation json.RawMessage `json:"evaluation,omitempty"`
}

const (
	optionsFile = "options.json"
	recordKind  = "distillation"
)

func newRecord(job Job) (record, error) {
	r := record{Kind: recordKind, Options: job.Options}
	var err error
	if r.Setup, err = json.Marshal(job.Setup); err != nil {
		return r, fmt.Errorf("the run's setup as JSON: %w", err)
	}
	if job.Evaluation != nil {
		if r.Evaluation, err = json.Marshal(job.Evaluation); err != nil {
			return r, fmt.Errorf("the run's evaluation as JSON: %w", err)
		}
	}
	return r, nil
}

func (r record) write(dir string) error { return train.WriteOptions(dir, r) }

// ReadOptions returns the options, setup and evaluation (the JSON forms of Job's) of the distillation in folder dir. The error wraps fs.ErrNotExist where dir is
// not the folder of a run.
func ReadOptions(dir string) (o Options, setup, evaluation json.RawMessage, err error) {
	r, err := readRecord(dir)
	return r.Options, r.Setup, r.Evaluation, err
}

func readRecord(dir string) (record, error) {
	path := filepath.Join(dir, optionsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return record{}, fmt.Errorf("%s is not the folder of a distillation: %w", dir, err)
	}
	if err != nil {
		return record{}, err
	}
	var kind struct{ Kind string }
	if json.Unmarshal(text, &kind) == nil && kind.Kind != recordKind {
		return record{}, fmt.Errorf("%s is the folder of another kind of run", dir)
	}
	r := record{Options: DefaultOptions()}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return record{}, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := r.Options.Validate(); err != nil {
		return record{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return r, nil
}

// changes returns how now differs from the record r of a run that is to go on after `images` pictures. As in training, the end of the run may change, its duration
// and the decay of the rates, while no step so far would have been another, and how it is measured; anything else must be allowed.
func (r record) changes(now record, images int64, allow func(field string) bool) ([]train.Change, error) {
	if was, is := &r.Options, now.Options; min(was.rates().DecayStart(), is.rates().DecayStart()) >= images {
		was.Duration, was.LRDecay, was.LRDecayFraction = is.Duration, is.LRDecay, is.LRDecayFraction
	}
	r.Evaluation, now.Evaluation = nil, nil
	return train.Changes(r, now, allow)
}
