package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// An evaluation is the part of an evaluation's JSON that pages show.
type evaluation struct {
	Samples   string `json:"samples"`
	Reference string `json:"reference"`
	Features  string `json:"features"`
	Pictures  int    `json:"pictures"`
	Metrics   map[string]struct {
		Value float64  `json:"value"`
		Std   *float64 `json:"std"`
	} `json:"metrics"`
	PerClass map[string]float64 `json:"per_class"`
	Time     time.Time          `json:"time"`
}

// classDistances are the Fréchet distances by class at one moment of a run.
type classDistances struct {
	images float64
	values map[string]float64
}

// An evalLine is one line of eval.jsonl.
type evalLine = evaluation

// addMetrics reads a line of metrics.jsonl.
func (r *Run) addMetrics(line []byte) error {
	var m struct {
		NImg       *float64   `json:"nimg"`
		Images     *float64   `json:"images"`
		Evaluation evaluation `json:"evaluation"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return err
	}
	numbers := map[string]float64{}
	for name, v := range m.Evaluation.Metrics {
		if drawable(v.Value) {
			numbers[name] = v.Value
		}
	}
	for _, images := range []*float64{m.Images, m.NImg} {
		if images != nil {
			numbers["nimg"] = *images
		}
	}
	if err := r.metrics.add(numbers); err != nil {
		return err
	}
	e := m.Evaluation
	r.how[fmt.Sprintf("%s pictures against %s, features %s", whole(float64(e.Pictures)), e.Reference, e.Features)] = true
	if len(e.PerClass) > 0 {
		r.classes = append(r.classes, classDistances{numbers["nimg"], e.PerClass})
	}
	return nil
}

// addEval reads a line of eval.jsonl.
func (r *Run) addEval(line []byte) error {
	var e evaluation
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	if len(e.Metrics) == 0 {
		return errors.New("no metrics")
	}
	r.evals = append(r.evals, e)
	return nil
}

// A validationLine is one line of validation.jsonl: losses on pictures kept aside.
type validationLine struct {
	Images float64  `json:"images"`
	Loss   *float64 `json:"loss"`
	Bins   []struct {
		Lo   float64  `json:"sigma_min"`
		Hi   float64  `json:"sigma_max"`
		Loss *float64 `json:"loss"` // null: no picture had such a level
	} `json:"bins"`
}

// addValidation reads a line of validation.jsonl; as in a table, it drops lines from after it.
func (r *Run) addValidation(line []byte) error {
	var v validationLine
	if err := json.Unmarshal(line, &v); err != nil {
		return err
	}
	numbers, err := numbersOf(line)
	if err != nil {
		return err
	}
	if v.Images, err = imagesOf(numbers); err != nil {
		return err
	}
	if v.Loss != nil && !drawable(*v.Loss) {
		v.Loss = nil
	}
	for i, b := range v.Bins {
		if b.Loss != nil && !drawable(*b.Loss) {
			v.Bins[i].Loss = nil
		}
		if !(b.Lo >= 0 && b.Hi > b.Lo && b.Hi <= 1e15) {
			return fmt.Errorf("noise levels from %g to %g", b.Lo, b.Hi)
		}
	}
	for n := len(r.validation); n > 0 && r.validation[n-1].Images >= v.Images; n-- {
		r.validation = r.validation[:n-1]
	}
	r.validation = append(r.validation, v)
	return nil
}
