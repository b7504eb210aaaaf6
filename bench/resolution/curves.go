package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// sizes are the sides to which pictures were brought before they were measured.
var sizes = []int{128, 32, 8}

// dashes tell lines of one colour apart.
var dashes = [][]vg.Length{nil, {vg.Points(6), vg.Points(2)}, {vg.Points(2), vg.Points(2)}}

// drawCurves draws the distances of runs over the images they had seen, a line for each size, and prints them.
func drawCurves(out string, runs []titled) error {
	p := newPlot("images", "fd-random")
	fmt.Println("| run | images | at 128×128 | at 32×32 | at 8×8 |\n|---|---|---|---|---|")
	for i, r := range runs {
		images, err := measuredAt(r.path)
		if err != nil {
			return err
		}
		lines := make([]plotter.XYs, len(sizes))
		for _, n := range images {
			fmt.Printf("| %s | %d ", r.title, n)
			for s, size := range sizes {
				d, err := distance(fmt.Sprintf("%s-%d/fd-%d.json", r.path, n, size))
				if err != nil {
					return err
				}
				lines[s] = append(lines[s], plotter.XY{X: float64(n), Y: d})
				fmt.Printf("| %.3f ", d)
			}
			fmt.Println("|")
		}
		for s, size := range sizes {
			l, dots, err := plotter.NewLinePoints(lines[s])
			if err != nil {
				return fmt.Errorf("%s: %w", r.title, err)
			}
			l.Color, dots.Color = colors[i%len(colors)], colors[i%len(colors)]
			l.Width = vg.Points(1.5)
			l.Dashes = dashes[s]
			p.Add(l, dots)
			p.Legend.Add(fmt.Sprintf("%s at %d×%d", r.title, size, size), l)
		}
	}
	p.Y.Min = 0
	return write(p, out)
}

// measuredAt lists the N of which prefix-N is a folder, in order.
func measuredAt(prefix string) (images []int, err error) {
	folders, err := filepath.Glob(prefix + "-*")
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if n, err := strconv.Atoi(strings.TrimPrefix(f, prefix+"-")); err == nil {
			images = append(images, n)
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("%s-N: no such folder", prefix)
	}
	slices.Sort(images)
	return images, nil
}

// distance reads fd-random from what "diffuse eval --json" wrote.
func distance(file string) (float64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var report struct {
		Metrics map[string]struct{ Value float64 }
	}
	if err := json.Unmarshal(data, &report); err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	d, ok := report.Metrics["fd-random"]
	if !ok {
		return 0, fmt.Errorf("%s holds no fd-random", file)
	}
	return d.Value, nil
}
