package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// An evalReport is what was measured, as JSON writes it.
type evalReport struct {
	Version     string              `json:"version"`
	Samples     string              `json:"samples"`
	Sampling    *sampleReport       `json:"sampling,omitempty"` // of a model
	Reference   string              `json:"reference"`
	Features    string              `json:"features"`
	FeaturesSHA string              `json:"features_sha256"` // of the network's weights, or "formula"
	Pictures    int                 `json:"pictures"`
	RefPictures int                 `json:"reference_pictures,omitempty"` // 0: nobody knows
	Metrics     map[string]measured `json:"metrics"`
	PerClass    map[string]float64  `json:"per_class,omitempty"` // Fréchet distance
	Seconds     float64             `json:"seconds"`
	Time        string              `json:"time"`

	order    []string // the metrics as printed
	distance string   // what the distance is called
	classes  []string // as printed
}

// A measured is a metric's value, where it is a mean over parts their standard deviation, and how it was taken where there is a choice.
type measured struct {
	Value float64 `json:"value"`
	Std   float64 `json:"std,omitempty"`
	How   string  `json:"how,omitempty"`
}

// print writes the table, or JSON.
func (r *evalReport) print(u *ui) error {
	if u.json {
		return u.result(r)
	}
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "samples\t%s\nreference\t%s\nfeatures\t%s\n\n", r.Samples, r.Reference, r.Features)
	for _, name := range r.order {
		v := r.Metrics[name]
		fmt.Fprintf(w, "%s\t%s", name, shortest(v.Value))
		if v.Std != 0 {
			fmt.Fprintf(w, " ± %s", shortest(v.Std))
		}
		if v.How != "" {
			fmt.Fprintf(w, "\t(%s)", v.How)
		}
		fmt.Fprintln(w)
	}
	if r.PerClass != nil {
		fmt.Fprintf(w, "\n%s by class\t\n", r.distance)
		for _, name := range r.classes {
			if v, ok := r.PerClass[name]; ok {
				fmt.Fprintf(w, "%s\t%s\n", name, shortest(v))
			}
		}
	}
	return w.Flush()
}

// shortest writes a metric's value with five digits.
func shortest(v float64) string {
	if math.Abs(v) >= 1e5 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.5g", v)
}

// journal appends the numbers to the run whose model was measured, if arg is one. They have been printed: a run that cannot be written to is no
// reason to fail.
func (r *evalReport) journal(u *ui, arg string) {
	if info, err := os.Stat(arg); err != nil || !info.IsDir() {
		return
	}
	path := filepath.Join(arg, "eval.jsonl")
	if err := appendLine(path, r); err != nil {
		u.warn("%s does not have these numbers: %v", path, cause(err))
	}
}

// appendLine adds v as a line of JSON to a file. A last line that was cut short, by a full disk say, stays one by itself.
func appendLine(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	last := []byte{'\n'}
	if end, e := f.Seek(0, io.SeekEnd); e == nil && end > 0 {
		_, err = f.ReadAt(last, end-1)
	}
	b = append(b, '\n')
	if last[0] != '\n' {
		b = append([]byte{'\n'}, b...)
	}
	if err == nil {
		_, err = f.Write(b)
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
