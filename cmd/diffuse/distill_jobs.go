package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// A jobResult says what became of one job of a list.
type jobResult struct {
	Out      string  `json:"out"`
	Result   string  `json:"result"` // done, "finished before", failed, interrupted or "not begun"
	Images   int64   `json:"images,omitempty"`
	Distance float64 `json:"best_distance,omitempty"` // where it was measured
	Seconds  float64 `json:"seconds"`
	Error    string  `json:"error,omitempty"`
}

// A distillJob is one job of a list: the flags of a distillation.
type distillJob struct {
	options distillOptions
	flags   *pflag.FlagSet
}

// runJobs distils what a list asks for, one after the other: a job that fails does not stop those after it, one that is finished already costs
// nothing, one that was interrupted goes on. All jobs are checked before the first begins.
func runJobs(ctx context.Context, u *ui, path string) error {
	jobs, err := readJobs(u, path)
	if err != nil {
		return err
	}
	var results []jobResult
	failed := 0
	for i, j := range jobs {
		r := jobResult{Out: j.options.out, Result: "not begun"}
		if ctx.Err() == nil {
			u.note("job %d of %d: %s", i+1, len(jobs), r.Out)
			started := time.Now()
			err := j.run(ctx, u, &r)
			r.Seconds = time.Since(started).Seconds()
			switch {
			case errors.Is(err, errInterrupted):
				r.Result = "interrupted"
			case err != nil:
				r.Result, r.Error = "failed", err.Error()
				failed++
				u.warn("%s: %v", r.Out, err)
			}
		}
		results = append(results, r)
	}
	if err := reportJobs(u, results); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return withHint(errInterrupted, "go on with the same command")
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d jobs failed", failed, len(jobs))
	}
	return nil
}

// run does one job and notes what it came to.
func (j distillJob) run(ctx context.Context, u *ui, r *jobResult) error {
	silent := *u // a job's own result is one row of the table
	silent.json, silent.quiet = false, u.quiet
	silent.stdout = u.stderr
	o, err := runDistill(ctx, &silent, j.options, j.flags)
	if err != nil {
		return err
	}
	r.Result = "done"
	if o.before {
		r.Result = "finished before"
	}
	r.Images, r.Distance = o.images, o.distance
	return nil
}

// readJobs reads a list of jobs, JSON lines or a YAML list (by the file's name), whose fields are named as flags, and checks all of them.
func readJobs(u *ui, path string) ([]distillJob, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--jobs: %w", err)
	}
	parse := parseJobLines
	if ext := strings.ToLower(filepath.Ext(path)); ext == ".yaml" || ext == ".yml" {
		parse = parseJobList
	}
	fields, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("--jobs: %s: %w", path, err)
	}
	if len(fields) == 0 {
		return nil, usagef("--jobs: %s holds no job", path)
	}
	var jobs []distillJob
	var errs []error
	folders := map[string]int{}
	for i, f := range fields {
		j, err := newJob(u, f)
		if err == nil {
			out, _ := filepath.Abs(j.options.out)
			if first, taken := folders[out]; taken {
				err = fmt.Errorf("out: %s is the folder of job %d, too", j.options.out, first)
			}
			folders[out] = i + 1
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("job %d: %w", i+1, err))
		}
		jobs = append(jobs, j)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usageError{fmt.Errorf("--jobs: %s: %w", path, err)}
	}
	return jobs, nil
}

// newJob turns fields into the flags of a distillation and checks them as far as can be without beginning it.
func newJob(u *ui, fields map[string]any) (distillJob, error) {
	c := distillCommand(u)
	f := c.Flags()
	f.SetNormalizeFunc(normalizeFlag)
	var j distillJob
	var errs []error
	for _, name := range sortedKeys(fields) {
		switch flag := f.Lookup(name); {
		case flag == nil:
			errs = append(errs, fmt.Errorf("%s: no such flag of diffuse distill", name))
		case slices.Contains([]string{"jobs", "resume", "allow-change", "dry-run", "list-presets"}, name):
			errs = append(errs, fmt.Errorf("%s makes no sense in a list", name))
		default:
			value, err := fieldText(fields[name])
			if err == nil {
				err = f.Set(name, value)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return j, err
	}
	j.flags = f
	j.options = distillOptions{out: f.Lookup("out").Value.String(), preset: f.Lookup("preset").Value.String(), resume: true, tensorboard: f.Lookup("tensorboard").Value.String() == "true"}
	if j.options.out == "" {
		return j, errors.New("out: no folder")
	}
	resuming, err := j.options.existing()
	if err != nil {
		return j, err
	}
	if resuming {
		j.options.preset = "" // it is in the run's settings
		f.Lookup("preset").Changed = false
	}
	s, _, err := j.options.settings(f, resuming)
	if err == nil {
		err = s.Options.Validate()
	}
	return j, err
}

// fieldText writes a JSON or YAML value as one would type it after its flag.
func fieldText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool, int, int64, uint64, json.Number:
		return fmt.Sprint(v), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case []any:
		var all []string
		for _, e := range v {
			s, err := fieldText(e)
			if err != nil {
				return "", err
			}
			all = append(all, s)
		}
		return strings.Join(all, ","), nil
	}
	return "", fmt.Errorf("%v is neither text, number, truth value nor a list", v)
}

func parseJobLines(text []byte) ([]map[string]any, error) {
	var jobs []map[string]any
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var job map[string]any
		if err := d.Decode(&job); err != nil || d.More() {
			return nil, fmt.Errorf("line %d is not one JSON object", n)
		}
		jobs = append(jobs, job)
	}
	return jobs, lines.Err()
}

func parseJobList(text []byte) ([]map[string]any, error) {
	var jobs []map[string]any
	err := yaml.Unmarshal(text, &jobs)
	return jobs, err
}

// reportJobs prints the table of a list.
func reportJobs(u *ui, results []jobResult) error {
	if u.json {
		return u.result(results)
	}
	rows := [][]string{{"run", "result", "images", "best distance", "time"}}
	for _, r := range results {
		images, distance := "", ""
		if r.Images > 0 {
			images = count(float64(r.Images))
		}
		if r.Distance > 0 {
			distance = shortest(r.Distance)
		}
		rows = append(rows, []string{r.Out, r.Result, images, distance, time.Duration(r.Seconds * float64(time.Second)).Round(time.Second).String()})
	}
	w := tabwriter.NewWriter(u.stdout, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
