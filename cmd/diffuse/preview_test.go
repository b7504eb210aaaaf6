package main

import (
	"fmt"
	"strings"
	"testing"

	"diffuse/imageio"
)

func TestHalfBlocks(t *testing.T) {
	m := imageio.New(3, 2, 3) // the last line has nothing below it
	copy(m.Pix, []uint8{1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 9, 250, 251, 252})
	want := "\x1b[38;2;1;2;3;48;2;4;5;6m▀▀\x1b[0m\n" +
		"\x1b[38;2;7;8;9;48;2;0;0;0m▀\x1b[38;2;250;251;252;48;2;0;0;0m▀\x1b[0m\n"
	if got := halfBlocks(m); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A preview fits into its terminal, shows several pictures where there is room, and goes back up before it draws again.
func TestPreview(t *testing.T) {
	for _, c := range []struct{ size, cols, rows, wantLines int }{
		{4, 80, 24, 3},    // three pictures side by side: 6 pixels high
		{4, 8, 24, 8},     // one above the other: 16 pixels high
		{100, 20, 24, 10}, // scaled down to 17 pixels and a frame, one after the other would be too high
	} {
		m := &model{channels: 1, height: c.size, width: c.size, low: -1, high: 1}
		var out strings.Builder
		p := &preview{w: &out, model: m, cols: c.cols, rows: c.rows}
		p.show(make([]float64, 3*m.size()))
		text := out.String()
		if n := strings.Count(text, "\n"); n != c.wantLines {
			t.Errorf("%+v: %d lines", c, n)
		}
		line, _, _ := strings.Cut(text, "\n")
		if n := strings.Count(line, "▀"); n > c.cols-1 {
			t.Errorf("%+v: %d characters in a line", c, n)
		}
		out.Reset()
		p.show(make([]float64, 3*m.size()))
		if !strings.HasPrefix(out.String(), fmt.Sprintf("\x1b[%dA", c.wantLines)) {
			t.Errorf("%+v: starts with %q", c, out.String()[:8])
		}
	}
}
