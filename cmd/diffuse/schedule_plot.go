package main

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// maxMarked is the number of levels up to which each has a mark.
const maxMarked = 64

// plotSchedules draws noise levels, on a logarithmic axis, over the steps. A final 0 has no place on it.
func plotSchedules(path string, all []namedLevels) error {
	p := newPlot()
	p.X.Label.Text = "step"
	p.Y.Label.Text = "noise level sigma"
	p.Y.Scale, p.Y.Tick.Marker, p.X.Tick.Marker = plot.LogScale{}, decades{}, wholes{}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = plotGrey, plotGrey
	p.Add(grid)
	for i, n := range all {
		line, points, err := schedulePoints(n.Levels, func(l level) *float64 { return l.LogSNR })
		if err != nil {
			return fmt.Errorf("drawing %s: %w", n.Name, err)
		}
		line.Color, line.Width = plotColors[i%len(plotColors)], vg.Points(1.5)
		points.Color, points.Radius, points.Shape = line.Color, vg.Points(2), draw.CircleGlyph{}
		p.Add(line)
		if len(n.Levels) > maxMarked {
			p.Legend.Add(n.Name, line)
		} else {
			p.Add(points)
			p.Legend.Add(n.Name, line, points)
		}
		for j, pooled := range n.Levels[0].Pooled {
			dashed, _, err := schedulePoints(n.Levels, func(l level) *float64 { return l.Pooled[j].LogSNR })
			if err != nil {
				return fmt.Errorf("drawing %s: %w", n.Name, err)
			}
			dashed.Color, dashed.Width, dashed.Dashes = line.Color, vg.Points(1), plotDashes[j%len(plotDashes)]
			p.Add(dashed)
			p.Legend.Add(fmt.Sprintf("… pooled to %d×%d", pooled.Size, pooled.Size), dashed)
		}
	}
	p.Y.Min = math.Pow(10, math.Floor(math.Log10(p.Y.Min)))
	p.Y.Max = math.Pow(10, math.Ceil(math.Log10(p.Y.Max)))
	return savePlot(path, p)
}

// schedulePoints turns logSNRs into the points of the noise levels that have one.
func schedulePoints(levels []level, logSNR func(level) *float64) (*plotter.Line, *plotter.Scatter, error) {
	var xy plotter.XYs
	for _, l := range levels {
		if v := logSNR(l); v != nil {
			xy = append(xy, plotter.XY{X: float64(l.Step), Y: math.Exp(-*v / 2)})
		}
	}
	return plotter.NewLinePoints(xy)
}
