package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"diffuse/imageio"
	"diffuse/sampler"
)

// A preview shows the pictures of the batch being drawn in the terminal, as the denoiser sees them, and updates them in place.
type preview struct {
	w          io.Writer
	model      *model
	cols, rows int // of the terminal, in characters
	drawn      int // lines below which the cursor stands
}

func newPreview(w io.Writer, m *model) *preview {
	p := &preview{w: w, model: m, cols: 80, rows: 24}
	if f, ok := w.(*os.File); ok {
		if cols, rows, err := term.GetSize(int(f.Fd())); err == nil {
			p.cols, p.rows = cols, rows
		}
	}
	return p
}

func (p *preview) begin(int, float64, []float64) {}

func (p *preview) add(_ int, s sampler.State) { p.show(s.Denoised) }

func (p *preview) end(_ int, x []float64) { p.show(x) }

// show draws as many pictures as there is room for over the last ones, each pixel half a character, larger pictures scaled down.
func (p *preview) show(x []float64) {
	per := p.model.size()
	wide, high := p.cols-1, 2*(p.rows-2)
	columns := max(1, (wide-1)/(p.model.width+1)) // a grid has lines of one pixel between and around
	most := columns * max(1, (high-1)/(p.model.height+1))
	var pictures []imageio.Image
	for lo := 0; lo < len(x) && len(pictures) < most; lo += per {
		m := p.model.image(x[lo : lo+per])
		if k := max(float64(m.W)/float64(wide-2), float64(m.H)/float64(high-2)); k > 1 {
			m = m.Resize(max(1, int(float64(m.H)/k)), max(1, int(float64(m.W)/k)))
		}
		pictures = append(pictures, m)
	}
	text := halfBlocks(imageio.Grid(pictures, min(columns, len(pictures)), 1, 0).Convert(3))
	up := ""
	if p.drawn > 0 {
		up = fmt.Sprintf("\x1b[%dA", p.drawn)
	}
	p.drawn = strings.Count(text, "\n")
	fmt.Fprint(p.w, up+text) // one write, so that nothing flickers
}

// halfBlocks draws an RGB picture with two pixels a character, the upper one as the colour of U+2580, the lower one as its ground.
func halfBlocks(m imageio.Image) string {
	var b strings.Builder
	at := func(y, x int) []uint8 {
		if y >= m.H {
			return []uint8{0, 0, 0}
		}
		return m.Pix[(y*m.W+x)*3:][:3]
	}
	for y := 0; y < m.H; y += 2 {
		last := ""
		for x := range m.W {
			u, l := at(y, x), at(y+1, x)
			colour := fmt.Sprintf("\x1b[38;2;%d;%d;%d;48;2;%d;%d;%dm", u[0], u[1], u[2], l[0], l[1], l[2])
			if colour != last {
				b.WriteString(colour)
				last = colour
			}
			b.WriteRune('▀')
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}
