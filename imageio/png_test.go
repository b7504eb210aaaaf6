package imageio_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"diffuse/imageio"
)

// noise is an image that no encoder can simplify.
func noise(h, w, c int) imageio.Image {
	m := imageio.New(h, w, c)
	for i := range m.Pix {
		m.Pix[i] = uint8(i*i*31 + i*7)
	}
	return m
}

func encode(t testing.TB, m imageio.Image, meta map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := imageio.EncodePNG(&b, m, meta); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPNG(t *testing.T) {
	dir := t.TempDir()
	meta := map[string]string{"diffuse": `{"seed":1}`, "Title": "Grüße ☃\nzwei", "é": "x", "empty": ""}
	for c, colour := range map[int]byte{1: 0, 3: 2, 4: 6} {
		for opaque := range 2 {
			m := noise(5, 3, c)
			if c == 4 && opaque == 1 {
				for i := 3; i < len(m.Pix); i += 4 {
					m.Pix[i] = 255
				}
			}
			path := filepath.Join(dir, "x.png")
			if err := imageio.WritePNG(path, m, meta); err != nil {
				t.Fatal(err)
			}
			raw, _ := os.ReadFile(path)
			if raw[24] != 8 || raw[25] != colour {
				t.Errorf("%d channels: PNG of depth %d and colour type %d, want 8 and %d", c, raw[24], raw[25], colour)
			}
			if !bytes.Equal(raw, encode(t, m, meta)) {
				t.Error("writing twice differs")
			}
			got, err := imageio.DecodeFile(path, 0)
			if err != nil || !reflect.DeepEqual(got, m) {
				t.Errorf("%d channels: %+v (%v), want %+v", c, got, err, m)
			}
			texts, err := imageio.ReadPNGMeta(path)
			if err != nil || !reflect.DeepEqual(texts, meta) {
				t.Errorf("text %q (%v), want %q", texts, err, meta)
			}
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	_, err := imageio.DecodeFile(filepath.Join(dir, "none.png"), 0)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.png") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestPNGRefuses(t *testing.T) {
	m := noise(2, 2, 1)
	for _, key := range []string{"", strings.Repeat("k", 80), " a", "a ", "a  b", "a\nb", "☃", "a\x00", "\u00a0"} {
		if err := imageio.EncodePNG(io.Discard, m, map[string]string{key: "v"}); err == nil {
			t.Errorf("keyword %q was accepted", key)
		}
	}
	for _, value := range []string{"a\x00b", "\xff"} {
		if err := imageio.EncodePNG(io.Discard, m, map[string]string{"k": value}); err == nil {
			t.Errorf("value %q was accepted", value)
		}
	}
	for _, m := range []imageio.Image{{}, {H: 1, W: 1, C: 2, Pix: []uint8{1, 2}}, {H: 2, W: 1, C: 1, Pix: []uint8{1}}} {
		if err := imageio.EncodePNG(io.Discard, m, nil); err == nil {
			t.Errorf("%+v was accepted", m)
		}
	}
	if err := imageio.EncodePNG(io.Discard, m, map[string]string{strings.Repeat("k", 79): "v"}); err != nil {
		t.Error(err)
	}
}

// chunk and withChunks build PNG files by the specification, apart from the code under test.
func chunk(kind, data string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, kind+data...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:])))
}

func withChunks(t testing.TB, chunks ...string) []byte {
	plain := encode(t, noise(2, 2, 1), nil)
	return slices.Concat(plain[:33], []byte(strings.Join(chunks, "")), plain[33:])
}

func deflated(s string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	io.WriteString(z, s)
	z.Close()
	return b.String()
}

