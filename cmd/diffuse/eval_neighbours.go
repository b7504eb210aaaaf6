package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"diffuse/imageio"
	"diffuse/metric"
)

// The grid of --neighbours: a row for each of the samples that are nearest to a picture of the reference, followed by its nearest ones.
const neighbourRows, neighbourColumns = 20, 6

// authenticity is the memorisation check: are samples nearer to the pictures of --ref than those are to each other?
func (m *measurement) authenticity(ctx context.Context, u *ui) error {
	k := 1
	if m.settings.neighbours != "" {
		k = min(neighbourColumns, m.real.N)
	}
	u.note("looking for the nearest of %d pictures for each of %d", m.real.N, m.generated.N)
	c, err := metric.Authenticity(ctx, m.generated.Features, m.real.Features, k)
	if err != nil {
		return err
	}
	nearest := make([]float64, c.Nearest.N)
	for i := range nearest {
		nearest[i] = c.Nearest.Distance[i*k]
	}
	m.set("authenticity", c.Authenticity, 0, fmt.Sprintf("%d of %d pictures are farther from their nearest of --ref than that is from its own", c.Authentic, c.Nearest.N))
	for _, d := range []struct {
		name string
		x    []float64
		what string
	}{{"nearest-distance", nearest, "from a sample to the nearest of --ref"}, {"ref-distance", c.Between, "from there to the next of --ref"}} {
		sorted := slices.Sorted(slices.Values(d.x))
		at := func(q float64) string { return shortest(sorted[int(q*float64(len(sorted)-1))]) }
		m.set(d.name, sorted[(len(sorted)-1)/2], 0, fmt.Sprintf("median %s; least %s, 1%% up to %s, 10%% up to %s", d.what, at(0), at(0.01), at(0.1)))
	}
	if m.settings.neighbours == "" {
		return nil
	}
	return m.drawNeighbours(u, c.Nearest, nearest)
}

// drawNeighbours writes the grid, the nearest pairs first; its text says which pictures they are.
func (m *measurement) drawNeighbours(u *ui, near metric.Neighbours, nearest []float64) error {
	order := make([]int, near.N)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case nearest[a] < nearest[b]:
			return -1
		case nearest[a] > nearest[b]:
			return 1
		}
		return 0
	})
	order = order[:min(neighbourRows, len(order))]
	h, w, c := m.samples.Size()
	rh, rw, rc := m.ref.pictures.Size()
	var sheet []imageio.Image
	var text []string
	for _, i := range order {
		sheet = append(sheet, imageio.Image{H: h, W: w, C: c, Pix: m.generated.pixels[i*h*w*c : (i+1)*h*w*c]})
		line := fmt.Sprintf("sample %d:", i)
		if d, ok := m.samples.(drawnSet); ok {
			line = fmt.Sprintf("seed %d:", d.plan.pictures[i].Seed)
		}
		for n := i * near.K; n < (i+1)*near.K; n++ {
			p := imageio.New(rh, rw, rc)
			k := m.ref.pictures.index(near.Index[n])
			if _, err := m.ref.pictures.Get(k, p.Pix); err != nil {
				return fmt.Errorf("--ref: %w", err)
			}
			sheet = append(sheet, p.Cover(h, w))
			line += fmt.Sprintf(" %d (%s)", k, shortest(near.Distance[n]))
		}
		text = append(text, line)
	}
	grid := imageio.Grid(sheet, 1+near.K, gridPadding, gridGround)
	words := fmt.Sprintf("Each row: a sample of %s, then the pictures of %s nearest to it by %s features, with their distances\n%s",
		m.samples.Describe(), m.ref.what, m.e.Name(), strings.Join(text, "\n"))
	if err := imageio.WritePNG(m.settings.neighbours, grid, map[string]string{"neighbours": words}); err != nil {
		return err
	}
	u.note("%s: the %d samples nearest to pictures of --ref, each with its %d nearest", m.settings.neighbours, len(order), near.K)
	return nil
}
