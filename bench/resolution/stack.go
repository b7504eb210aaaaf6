package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"os"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"diffuse/checkpoint"
)

// titleHeight is the height of a line of titles, in pixels.
const titleHeight = 18

// stack writes pictures below each other into a JPEG file, each under its title: noisy pictures are several times larger as PNG.
func stack(out string, parts []titled) error {
	var pictures []image.Image
	var size image.Point
	for _, p := range parts {
		m, err := readPNG(p.path)
		if err != nil {
			return err
		}
		pictures = append(pictures, m)
		size.X = max(size.X, m.Bounds().Dx())
		size.Y += m.Bounds().Dy() + titleHeight
	}
	whole := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(whole, whole.Bounds(), image.White, image.Point{}, draw.Src)
	y := 0
	for i, m := range pictures {
		d := font.Drawer{Dst: whole, Src: image.NewUniform(color.Black), Face: basicfont.Face7x13, Dot: fixed.P(2, y+titleHeight-5)}
		d.DrawString(parts[i].title)
		y += titleHeight
		draw.Draw(whole, image.Rectangle{Min: image.Pt(0, y), Max: image.Pt(m.Bounds().Dx(), y+m.Bounds().Dy())}, m, m.Bounds().Min, draw.Src)
		y += m.Bounds().Dy()
	}
	return checkpoint.AtomicFile(out, func(w io.Writer) error {
		return jpeg.Encode(w, whole, &jpeg.Options{Quality: 80})
	})
}

func readPNG(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}
