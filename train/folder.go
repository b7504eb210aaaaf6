package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"diffuse/checkpoint"
)

// The files of a run folder. Pictures and snapshots are named by Tick.Path.
const (
	optionsFile    = "options.json"
	stateFile      = "checkpoint.safetensors"
	statisticsFile = "stats.jsonl"
	logFile        = "log.txt"
	metricsFile    = "metrics.jsonl"
	validationFile = "validation.jsonl"
)

// A record is the content of options.json: everything that a run's bytes depend on, and how it is measured.
type record struct {
	Options    Options         `json:"options"`
	Data       dataFacts       `json:"data"`
	Setup      json.RawMessage `json:"setup"`
	Evaluation json.RawMessage `json:"evaluation,omitempty"` // no byte of the training depends on it
}

// dataFacts describe the data set, so that a run does not go on with another one unnoticed.
type dataFacts struct {
	Images   int `json:"images"`
	Height   int `json:"height"`
	Width    int `json:"width"`
	Channels int `json:"channels"`
	Classes  int `json:"classes"`
}

// newRecord describes a job.
func newRecord(job Job) (record, error) {
	r := record{Options: job.Options}
	r.Data.Images, r.Data.Classes = job.Data.Len(), job.Data.Labels()
	r.Data.Height, r.Data.Width, r.Data.Channels = job.Data.Size()
	var err error
	if r.Setup, err = json.Marshal(job.Setup); err != nil {
		return record{}, fmt.Errorf("the run's setup as JSON: %w", err)
	}
	if job.Evaluation != nil {
		if r.Evaluation, err = json.Marshal(job.Evaluation); err != nil {
			return record{}, fmt.Errorf("the run's evaluation as JSON: %w", err)
		}
	}
	return r, nil
}

// sameEvaluation compares how two records are measured, whatever the white space.
func (r record) sameEvaluation(other record) bool {
	var a, b bytes.Buffer
	if len(r.Evaluation) == 0 || len(other.Evaluation) == 0 {
		return len(r.Evaluation) == len(other.Evaluation)
	}
	err := errors.Join(json.Compact(&a, r.Evaluation), json.Compact(&b, other.Evaluation))
	return err == nil && bytes.Equal(a.Bytes(), b.Bytes())
}

// write stores the record as options.json in dir.
func (r record) write(dir string) error { return WriteOptions(dir, r) }

// WriteOptions stores v as options.json of the run in folder dir.
func WriteOptions(dir string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return checkpoint.AtomicFile(filepath.Join(dir, optionsFile), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// ReadOptions returns the options and the setup (the JSON form of Job.Setup) of the run in folder dir, so that a run can be
// resumed with nothing else given. Unknown fields and invalid options are errors.
func ReadOptions(dir string) (Options, json.RawMessage, error) {
	r, err := readRecord(dir)
	return r.Options, r.Setup, err
}

// HasCheckpoint tells whether the run in folder dir has a state to go on from. One without begins anew from its initial weights.
func HasCheckpoint(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stateFile))
	return err == nil
}

// ReadEvaluation returns the JSON form of Job.Evaluation of the run in folder dir, nil if it has none. Errors are ReadOptions'.
func ReadEvaluation(dir string) (json.RawMessage, error) {
	r, err := readRecord(dir)
	return r.Evaluation, err
}

func readRecord(dir string) (record, error) {
	path := filepath.Join(dir, optionsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return record{}, fmt.Errorf("%s is not the folder of a training run: %w", dir, err)
	}
	if err != nil {
		return record{}, err
	}
	r := record{Options: DefaultOptions()}
	if err := strictUnmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("reading %s: %w", path, err)
	}
	if err := r.Options.Validate(); err != nil {
		return record{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return r, nil
}