func TestPNGMeta(t *testing.T) {
	b := withChunks(t, chunk("tEXt", "Author\x00J\xf6rg"), chunk("zTXt", "packed\x00\x00"+deflated("long text")), chunk("tEXt", "Author\x00second"),
		chunk("iTXt", "i\x00\x01\x00de\x00Schl\xc3\xbcssel\x00"+deflated("käse")), chunk("prIv", "ignored"))
	got, err := imageio.PNGMeta(bytes.NewReader(b))
	if want := map[string]string{"Author": "Jörg", "packed": "long text", "i": "käse"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
	if _, err := imageio.Decode(bytes.NewReader(b), 0); err != nil {
		t.Errorf("the picture: %v", err)
	}
}

func corruptMeta(t testing.TB) map[string][]byte {
	good := withChunks(t, chunk("tEXt", "k\x00value"))
	flipped := slices.Clone(good)
	flipped[33+8+3] ^= 1
	return map[string][]byte{
		"not a PNG":      []byte("GIF89a"),
		"unexpected EOF": good[:len(good)-13],
		"CRC":            flipped,
		"IHDR":           append(bytes.Clone(good[:8]), good[33:]...),
		"out of range":   slices.Concat(good[:33], []byte("\xff\xff\xff\xfftEXt")),
		"more than":      slices.Concat(good[:33], []byte("\x7f\xff\xff\xfftEXt")),
		"EOF":            slices.Concat(good[:33], []byte("\x00\xff\xff\xfftEXtk\x00")),
		"keyword":        withChunks(t, chunk("tEXt", "no end")),
		"compression":    withChunks(t, chunk("zTXt", "k\x00\x01abc")),
		"zlib":           withChunks(t, chunk("zTXt", "k\x00\x00abc")),
		"unpacks to":     withChunks(t, chunk("zTXt", "k\x00\x00"+deflated(strings.Repeat("a", 17<<20)))),
		"UTF-8":          withChunks(t, chunk("iTXt", "k\x00\x00\x00\x00\x00\xff")),
		"cut short":      withChunks(t, chunk("iTXt", "k\x00\x00\x00abc")),
	}
}

func TestCorruptMeta(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.png")
	for want, b := range corruptMeta(t) {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := imageio.ReadPNGMeta(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v, want one that names the file and says %q", err, want)
		}
	}
}

// files encodes one picture, 6×4, in every format that can be written here.
func files(t testing.TB) map[string][]byte {
	m := image.NewRGBA(image.Rect(0, 0, 4, 6))
	for i := range m.Pix {
		m.Pix[i] = uint8(40 + i)
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	out := map[string][]byte{}
	for name, enc := range map[string]func(io.Writer) error{
		"png":  func(w io.Writer) error { return png.Encode(w, m) },
		"jpeg": func(w io.Writer) error { return jpeg.Encode(w, m, &jpeg.Options{Quality: 100}) },
		"gif":  func(w io.Writer) error { return gif.Encode(w, m, nil) },
		"bmp":  func(w io.Writer) error { return bmp.Encode(w, m) },
		"tiff": func(w io.Writer) error { return tiff.Encode(w, m, nil) },
	} {
		var b bytes.Buffer
		if err := enc(&b); err != nil {
			t.Fatal(err)
		}
		out[name] = b.Bytes()
	}
	// A lossless WebP of one pixel.
	out["webp"] = []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00")
	return out
}

func TestDecodeFormats(t *testing.T) {
	for name, b := range files(t) {
		m, err := imageio.Decode(bytes.NewReader(b), 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		h, w, grey, err := imageio.DecodeSize(bytes.NewReader(b))
		if err != nil || h != m.H || w != m.W || grey {
			t.Errorf("%s: header says %d×%d, grey %v (%v), picture %d×%d", name, h, w, grey, err, m.H, m.W)
		}
		if name == "webp" {
			continue
		}
		if m.H != 6 || m.W != 4 || m.C != 3 {
			t.Errorf("%s: %d×%d×%d, want 6×4×3", name, m.H, m.W, m.C)
		}
		if name == "png" || name == "bmp" || name == "tiff" {
			if want := []uint8{40, 41, 42, 44}; !slices.Equal(m.Pix[:4], want) {
				t.Errorf("%s: starts with %v, want %v", name, m.Pix[:4], want)
			}
		}
	}
}

func TestDecodeKinds(t *testing.T) {
	grey16 := image.NewGray16(image.Rect(0, 0, 2, 1))
	grey16.SetGray16(1, 0, color.Gray16{Y: 0xabcd})
	clear := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	clear.SetNRGBA(1, 0, color.NRGBA{R: 10, G: 20, B: 30, A: 128})
	part := image.NewPaletted(image.Rect(1, 0, 2, 1), color.Palette{color.RGBA{R: 9, A: 255}}) // second pixel of two
	for _, c := range []struct {
		name string
		enc  func(io.Writer) error
		c    int
		want []uint8
	}{
		{"grey of 16 bits", func(w io.Writer) error { return png.Encode(w, grey16) }, 1, []uint8{0, 0xab}},
		{"opacity", func(w io.Writer) error { return png.Encode(w, clear) }, 4, []uint8{0, 0, 0, 0, 10, 20, 30, 128}},
		{"part of a GIF", func(w io.Writer) error {
			return gif.EncodeAll(w, &gif.GIF{Image: []*image.Paletted{part, part}, Delay: []int{1, 1}, Config: image.Config{Width: 2, Height: 1}})
		}, 4, []uint8{0, 0, 0, 0, 9, 0, 0, 255}},
	} {
		var b bytes.Buffer
		if err := c.enc(&b); err != nil {
			t.Fatal(c.name, err)
		}
		m, err := imageio.Decode(&b, 0)
		if err != nil || m.C != c.c || m.H != 1 || m.W != 2 || !slices.Equal(m.Pix, c.want) {
			t.Errorf("%s: %+v (%v), want %v", c.name, m, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range files(t) {
		if _, err := imageio.Decode(bytes.NewReader(b), 23); name != "webp" && (err == nil || !strings.Contains(err.Error(), "6×4") || !strings.Contains(err.Error(), "23")) {
			t.Errorf("%s over the limit: %v", name, err)
		}
		for n := range len(b) * 3 / 4 {
			if _, err := imageio.Decode(bytes.NewReader(b[:n]), 0); err == nil {
				t.Errorf("%s cut from %d to %d bytes was accepted", name, len(b), n)
			}
		}
	}
	if _, err := imageio.Decode(strings.NewReader("hello, not a picture"), 0); !errors.Is(err, imageio.ErrFormat) {
		t.Errorf("text: %v", err)
	}
	// A header of 60000×60000 pixels costs nothing.
	b := encode(t, noise(1, 1, 3), nil)
	binary.BigEndian.PutUint32(b[16:], 60000)
	binary.BigEndian.PutUint32(b[20:], 60000)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := imageio.Decode(bytes.NewReader(b), 0)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; err == nil || !strings.Contains(err.Error(), "60000×60000") || n > 1<<20 {
		t.Errorf("a bomb: %v, %d bytes allocated", err, n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(cornered(f, 6, binary.LittleEndian))
	f.Add(cornered(f, 3, binary.BigEndian)[:60])
	for _, b := range files(f) {
		f.Add(b)
	}
	for c := range 4 {
		if c != 1 {
			f.Add(encode(f, noise(3, 3, c+1), nil)[:60+c])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := imageio.Decode(bytes.NewReader(b), 1<<12)
		h, w, _, errSize := imageio.DecodeSize(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(m.Pix) != m.H*m.W*m.C || m.H*m.W > 1<<12 || m.C != 1 && m.C != 3 && m.C != 4 {
			t.Fatalf("%d×%d×%d with %d bytes", m.H, m.W, m.C, len(m.Pix))
		}
		if errSize != nil || h != m.H || w != m.W {
			t.Fatalf("%d×%d, but the header says %d×%d, %v", m.H, m.W, h, w, errSize)
		}
	})
}

func FuzzPNGMeta(f *testing.F) {
	for name, b := range corruptMeta(f) {
		if name != "unpacks to" {
			f.Add(b)
		}
	}
	f.Add(withChunks(f, chunk("iTXt", "i\x00\x01\x00\x00\x00"+deflated("käse"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		meta, err := imageio.PNGMeta(bytes.NewReader(b))
		if err != nil {
			return
		}
		for k := range meta {
			if k == "" {
				t.Fatal("an empty keyword")
			}
		}
	})
}
