package imageio_test

import (
	"regexp"
	"slices"
	"strconv"
	"testing"

	"diffuse/checkpoint"
	"diffuse/imageio"
	"diffuse/internal/golden"
)

var filters = map[string]imageio.Filter{
	"box": imageio.Box, "bilinear": imageio.Bilinear, "bicubic": imageio.Bicubic, "lanczos": imageio.Lanczos,
}

// goldenSize reads the size in the name of a recorded picture: to64x64, to28, to45w20h.
var goldenSize = regexp.MustCompile(`^([a-z0-9]+)\.to(\d+)(?:[wx](\d+)h?)?\.([a-z]+)(\.uint8|\.rows)?$`)

// TestGoldenResize compares with Pillow 13: bytes exactly, floats (mode 'F') within 1e-4 of a byte's step, as the goldens ask; a separate NumPy
// version of the same formulas is within 2.1e-5.
func TestGoldenResize(t *testing.T) {
	c := golden.Tensors(t, golden.Path(t, "metrics", "resize.safetensors"))
	rows, err := c["rows299"].Int64()
	if err != nil {
		t.Fatal(err)
	}
	exact, floats := 0, 0
	for name, want := range c {
		parts := goldenSize.FindStringSubmatch(name)
		if parts == nil {
			continue
		}
		f, known := filters[parts[4]]
		if !known {
			t.Errorf("%s: unknown filter", name)
			continue
		}
		src := bytesOf(t, c[parts[1]])
		h, w := c[parts[1]].Shape[0], c[parts[1]].Shape[1]
		toW, _ := strconv.Atoi(parts[2])
		toH := toW
		if parts[3] != "" {
			toH, _ = strconv.Atoi(parts[3])
		}
		if parts[5] == ".uint8" {
			exact++
			got := imageio.Image{H: h, W: w, C: 1, Pix: src}.ResizeWith(toH, toW, f)
			if !slices.Equal(got.Pix, bytesOf(t, want)) {
				t.Errorf("%s: bytes differ", name)
			}
			continue
		}
		floats++
		wide := make([]float32, len(src))
		for i, v := range src {
			wide[i] = float32(v)
		}
		got := imageio.ResizeFloat(wide, h, w, 1, toH, toW, f)
		if parts[5] == ".rows" {
			var some []float32
			for _, r := range rows {
				some = append(some, got[int(r)*toW:int(r+1)*toW]...)
			}
			got = some
		}
		v, err := want.Float32()
		if err != nil {
			t.Fatal(err)
		}
		golden.Close(t, name, got, v, 1e-4)
	}
	if exact != 8 || floats != 24 {
		t.Errorf("%d pictures of bytes and %d of floats in the file, want 8 and 24", exact, floats)
	}
}

func bytesOf(t *testing.T, x *checkpoint.Tensor) []uint8 {
	t.Helper()
	v, err := x.Uint8()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Channels are resized one by one: a picture of three gives what its planes give.
func TestResizeFloatChannels(t *testing.T) {
	const h, w, c = 5, 7, 3
	x := make([]float32, h*w*c)
	for i := range x {
		x[i] = float32(i*37%256) / 8
	}
	if got := imageio.ResizeFloat(x, h, w, c, h, w, imageio.Lanczos); &got[0] != &x[0] {
		t.Error("the same size made a copy")
	}
	for _, size := range [][2]int{{11, 7}, {5, 3}, {2, 13}} {
		got := imageio.ResizeFloat(x, h, w, c, size[0], size[1], imageio.Bicubic)
		for ch := range c {
			plane := make([]float32, h*w)
			for i := range plane {
				plane[i] = x[i*c+ch]
			}
			for i, v := range imageio.ResizeFloat(plane, h, w, 1, size[0], size[1], imageio.Bicubic) {
				if !(got[i*c+ch] == v) {
					t.Fatalf("to %v: channel %d, pixel %d: %g, alone %g", size, ch, i, got[i*c+ch], v)
				}
			}
		}
	}
}
