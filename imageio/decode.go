package imageio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"slices"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// DefaultPixels is the pixel limit of Decode when none is given: 64 Mi pixels, such as 8192×8192.
const DefaultPixels = 1 << 26

// Extensions lists the endings of the files that Decode reads, in lower case.
func Extensions() []string {
	return []string{".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
}

type format struct {
	name, magic string // ? in magic stands for any byte
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
}

func formats() []format {
	return []format{
		{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
		{"JPEG", "\xff\xd8", jpeg.DecodeConfig, jpeg.Decode},
		{"GIF", "GIF8?a", gif.DecodeConfig, gif.Decode},
		{"BMP", "BM????\x00\x00\x00\x00", bmp.DecodeConfig, bmp.Decode},
		{"TIFF", "II\x2a\x00", tiff.DecodeConfig, tiff.Decode},
		{"TIFF", "MM\x00\x2a", tiff.DecodeConfig, tiff.Decode},
		{"WebP", "RIFF????WEBPVP8", webp.DecodeConfig, webp.Decode},
	}
}

func (f format) matches(b []byte) bool {
	if len(b) < len(f.magic) {
		return false
	}
	for i, c := range []byte(f.magic) {
		if c != '?' && c != b[i] {
			return false
		}
	}
	return true
}

// orientation is that of a file which starts with b.
func (f format) orientation(b []byte) int {
	if f.name != "JPEG" {
		return 1
	}
	return orientation(b)
}

// ErrFormat is returned, wrapped, by Decode for bytes that are no known kind of picture.
var ErrFormat = errors.New("not a PNG, JPEG, GIF, BMP, TIFF or WebP picture")

// Decode reads a picture, recognised by its first bytes. Grey files give 1 channel, files with opacity 4, others 3; deeper
// channels are cut to 8 bits, and JPEG files are turned as their Exif orientation says. A picture of more than limit pixels (DefaultPixels if limit is 0) is refused on the strength
// of its header, before anything of its size is allocated.
func Decode(r io.Reader, limit int) (Image, error) {
	if limit <= 0 {
		limit = DefaultPixels
	}
	var read bytes.Buffer
	b := bufio.NewReaderSize(r, 1<<16)
	f, c, err := header(b, &read)
	if err != nil {
		return Image{}, err
	}
	turn := f.orientation(read.Bytes())
	if c.Height > limit/c.Width {
		return Image{}, fmt.Errorf("%s picture of %d×%d pixels is larger than %d pixels", f.name, c.Height, c.Width, limit)
	}
	m, err := f.decode(io.MultiReader(&read, b))
	if err != nil {
		return Image{}, fmt.Errorf("%s picture: %w", f.name, noEOF(err))
	}
	bounds := m.Bounds()
	if f.name == "GIF" { // a frame may cover part of the picture only
		bounds = image.Rect(0, 0, c.Width, c.Height)
	}
	if bounds.Dx() != c.Width || bounds.Dy() != c.Height {
		return Image{}, fmt.Errorf("%s picture of %d×%d pixels, but its header says %d×%d", f.name, bounds.Dy(), bounds.Dx(), c.Height, c.Width)
	}
	return fromImage(m, bounds).upright(turn), nil
}

// DecodeSize reads the header of a picture only: its height and width in pixels, as Decode would return it, and whether it is grey.
func DecodeSize(r io.Reader) (h, w int, grey bool, err error) {
	var read bytes.Buffer
	f, c, err := header(bufio.NewReaderSize(r, 4096), &read)
	if err != nil {
		return 0, 0, false, err
	}
	if sideways(f.orientation(read.Bytes())) {
		c.Height, c.Width = c.Width, c.Height
	}
	return c.Height, c.Width, c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model, nil
}

// header recognises the format and reads the header, and copies what it consumed to read.
func header(b *bufio.Reader, read *bytes.Buffer) (f format, c image.Config, err error) {
	head, err := b.Peek(16)
	if err != nil && err != io.EOF {
		return f, c, err
	}
	all := formats()
	at := slices.IndexFunc(all, func(f format) bool { return f.matches(head) })
	if at < 0 {
		return f, c, ErrFormat
	}
	f = all[at]
	c, err = f.config(io.TeeReader(b, read))
	if err != nil {
		return f, c, fmt.Errorf("%s header: %w", f.name, noEOF(err))
	}
	if c.Width < 1 || c.Height < 1 {
		return f, c, fmt.Errorf("%s picture of %d×%d pixels", f.name, c.Height, c.Width)
	}
	return f, c, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// DecodeFile is Decode for the file at path, which its errors name.
func DecodeFile(path string, limit int) (Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return Image{}, err // names the path
	}
	defer f.Close()
	m, err := Decode(f, limit)
	if err != nil {
		return Image{}, fmt.Errorf("reading %s: %w", path, err)
	}
	return m, nil
}

// fromImage copies the part of m inside bounds; where m has none, pixels are transparent.
func fromImage(m image.Image, bounds image.Rectangle) Image {
	h, w := bounds.Dy(), bounds.Dx()
	switch m := m.(type) {
	case *image.Gray:
		out := New(h, w, 1)
		for y := range h {
			copy(out.Pix[y*w:(y+1)*w], m.Pix[m.PixOffset(bounds.Min.X, bounds.Min.Y+y):])
		}
		return out
	case *image.Gray16:
		out := New(h, w, 1)
		for i := range out.Pix {
			out.Pix[i] = uint8(m.Gray16At(bounds.Min.X+i%w, bounds.Min.Y+i/w).Y >> 8)
		}
		return out
	case *image.NRGBA:
		if !bounds.In(m.Rect) {
			break
		}
		out := New(h, w, 4)
		for y := range h {
			copy(out.Pix[4*y*w:4*(y+1)*w], m.Pix[m.PixOffset(bounds.Min.X, bounds.Min.Y+y):])
		}
		return out
	case *image.NRGBA64, *image.NYCbCrA:
		return withAlpha(m, bounds)
	case interface{ Opaque() bool }:
		if !m.Opaque() {
			break
		}
		if !bounds.In(m.(image.Image).Bounds()) {
			break
		}
		rgba := image.NewRGBA(image.Rect(0, 0, w, h)) // image/draw has fast paths to RGBA; opaque pixels are exact there
		draw.Draw(rgba, rgba.Bounds(), m.(image.Image), bounds.Min, draw.Src)
		return Image{h, w, 4, rgba.Pix}.Convert(3)
	}
	return withAlpha(m, bounds)
}

func withAlpha(m image.Image, bounds image.Rectangle) Image {
	out := New(bounds.Dy(), bounds.Dx(), 4)
	in := bounds.Intersect(m.Bounds())
	for y := in.Min.Y; y < in.Max.Y; y++ {
		for x := in.Min.X; x < in.Max.X; x++ {
			c := straight(m.At(x, y))
			i := ((y-bounds.Min.Y)*out.W + x - bounds.Min.X) * 4
			out.Pix[i], out.Pix[i+1], out.Pix[i+2], out.Pix[i+3] = c.R, c.G, c.B, c.A
		}
	}
	return out
}

// straight is a colour not premultiplied, its upper eight bits; those of an NRGBA64 are there already, and the standard
// library's way over premultiplied values would lose some.
func straight(c color.Color) color.NRGBA {
	if c, ok := c.(color.NRGBA64); ok {
		return color.NRGBA{R: uint8(c.R >> 8), G: uint8(c.G >> 8), B: uint8(c.B >> 8), A: uint8(c.A >> 8)}
	}
	return color.NRGBAModel.Convert(c).(color.NRGBA)
}
