package imageio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"diffuse/checkpoint"
)

// WritePNG writes m to path: a grey, RGB or RGBA file of 8 bits for 1, 3 or 4 channels, with meta in text chunks. The file is there complete
// or, after an error, as it was before (see checkpoint.AtomicFile).
func WritePNG(path string, m Image, meta map[string]string) error {
	return checkpoint.AtomicFile(path, func(w io.Writer) error { return EncodePNG(w, m, meta) })
}

// EncodePNG writes m to w as WritePNG does. The keys of meta are 1 to 79 printable Latin-1 characters without leading, trailing or double
// spaces, as the PNG specification asks; values are any text without NUL. ASCII values become tEXt chunks, which every viewer
// reads, others iTXt chunks in UTF-8; they come sorted by key, before the picture's data.
func EncodePNG(w io.Writer, m Image, meta map[string]string) error {
	if err := m.check(); err != nil {
		return err
	}
	var chunks []byte
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		var err error
		if chunks, err = appendText(chunks, key, meta[key]); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m.forPNG()); err != nil {
		return err
	}
	const first = 8 + 12 + 13 // signature and IHDR
	for _, part := range [][]byte{b.Bytes()[:first], chunks, b.Bytes()[first:]} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// forPNG is m as the type for which image/png writes the colour type that m.C asks for.
func (m Image) forPNG() image.Image {
	if m.C == 4 {
		return translucent{m.toImage().(*image.NRGBA)}
	}
	return m.toImage()
}

// translucent keeps the opacity channel of a picture that happens to be opaque.
type translucent struct{ *image.NRGBA }

func (translucent) Opaque() bool { return false }

// toImage is m for the standard library; it shares Pix for 1 and 4 channels.
func (m Image) toImage() image.Image {
	r := image.Rect(0, 0, m.W, m.H)
	if m.C == 1 {
		return &image.Gray{Pix: m.Pix, Stride: m.W, Rect: r}
	}
	return &image.NRGBA{Pix: m.Convert(4).Pix, Stride: 4 * m.W, Rect: r}
}

func appendText(dst []byte, key, value string) ([]byte, error) {
	name, err := keyword(key)
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) || len(value) > maxText {
		return nil, fmt.Errorf("PNG text %q: value is not text without NUL of at most %d bytes", key, maxText)
	}
	ascii := strings.IndexFunc(value, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
	if ascii {
		return appendChunk(dst, "tEXt", append(append(name, 0), value...)), nil
	}
	// keyword, NUL, not compressed, method 0, no language, no translated keyword
	return appendChunk(dst, "iTXt", append(append(name, 0, 0, 0, 0, 0), value...)), nil
}

// keyword returns key in Latin-1.
func keyword(key string) ([]byte, error) {
	var b []byte
	for _, r := range key {
		if r > 255 || r < 32 || r > 126 && r < 161 {
			return nil, fmt.Errorf("PNG text keyword %q holds the character %q, which is not printable Latin-1", key, r)
		}
		b = append(b, byte(r))
	}
	if len(b) < 1 || len(b) > 79 {
		return nil, fmt.Errorf("PNG text keyword %q has %d characters, not 1 to 79", key, len(b))
	}
	if b[0] == ' ' || b[len(b)-1] == ' ' || bytes.Contains(b, []byte("  ")) {
		return nil, fmt.Errorf("PNG text keyword %q starts or ends with a space or has two in a row", key)
	}
	return b, nil
}

// appendChunk adds length, type, data and the CRC of type and data.
func appendChunk(dst []byte, kind string, data []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	start := len(dst)
	dst = append(append(dst, kind...), data...)
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
}
