package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
	"diffuse/report"
)

// reportOptions are the flags of "diffuse report".
type reportOptions struct {
	out          string
	pictureLimit int64
}

func reportCommand(u *ui) *cobra.Command {
	o := reportOptions{pictureLimit: report.DefaultPictureLimit}
	c := &cobra.Command{
		Use:   "report RUN...",
		Short: "Make a web page of training runs",
		Long: `Make one HTML page of a run, or of several side by side: curves of everything the run
wrote down, pictures over time, options, network, environment and log. The page is one file
that loads nothing from anywhere; it may be mailed, and read on a phone.

A run that is still going on is shown as far as it got. --json prints the data behind the
page; then a page is written only where --out says so.`,
		Example: `  diffuse report runs/photos                 # runs/photos/report.html
  diffuse report runs/one runs/two -o two.html
  diffuse report runs/photos --json`,
		Args: between(1, -1, "folders of runs"),
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), u, args)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.out, "out", "o", "", "`FILE.html` to write (default: report.html in the run's folder; of several runs, in this one)")
	f.Var((*countValue)(&o.pictureLimit), "picture-limit", "bytes of pictures that the page holds at most")
	return c
}

func (o *reportOptions) run(ctx context.Context, u *ui, args []string) error {
	out := o.out
	if out == "" && !u.json {
		out = "report.html"
		if len(args) == 1 {
			out = filepath.Join(args[0], out)
		}
	}
	var runs []*report.Run
	seen := map[string]string{}
	for _, dir := range args {
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			return fmt.Errorf("report: %s: %w", dir, cause(err))
		}
		if real, err = filepath.Abs(real); err != nil {
			return err
		}
		if other, ok := seen[real]; ok {
			return usagef("%s and %s are the same run", other, dir)
		}
		seen[real] = dir
		r, err := readRun(ctx, dir)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	if out != "" {
		if err := checkOutput("out", out); err != nil {
			return err
		}
	}
	rep := report.New(runs, strings.TrimSpace("diffuse "+version().Version+" "+version().Commit), time.Now())
	if out != "" {
		if err := checkpoint.AtomicFile(out, func(w io.Writer) error { return rep.Write(w, o.pictureLimit) }); err != nil {
			return err
		}
		u.summary("%s: %s", out, strings.Join(args, ", "))
	}
	if u.json {
		return u.result(rep)
	}
	return nil
}

// readRun reads a run and describes the network in its newest snapshot.
func readRun(ctx context.Context, dir string) (*report.Run, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := report.Read(dir, time.Now())
	if errors.Is(err, report.ErrNoRun) {
		return nil, withHint(err, "diffuse train and diffuse distill make such folders (--out); diffuse inspect %s says what it is", dir)
	}
	if err != nil {
		return nil, err
	}
	path, err := newestSnapshot(dir)
	if err != nil {
		return r, nil // there is none yet
	}
	f, err := checkpoint.Open(path)
	if err == nil {
		var found *finding
		if found, err = describeModelFile(f); err == nil {
			r.Model = found.model(filepath.Base(path))
		}
	}
	if err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("the newest snapshot cannot be read: %v", err))
	}
	return r, nil
}

// model is what a report shows of a model file: what options.json does not say already.
func (f *finding) model(file string) *report.Model {
	m := &report.Model{File: file, Table: f.table}
	for _, fact := range f.facts {
		if !slices.Contains([]string{"config", "training", "trained on"}, fact[0]) {
			m.Facts = append(m.Facts, fact)
		}
	}
	return m
}
