package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"diffuse/checkpoint"
	"diffuse/train"
)

// colors can be told apart with every kind of colour vision (Okabe and Ito 2008).
var colors = []color.RGBA{
	{0, 0, 0, 255}, {0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255},
}

// lastValidation is the newest line of a run's validation.jsonl.
func lastValidation(run string) (last train.ValidationLine, err error) {
	f, err := os.Open(filepath.Join(run, "validation.jsonl"))
	if err != nil {
		return last, err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var line train.ValidationLine
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF) && len(last.Bins) > 0:
			return last, nil
		case errors.Is(err, io.EOF):
			return last, fmt.Errorf("%s holds no line", f.Name())
		case err != nil:
			return last, fmt.Errorf("%s: %w", f.Name(), err)
		}
		last = line
	}
}

// drawLosses draws the losses of runs by noise level, as shares of the first run's, and prints them.
func drawLosses(out string, runs []titled) error {
	p := newPlot("sigma", "loss / loss of "+runs[0].title)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	var first train.ValidationLine
	for i, r := range runs {
		v, err := lastValidation(r.path)
		if err != nil {
			return err
		}
		if i == 0 {
			first = v
			printHeader(v)
		}
		if len(v.Bins) != len(first.Bins) {
			return fmt.Errorf("%s was validated at other noise levels than %s", r.path, runs[0].path)
		}
		line := make(plotter.XYs, len(v.Bins))
		fmt.Printf("| %s | %d ", r.title, v.Images)
		for b, bin := range v.Bins {
			line[b] = plotter.XY{X: math.Sqrt(bin.Low * bin.High), Y: bin.Loss / first.Bins[b].Loss}
			fmt.Printf("| %.3g ", bin.Loss)
		}
		fmt.Println("|")
		l, dots, err := plotter.NewLinePoints(line)
		if err != nil {
			return fmt.Errorf("%s: %w", r.title, err)
		}
		l.Color, dots.Color = colors[i%len(colors)], colors[i%len(colors)]
		l.Dashes = dashes[i/len(colors)%len(dashes)] // where colours come again
		l.Width = vg.Points(1.5)
		p.Add(l, dots)
		p.Legend.Add(r.title, l)
	}
	p.Y.Max *= 1.08 // room for the legend
	return write(p, out)
}

// write draws the plot into a file, in the format of its name.
func write(p *plot.Plot, out string) error {
	w, err := p.WriterTo(15*vg.Centimeter, 9*vg.Centimeter, strings.TrimPrefix(filepath.Ext(out), "."))
	if err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	return checkpoint.AtomicFile(out, func(f io.Writer) error {
		_, err := w.WriteTo(f)
		return err
	})
}

// printHeader begins the table of losses.
func printHeader(v train.ValidationLine) {
	fmt.Print("| loss at sigma | images ")
	for _, b := range v.Bins {
		fmt.Printf("| %.2g to %.2g ", b.Low, b.High)
	}
	fmt.Println("|\n|---" + strings.Repeat("|---", len(v.Bins)+1) + "|")
}

// newPlot returns an empty drawing in the style of the tool's other drawings.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	for _, f := range []*font.Font{&p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		f.Variant, f.Size = "Sans", vg.Points(9)
	}
	p.X.Label.Text, p.Y.Label.Text = x, y
	p.Legend.Top = true
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{225}, color.Gray{225}
	p.Add(grid)
	return p
}
