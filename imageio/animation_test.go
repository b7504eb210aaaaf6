package imageio_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/gif"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"diffuse/imageio"
)

func clip(c int) imageio.Animation {
	a := imageio.Animation{Delays: []time.Duration{40 * time.Millisecond, 70 * time.Millisecond, time.Second}}
	for i := range a.Delays {
		m := noise(5, 9, c)
		m.Pix[0] = uint8(50 * i)
		a.Frames = append(a.Frames, m)
	}
	return a
}

// The frames of an animated PNG are unpacked by turning each back into a file of its own.
func TestAPNG(t *testing.T) {
	for _, c := range []int{1, 3, 4} {
		path, a := filepath.Join(t.TempDir(), "a.png"), clip(c)
		if err := imageio.WriteAPNG(path, a, map[string]string{"diffuse": "x"}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if meta, err := imageio.PNGMeta(bytes.NewReader(b)); err != nil || meta["diffuse"] != "x" {
			t.Errorf("metadata %v, %v", meta, err)
		}
		var head []byte
		var frames [][]byte
		var sequence, plays uint32
		var delays []uint16
		for rest := b[8:]; len(rest) > 0; {
			n := binary.BigEndian.Uint32(rest)
			kind, data, whole := string(rest[4:8]), rest[8:8+n], rest[:12+n]
			rest = rest[12+n:]
			switch kind {
			case "IHDR":
				head = slices.Concat(b[:8], whole)
			case "acTL":
				if got := binary.BigEndian.Uint32(data); got != 3 {
					t.Errorf("acTL says %d frames", got)
				}
				plays = binary.BigEndian.Uint32(data[4:])
			case "fcTL", "fdAT":
				if got := binary.BigEndian.Uint32(data); got != sequence {
					t.Errorf("%s has sequence number %d, want %d", kind, got, sequence)
				}
				sequence++
				if kind == "fdAT" {
					frames[len(frames)-1] = append(frames[len(frames)-1], chunk("IDAT", string(data[4:]))...)
					continue
				}
				frames = append(frames, slices.Clone(head))
				delays = append(delays, binary.BigEndian.Uint16(data[20:]))
			case "IDAT":
				frames[len(frames)-1] = append(frames[len(frames)-1], whole...)
			}
		}
		if !slices.Equal(delays, []uint16{40, 70, 1000}) || plays != 0 || len(frames) != 3 {
			t.Fatalf("delays %v, plays %d, %d frames", delays, plays, len(frames))
		}
		for i, f := range frames {
			m, err := imageio.Decode(bytes.NewReader(append(f, chunk("IEND", "")...)), 0)
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			if !slices.Equal(m.Convert(c).Pix, a.Frames[i].Pix) {
				t.Errorf("%d channels, frame %d differs", c, i)
			}
		}
		if _, err := png.Decode(bytes.NewReader(b)); err != nil {
			t.Errorf("as a still picture: %v", err)
		}
	}
}

func TestGIF(t *testing.T) {
	path, a := filepath.Join(t.TempDir(), "a.gif"), clip(1)
	if err := imageio.WriteGIF(path, a); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g, err := gif.DecodeAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(g.Delay, []int{4, 7, 100}) || g.LoopCount != 0 {
		t.Errorf("delays %v, loops %d", g.Delay, g.LoopCount)
	}
	for i, m := range g.Image {
		for y := range 5 {
			for x := range 9 {
				if v, _, _, _ := image.Image(m).At(x, y).RGBA(); uint8(v>>8) != a.Frames[i].Pix[9*y+x] {
					t.Fatalf("frame %d, pixel %d, %d: %d, want %d", i, x, y, v>>8, a.Frames[i].Pix[9*y+x])
				}
			}
		}
	}
	if err := imageio.WriteGIF(path, clip(3)); err != nil {
		t.Errorf("colour: %v", err)
	}
}

func TestAnimationErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.png")
	for want, edit := range map[string]func(a *imageio.Animation){
		"0 frames":            func(a *imageio.Animation) { *a = imageio.Animation{} },
		"frame 1 is 5×9×3":    func(a *imageio.Animation) { a.Frames[1] = noise(5, 9, 3) },
		"frame 2 lasts 1h":    func(a *imageio.Animation) { a.Delays[2] = time.Hour },
		"3 frames and 2 dela": func(a *imageio.Animation) { a.Delays = a.Delays[:2] },
	} {
		a := clip(1)
		edit(&a)
		for _, err := range []error{imageio.WriteAPNG(path, a, nil), imageio.WriteGIF(path, a)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want an error with %q", err, want)
			}
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused animation has left a file")
	}
}
