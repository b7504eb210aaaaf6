package report

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// A Picture is a grid that was drawn as a run went on.
type Picture struct {
	File   string  `json:"file"`
	Images float64 `json:"images"` // shown when it was drawn
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Bytes  int64   `json:"bytes"`

	path string
}

// pictureName is what train.Tick.Path makes.
var pictureName = regexp.MustCompile(`^pictures-(\d{1,15})\.png$`)

// findPictures lists the grids of the run in dir, first to last.
func (r *Run) findPictures(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading a run: %w", err)
	}
	for _, e := range entries {
		m := pictureName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		p := Picture{File: e.Name(), path: filepath.Join(dir, e.Name())}
		p.Images, _ = strconv.ParseFloat(m[1], 64)
		if err := p.measure(); err != nil {
			r.note("%s is left out: %v", p.File, err)
			continue
		}
		r.Pictures = append(r.Pictures, p)
	}
	slices.SortFunc(r.Pictures, func(a, b Picture) int { return int(a.Images - b.Images) })
	return nil
}

// measure reads the picture's size.
func (p *Picture) measure() error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := png.DecodeConfig(f)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p.Width, p.Height, p.Bytes = c.Width, c.Height, info.Size()
	return nil
}

// url reads the picture as an address that holds it.
func (p *Picture) url() (template.URL, error) {
	f, err := os.Open(p.path)
	if err != nil {
		return "", fmt.Errorf("reading a run: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, p.Bytes)) // what has come since is not what was counted
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", p.path, err)
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b)), nil
}

// choose returns as many pictures as fit into limit bytes, evenly spaced, with the last and, if more than one fits, the first.
func choose(all []Picture, limit int64) []Picture {
	for n := len(all); n > 0; n-- {
		var some []Picture
		total := int64(0)
		for i := range n {
			k := len(all) - 1
			if n > 1 {
				k = i * (len(all) - 1) / (n - 1)
			}
			some, total = append(some, all[k]), total+all[k].Bytes
		}
		if total <= limit {
			return some
		}
	}
	return nil
}
