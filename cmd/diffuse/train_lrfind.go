package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"diffuse/dataset"
	"diffuse/sampler"
	"diffuse/train"
	"diffuse/unet"
)

// findRate draws the loss over a rising learning rate to path and says which rate that suggests. It writes nothing else.
func findRate(ctx context.Context, u *ui, path string, s *trainSettings, data dataset.Dataset) error {
	net, err := unet.New(s.Network, sampler.Stream(s.Options.Seed, "weights"))
	if err != nil {
		return err
	}
	if err := s.initialise(u, "", false, net); err != nil {
		return err
	}
	trial := train.DefaultRateTrial()
	bar := u.progress("learning rates", "steps", 0, float64(trial.Steps))
	done := 0.0
	trial.Progress = func(p train.RatePoint) {
		done++
		bar.set(done, fmt.Sprintf("lr %.2g  loss %.4g", p.Rate, p.Smoothed))
	}
	points, err := train.FindRate(ctx, trial, s.Options, trainable(s, net), trainable(s, net.Clone()), data)
	bar.finish()
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: --lr-find", errInterrupted)
	}
	if err != nil {
		return err
	}
	suggested, lowest, ok := train.SuggestRate(points)
	if err := plotRates(path, points, suggested, lowest); err != nil {
		return err
	}
	if u.json {
		found := map[string]any{"points": points}
		if ok {
			found["lr"], found["lowest"] = suggested, lowest
		}
		return u.result(found)
	}
	if !ok {
		u.summary("%s: the loss is least at an end of the trial, which suggests no rate", path)
		return nil
	}
	u.summary("%s: the loss is least at %.2g; try --lr %.2g, a tenth of that", path, lowest, suggested)
	return nil
}

// plotRates draws both losses on logarithmic axes, with marks at the two rates unless they are 0.
func plotRates(path string, points []train.RatePoint, suggested, lowest float64) error {
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = "learning rate", "loss"
	p.X.Scale, p.Y.Scale, p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogScale{}, plot.LogScale{}, decades{}, decades{}
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = plotGrey, plotGrey
	p.Add(grid)
	var steps, smooth plotter.XYs
	low, high := math.Inf(1), 0.0
	for _, r := range points {
		steps, smooth = append(steps, plotter.XY{X: r.Rate, Y: r.Loss}), append(smooth, plotter.XY{X: r.Rate, Y: r.Smoothed})
		low, high = min(low, r.Loss), max(high, r.Loss)
	}
	if !(low > 0) || len(points) < 2 {
		return errors.New("--lr-find: the loss is not positive and finite from the first steps on")
	}
	p.Y.Min, p.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	for i, xy := range []plotter.XYs{steps, smooth} {
		line, err := plotter.NewLine(xy)
		if err != nil {
			return fmt.Errorf("drawing losses: %w", err)
		}
		line.Color, line.Width = plotColors[5-5*i], vg.Points(0.5+float64(i)) // the smoothed one is the dark and thick one
		p.Add(line)
		p.Legend.Add([]string{"loss of a step", "smoothed"}[i], line)
	}
	for i, rate := range []float64{suggested, lowest} {
		if rate == 0 {
			continue
		}
		line, err := plotter.NewLine(plotter.XYs{{X: rate, Y: p.Y.Min}, {X: rate, Y: p.Y.Max}})
		if err != nil {
			return fmt.Errorf("drawing rates: %w", err)
		}
		line.Color, line.Dashes = plotColors[1], plotDashes[i]
		p.Add(line)
		p.Legend.Add([]string{"suggested", "least"}[i]+fmt.Sprintf(": %.2g", rate), line)
	}
	return savePlot(path, p)
}
