package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"image/gif"
	"image/png"
	"io"
	"math"
	"time"

	"diffuse/checkpoint"
)

// An Animation is a sequence of pictures of one size, shown for so long each and repeated without end.
type Animation struct {
	Frames []Image
	Delays []time.Duration // one for each frame; files keep milliseconds (APNG) or hundredths of a second (GIF)
}

func (a Animation) check() error {
	if len(a.Frames) == 0 || len(a.Frames) != len(a.Delays) {
		return fmt.Errorf("an animation of %d frames and %d delays", len(a.Frames), len(a.Delays))
	}
	first := a.Frames[0]
	for i, m := range a.Frames {
		if err := m.check(); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
		if m.H != first.H || m.W != first.W || m.C != first.C {
			return fmt.Errorf("frame %d is %d×%d×%d, the first %d×%d×%d", i, m.H, m.W, m.C, first.H, first.W, first.C)
		}
		if a.Delays[i] < 0 || a.Delays[i] > time.Minute {
			return fmt.Errorf("frame %d lasts %v, want 0 to 1 minute", i, a.Delays[i])
		}
	}
	return nil
}

// WriteAPNG writes a as an animated PNG (PNG specification, third edition, section 11.3.4), complete or not at all, with meta in text chunks as
// [WritePNG]. Every pixel is exact; programs that know no animation show the first frame.
func WriteAPNG(path string, a Animation, meta map[string]string) error {
	if err := a.check(); err != nil {
		return err
	}
	return checkpoint.AtomicFile(path, func(w io.Writer) error { return a.apng(w, meta) })
}

// apng takes each frame's compressed data from a PNG file of its own: the first file's chunks stay as they are, those of the others
// become fdAT chunks, each frame after its fcTL.
func (a Animation) apng(w io.Writer, meta map[string]string) error {
	var first bytes.Buffer
	if err := EncodePNG(&first, a.Frames[0], meta); err != nil {
		return err
	}
	out := bytes.Clone(first.Bytes()[:8])
	sequence := uint32(0)
	control := func(m Image, delay time.Duration) {
		var b []byte
		for _, v := range []uint32{sequence, uint32(m.W), uint32(m.H), 0, 0} { // size, offset
			b = binary.BigEndian.AppendUint32(b, v)
		}
		b = binary.BigEndian.AppendUint16(b, uint16(delay.Milliseconds()))
		b = binary.BigEndian.AppendUint16(b, 1000)
		out = appendChunk(out, "fcTL", append(b, 0, 0)) // leave the frame, replace what is below it
		sequence++
	}
	started := false
	for kind, data := range chunks(first.Bytes()) {
		switch {
		case kind == "IDAT" && !started:
			started = true
			control(a.Frames[0], a.Delays[0])
			out = appendChunk(out, kind, data)
		case kind == "IEND":
		default:
			out = appendChunk(out, kind, data)
		}
		if kind == "IHDR" { // frames, plays: 0 is for ever
			out = appendChunk(out, "acTL", binary.BigEndian.AppendUint64(nil, uint64(len(a.Frames))<<32))
		}
	}
	for i, m := range a.Frames[1:] {
		control(m, a.Delays[i+1])
		var file bytes.Buffer
		if err := png.Encode(&file, m.forPNG()); err != nil {
			return err
		}
		for kind, data := range chunks(file.Bytes()) {
			if kind == "IDAT" {
				out = appendChunk(out, "fdAT", append(binary.BigEndian.AppendUint32(nil, sequence), data...))
				sequence++
			}
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
	_, err := w.Write(appendChunk(out, "IEND", nil))
	return err
}

// chunks yields type and data of the chunks of a PNG file that this package has just written.
func chunks(file []byte) func(yield func(kind string, data []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for b := file[8:]; len(b) > 0; {
			n := binary.BigEndian.Uint32(b)
			if !yield(string(b[4:8]), b[8:8+n]) {
				return
			}
			b = b[12+n:]
		}
	}
}

// WriteGIF writes a as a GIF file, complete or not at all. Grey frames are exact; coloured ones are dithered to 256 fixed colours.
func WriteGIF(path string, a Animation) error {
	if err := a.check(); err != nil {
		return err
	}
	if m := a.Frames[0]; m.W > math.MaxUint16 || m.H > math.MaxUint16 {
		return errors.New("a GIF has at most 65535 rows and columns")
	}
	g := &gif.GIF{}
	for i, m := range a.Frames {
		g.Image = append(g.Image, m.paletted())
		g.Delay = append(g.Delay, int(math.Round(a.Delays[i].Seconds()*100)))
	}
	return checkpoint.AtomicFile(path, func(w io.Writer) error { return gif.EncodeAll(w, g) })
}

func (m Image) paletted() *image.Paletted {
	r := image.Rect(0, 0, m.W, m.H)
	if m.C == 1 {
		greys := make(color.Palette, 256)
		for i := range greys {
			greys[i] = color.Gray{Y: uint8(i)}
		}
		return &image.Paletted{Pix: m.Pix, Stride: m.W, Rect: r, Palette: greys}
	}
	p := image.NewPaletted(r, palette.Plan9)
	draw.FloydSteinberg.Draw(p, r, m.toImage(), image.Point{})
	return p
}
