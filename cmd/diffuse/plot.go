package main

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"diffuse/checkpoint"
)

// The size of a drawing beside its legend, and the density of a PNG.
const (
	plotWidth  = 14 * vg.Centimeter
	plotHeight = 10 * vg.Centimeter
	plotDPI    = 200
)

// plotColors can be told apart with every kind of colour vision (Okabe and Ito 2008).
var plotColors = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {0, 0, 0, 255},
}

// plotDashes tell lines of one colour apart.
var plotDashes = [][]vg.Length{
	{vg.Points(5), vg.Points(3)}, {vg.Points(1.5), vg.Points(2.5)}, {vg.Points(7), vg.Points(2), vg.Points(1.5), vg.Points(2)},
}

// plotGrey is the colour of lines that guide the eye.
var plotGrey = color.Gray{225}

// newPlot makes an empty drawing in the tool's style: a sans serif face, a legend on the right.
func newPlot() *plot.Plot {
	p := plot.New()
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		f.Variant, f.Size = "Sans", vg.Points(9)
	}
	p.Title.Padding = 0
	p.X.Padding, p.Y.Padding = 0, vg.Points(3)
	p.X.Label.Padding, p.Y.Label.Padding = vg.Points(5), vg.Points(5)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(4)
	p.Legend.ThumbnailWidth = vg.Points(26)
	p.BackgroundColor = nil // savePlot fills the whole
	return p
}

// decades puts a labelled tick on every power of ten and small ones between.
type decades struct{}

// Ticks returns the ticks of an axis from lo to hi.
func (decades) Ticks(lo, hi float64) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for digit := 1.0; digit < 10; digit++ {
			v := digit * math.Pow(10, e)
			if v < lo*(1-1e-9) || v > hi*(1+1e-9) {
				continue
			}
			label := ""
			if digit == 1 {
				label = strconv.FormatFloat(v, 'g', 4, 64)
			}
			ticks = append(ticks, plot.Tick{Value: v, Label: label})
		}
	}
	return ticks
}

// wholes puts labelled ticks on whole numbers, a dozen at most.
type wholes struct{}

// Ticks returns the ticks of an axis from lo to hi.
func (wholes) Ticks(lo, hi float64) []plot.Tick {
	step := 1.0
	for i := 0; (hi-lo)/step > 12; i++ {
		step *= []float64{2, 2.5, 2}[i%3]
	}
	var ticks []plot.Tick
	for v := math.Ceil(lo/step) * step; v <= hi; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', -1, 64)})
	}
	return ticks
}

// checkPlot refuses names that promise a format we cannot draw.
func checkPlot(flag, path string) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".svg", ".png":
		return nil
	}
	return usagef("--%s: %s ends neither in .svg nor in .png", flag, path)
}

// savePlot draws p, with its legend in a column of its own, into a file whose name checkPlot has seen.
func savePlot(path string, p *plot.Plot) error {
	legend, gap := p.Legend, vg.Points(10)
	p.Legend = plot.NewLegend()
	size := legend.Rectangle(draw.Canvas{}).Size()
	column := size.X + gap
	width, height := plotWidth+column, max(plotHeight, size.Y+2*gap)
	var c vg.CanvasWriterTo
	if strings.EqualFold(filepath.Ext(path), ".png") {
		c = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(plotDPI))}
	} else {
		c = vgsvg.New(width, height)
	}
	whole := draw.New(c)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	p.Draw(draw.Crop(whole, gap/2, -column-gap, gap/2, -gap/2))
	legend.Draw(draw.Crop(whole, plotWidth-gap/2, 0, 0, -gap/2))
	return checkpoint.AtomicFile(path, func(w io.Writer) error {
		if _, err := c.WriteTo(w); err != nil {
			return fmt.Errorf("drawing: %w", err)
		}
		return nil
	})
}
