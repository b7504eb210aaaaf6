package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"diffuse/checkpoint"
)

// scoreName says what the scores of a sweep are.
func (s *sweep) scoreName() string {
	if s.v == nil {
		return "rms to exact"
	}
	return s.o.metrics + "-" + s.v.e.Name()
}

// write prints the table and makes the files asked for.
func (s *sweep) write(cells []sweepCell) error {
	if s.o.csv != "" {
		if err := checkpoint.AtomicFile(s.o.csv, func(w io.Writer) error { return writeCSV(w, cells) }); err != nil {
			return err
		}
	}
	if s.o.plot != "" {
		if err := s.draw(cells); err != nil {
			return err
		}
	}
	if s.u.json {
		return s.u.result(map[string]any{"settings": json.RawMessage(s.key), "metric": s.scoreName(), "combinations": cells})
	}
	w := tabwriter.NewWriter(s.u.stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "sampler\tschedule\tskip\tsteps\tNFE\t%s\t±\tpictures/s\n", s.scoreName())
	for _, c := range cells {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%.3g\n", c.Sampler, c.Schedule, c.Skip, c.Steps, c.NFE, shortest(c.Score), shortest(c.Error), c.Rate)
	}
	return w.Flush()
}

func writeCSV(w io.Writer, cells []sweepCell) error {
	c := csv.NewWriter(w)
	c.Write([]string{"sampler", "schedule", "skip", "steps", "nfe", "score", "standard_error", "seconds", "pictures_per_second"})
	exact := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, x := range cells {
		c.Write([]string{x.Sampler, x.Schedule, x.Skip, strconv.Itoa(x.Steps), strconv.Itoa(x.NFE), exact(x.Score), exact(x.Error), exact(x.Seconds), exact(x.Rate)})
	}
	c.Flush()
	return c.Error()
}

// draw shows scores over network evaluations, a line for each sampler, schedule and skip.
func (s *sweep) draw(cells []sweepCell) error {
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = "network evaluations (NFE)", s.scoreName()
	p.X.Tick.Marker = wholes{}
	positive := true
	for _, c := range cells {
		positive = positive && c.Score > 0
	}
	if positive {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
	}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = plotGrey, plotGrey
	p.Add(grid)
	lines := 0
	for lo := 0; lo < len(cells); {
		hi := lo
		var xy plotter.XYs
		for ; hi < len(cells) && cells[hi].Sampler == cells[lo].Sampler && cells[hi].Schedule == cells[lo].Schedule && cells[hi].Skip == cells[lo].Skip; hi++ {
			xy = append(xy, plotter.XY{X: float64(cells[hi].NFE), Y: cells[hi].Score})
		}
		line, points, err := plotter.NewLinePoints(xy)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", cells[lo].way(), err)
		}
		line.Color, line.Width = plotColors[lines%len(plotColors)], vg.Points(1.5)
		if turn := lines / len(plotColors); turn > 0 {
			line.Dashes = plotDashes[(turn-1)%len(plotDashes)]
		}
		points.Color, points.Radius, points.Shape = line.Color, vg.Points(2), draw.CircleGlyph{}
		p.Add(line, points)
		p.Legend.Add(s.lineName(cells[lo]), line, points)
		lines++
		lo = hi
	}
	if positive {
		p.Y.Min = math.Pow(10, math.Floor(math.Log10(p.Y.Min)))
		p.Y.Max = math.Pow(10, math.Ceil(math.Log10(p.Y.Max)))
	}
	return savePlot(s.o.plot, p)
}

// lineName leaves out what all lines share.
func (s *sweep) lineName(c sweepCell) string {
	name := c.Sampler
	if len(strings.Fields(s.o.schedules)) > 1 {
		name += " " + c.Schedule
	}
	if len(strings.Fields(s.o.skips)) > 1 {
		name += " skip " + c.Skip
	}
	return name
}
