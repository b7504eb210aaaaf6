package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/dataset"
)

func dataInspectCommand(u *ui) *cobra.Command {
	var r dataReading
	c := &cobra.Command{
		Use:   "inspect D",
		Short: "Count and measure the pictures of a data set",
		Long: `Count and measure the pictures of a data set: sizes, classes, mean and standard
deviation of each channel on the scale -1 to 1 (of all together: EDM's sigma_data),
files that cannot be decoded, and pictures that are there more than once (equal
in every pixel). Where pictures differ in size and --resolution does not say
otherwise, they are measured at the most frequent one.`,
		Example: `  diffuse data inspect photos
  diffuse data inspect photos.zip --resolution 64 --json`,
		Args: between(1, 1, "one data set"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := inspectSet(u, args[0], r)
			if err != nil {
				return err
			}
			if u.json {
				return u.result(d)
			}
			return showFinding(u, args[0], d.finding(), nil)
		},
	}
	r.bind(c.Flags())
	return c
}

// A dataReport is what "diffuse data inspect" finds.
type dataReport struct {
	Pictures   int                 `json:"pictures"`
	Height     int                 `json:"height"`
	Width      int                 `json:"width"`
	Channels   int                 `json:"channels"`
	Sizes      []dataset.SizeCount `json:"sizes,omitempty"` // if they differ
	Classes    []classCount        `json:"classes,omitempty"`
	Mean       []float64           `json:"mean"`
	Std        []float64           `json:"std"`
	SigmaData  float64             `json:"sigma_data"`
	Unreadable []badFile           `json:"unreadable,omitempty"`
	Duplicates [][]string          `json:"duplicates,omitempty"`
}

type classCount struct {
	Name     string `json:"name"`
	Pictures int    `json:"pictures"`
}

type badFile struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

// inspectSet reads a set in full.
func inspectSet(u *ui, path string, r dataReading) (*dataReport, error) {
	o, err := r.options()
	if err != nil {
		return nil, err
	}
	report := &dataReport{}
	o.SkipBad = true
	o.Skipped = func(name string, err error) {
		report.Unreadable = append(report.Unreadable, badFile{name, err.Error()})
	}
	d, err := openSet(u, path, o)
	var sizes *dataset.SizesError
	if errors.As(err, &sizes) {
		report.Sizes, report.Unreadable = sizes.Sizes, nil
		o.Height, o.Width = sizes.Sizes[0].Height, sizes.Sizes[0].Width
		d, err = openSet(u, path, o)
	}
	if err != nil {
		return nil, err
	}
	bar := u.progress("measuring "+path, "pictures", 0, float64(d.Len()))
	s, err := dataset.Measure(d, func(done, _ int) { bar.set(float64(done), "") })
	bar.finish()
	if err != nil {
		return nil, err
	}
	report.Pictures = d.Len()
	report.Height, report.Width, report.Channels = d.Size()
	report.Mean, report.Std, report.SigmaData = s.Mean, s.Std, s.SigmaData
	for i, n := range s.Classes {
		report.Classes = append(report.Classes, classCount{d.ClassNames()[i], n})
	}
	named, ok := d.(interface{ Name(i int) string })
	for _, group := range s.Duplicates {
		var names []string
		for _, i := range group {
			name := fmt.Sprintf("picture %d", i)
			if ok {
				name = named.Name(i)
			}
			names = append(names, name)
		}
		report.Duplicates = append(report.Duplicates, names)
	}
	return report, nil
}

// finding is the report for people.
func (r *dataReport) finding() *finding {
	f := &finding{Kind: "data set"}
	f.fact("pictures", "%d", r.Pictures)
	size := fmt.Sprintf("%d×%d, %s", r.Width, r.Height, plural(r.Channels, "channel"))
	if len(r.Sizes) > 0 {
		size += ", of several (width×height):"
	}
	f.fact("size", "%s", size)
	const most = 10 // lines of a kind
	for i, s := range r.Sizes {
		if i == most {
			f.fact("", "and %d more sizes", len(r.Sizes)-i)
			break
		}
		f.fact("", "%d×%d: %s, such as %s", s.Width, s.Height, plural(s.Pictures, "picture"), s.Example)
	}
	f.fact("mean", "%s", decimals(r.Mean))
	f.fact("std", "%s", decimals(r.Std))
	f.fact("sigma_data", "%.4f", r.SigmaData)
	f.fact("unreadable", "%d", len(r.Unreadable))
	for i, b := range r.Unreadable {
		if i == most {
			f.fact("", "and %d more (--json lists all)", len(r.Unreadable)-i)
			break
		}
		f.fact("", "%s", b.Error)
	}
	copies := 0
	for _, group := range r.Duplicates {
		copies += len(group) - 1
	}
	f.fact("duplicates", "%d", copies)
	for i, group := range r.Duplicates {
		if i == most {
			f.fact("", "and %d more groups (--json lists all)", len(r.Duplicates)-i)
			break
		}
		f.fact("", "%s", strings.Join(group[:min(len(group), 4)], " = "))
	}
	if r.Classes == nil {
		f.fact("classes", "none")
		return f
	}
	f.fact("classes", "%d", len(r.Classes))
	f.table = [][]string{{"class", "name", "pictures", "share"}}
	for i, c := range r.Classes {
		f.table = append(f.table, []string{fmt.Sprint(i), c.Name, fmt.Sprint(c.Pictures), fmt.Sprintf("%.1f %%", 100*float64(c.Pictures)/float64(r.Pictures))})
	}
	return f
}

// decimals writes numbers with four of them.
func decimals(v []float64) string {
	var s []string
	for _, x := range v {
		s = append(s, fmt.Sprintf("%.4f", x))
	}
	return strings.Join(s, ", ")
}
