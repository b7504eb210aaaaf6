package imageio_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"diffuse/imageio"
)

func TestByte(t *testing.T) {
	for _, c := range []struct {
		x    float64
		want uint8
	}{
		{-1, 0}, {0, 128}, {1, 255}, {-2, 0}, {2, 255}, {math.Inf(-1), 0}, {math.Inf(1), 255}, {math.NaN(), 0},
		{-128.0 / 127.5, 0}, {math.Nextafter(-127/127.5, -2), 0}, {-127 / 127.5, 1}, // trunc: byte 1 starts at 127.5x+128 = 1
		{-1e-17, 128},                      // rounds to 128 in the sum
		{math.Nextafter(-1/127.5, 0), 127}, // just above 127
		{0.996, 254}, {127 / 127.5, 255}, {0.9999, 255},
	} {
		if got := imageio.Byte(c.x); got != c.want {
			t.Errorf("Byte(%v) = %d, want %d", c.x, got, c.want)
		}
	}
	for _, c := range []struct {
		x    float32
		want uint8
	}{{-1, 0}, {0, 128}, {1, 255}, {float32(math.NaN()), 0}, {0.5, 191}, {-0.5, 64}} {
		if got := imageio.Byte(c.x); got != c.want {
			t.Errorf("Byte(float32 %v) = %d, want %d", c.x, got, c.want)
		}
	}
}

// Every byte survives the way to a float and back, in both precisions, and lands where v/127.5 − 1 says.
func TestByteRoundTrip(t *testing.T) {
	p := make([]uint8, 256)
	for i := range p {
		p[i] = uint8(i)
	}
	x, y := make([]float64, 256), make([]float32, 256)
	imageio.ToFloat(x, p)
	imageio.ToFloat(y, p)
	back := make([]uint8, 256)
	if imageio.FromFloat(back, x); !bytes.Equal(back, p) {
		t.Errorf("float64: %v", back)
	}
	if imageio.FromFloat(back, y); !bytes.Equal(back, p) {
		t.Errorf("float32: %v", back)
	}
	for i := range p {
		if want := float64(i)/127.5 - 1; x[i] != want || !(math.Abs(float64(y[i])-want) <= 1.2e-7) { // an ulp of float32 near 2
			t.Errorf("byte %d is %v and %v, want %v", i, x[i], y[i], want)
		}
	}
}

func TestPlanes(t *testing.T) {
	m := imageio.Image{H: 2, W: 1, C: 3, Pix: []uint8{0, 51, 102, 153, 204, 255}}
	x := make([]float64, 6)
	imageio.ToPlanes(x, m)
	want := []float64{-1, 0.2, -0.6, 0.6, -0.2, 1} // R R G G B B
	for i := range x {
		if !(math.Abs(x[i]-want[i]) <= 1e-15) { // rounding of one division and subtraction
			t.Errorf("value %d is %v, want %v", i, x[i], want[i])
		}
	}
	if back := imageio.FromPlanes(x, 3, 2, 1); !bytes.Equal(back.Pix, m.Pix) || back.H != 2 || back.W != 1 || back.C != 3 {
		t.Errorf("back: %+v, want %+v", back, m)
	}
}

func TestConvert(t *testing.T) {
	rgba := imageio.Image{H: 1, W: 2, C: 4, Pix: []uint8{255, 0, 0, 7, 10, 200, 30, 255}}
	for _, c := range []struct {
		from imageio.Image
		c    int
		want []uint8
	}{
		{rgba, 3, []uint8{255, 0, 0, 10, 200, 30}},
		{rgba, 1, []uint8{76, 124}}, // PIL: 0.299 R + 0.587 G + 0.114 B rounded
		{imageio.Image{H: 1, W: 1, C: 1, Pix: []uint8{9}}, 3, []uint8{9, 9, 9}},
		{imageio.Image{H: 1, W: 1, C: 1, Pix: []uint8{9}}, 4, []uint8{9, 9, 9, 255}},
		{imageio.Image{H: 1, W: 1, C: 3, Pix: []uint8{1, 2, 3}}, 4, []uint8{1, 2, 3, 255}},
	} {
		if got := c.from.Convert(c.c); got.C != c.c || !bytes.Equal(got.Pix, c.want) {
			t.Errorf("%d to %d channels: %v, want %v", c.from.C, c.c, got.Pix, c.want)
		}
	}
	for v := range 256 { // grey as colour stays grey
		m := imageio.Image{H: 1, W: 1, C: 1, Pix: []uint8{uint8(v)}}
		if got := m.Convert(3).Convert(1).Pix[0]; int(got) != v {
			t.Errorf("grey %d became %d", v, got)
		}
	}
}

// Pillow 11.3's Image.resize(…, BICUBIC) of the same bytes.
func TestResize(t *testing.T) {
	m := imageio.New(4, 5, 1)
	for i := range m.Pix {
		m.Pix[i] = uint8(i*37 + i*i%91)
	}
	for _, c := range []struct {
		h, w int
		want []uint8
	}{
		{2, 3, []uint8{75, 72, 131, 135, 164, 69}},
		{2, 5, []uint8{108, 34, 84, 101, 149, 121, 152, 175, 124, 33}},
		{9, 2, []uint8{28, 129, 38, 125, 58, 114, 88, 103, 136, 91, 174, 86, 165, 101, 137, 122, 127, 131}},
		{6, 7, []uint8{0, 14, 52, 80, 109, 143, 167, 110, 49, 14, 55, 99, 143, 173, 223, 102, 22, 74, 88, 116, 144, 137,
			146, 183, 224, 91, 29, 35, 94, 141, 189, 195, 153, 73, 6, 80, 123, 149, 126, 207, 137, 12}},
		{4, 5, m.Pix},
	} {
		if got := m.Resize(c.h, c.w); got.H != c.h || got.W != c.w || !slices.Equal(got.Pix, c.want) {
			t.Errorf("to %d×%d: %v, want %v", c.h, c.w, got.Pix, c.want)
		}
	}
	rgba := imageio.Image{H: 2, W: 2, C: 4, Pix: []uint8{255, 0, 0, 255, 0, 255, 0, 0, 0, 0, 255, 128, 9, 9, 9, 255}}
	want := []uint8{255, 0, 0, 255, 255, 0, 0, 124, 0, 0, 0, 0, 173, 0, 92, 188, 106, 4, 55, 160, 9, 9, 1, 128, 0, 0, 255, 111, 0, 6, 96, 196, 11, 11, 1, 255}
	if got := rgba.Resize(3, 3); !slices.Equal(got.Pix, want) {
		t.Errorf("with opacity: %v, want %v", got.Pix, want)
	}
}

// A fine checkerboard shrinks to its mean, which sampling without a wider kernel would not give.
func TestResizeAntialiases(t *testing.T) {
	m := imageio.New(64, 64, 3)
	for i := range m.Pix {
		m.Pix[i] = uint8((i/3%64 + i/3/64) % 2 * 255)
	}
	for i, v := range m.Resize(9, 9).Pix {
		if v < 118 || v > 137 {
			t.Fatalf("byte %d is %d, want about 127", i, v)
		}
	}
}

func TestCover(t *testing.T) {
	m := imageio.New(4, 8, 1)
	for i := range m.Pix {
		m.Pix[i] = uint8(i % 8)
	}
	if got := m.Cover(4, 4).Pix[:4]; !slices.Equal(got, []uint8{2, 3, 4, 5}) {
		t.Errorf("square: %v, want the middle columns", got)
	}
	for _, size := range [][2]int{{1, 1}, {3, 17}, {17, 3}, {8, 8}} {
		for _, from := range [][2]int{{4, 8}, {8, 4}, {1, 1}, {1, 50}, {50, 1}} {
			if got := imageio.New(from[0], from[1], 3).Cover(size[0], size[1]); got.H != size[0] || got.W != size[1] || len(got.Pix) != size[0]*size[1]*3 {
				t.Errorf("%v covers %v by %d×%d", from, size, got.H, got.W)
			}
		}
	}
}

func TestGrid(t *testing.T) {
	grey := func(v uint8) imageio.Image { return imageio.Image{H: 1, W: 2, C: 1, Pix: []uint8{v, v + 1}} }
	g := imageio.Grid([]imageio.Image{grey(10), grey(20), grey(30)}, 2, 1, 9)
	want := []uint8{
		9, 9, 9, 9, 9, 9, 9,
		9, 10, 11, 9, 20, 21, 9,
		9, 9, 9, 9, 9, 9, 9,
		9, 30, 31, 9, 9, 9, 9,
		9, 9, 9, 9, 9, 9, 9,
	}
	if g.H != 5 || g.W != 7 || !slices.Equal(g.Pix, want) {
		t.Errorf("%d×%d: %v, want %v", g.H, g.W, g.Pix, want)
	}
	red := imageio.Image{H: 1, W: 2, C: 3, Pix: []uint8{255, 0, 0, 255, 0, 0}}
	if g := imageio.Grid([]imageio.Image{grey(10), red}, 0, 0, 0); g.C != 3 || !slices.Equal(g.Pix, []uint8{10, 10, 10, 11, 11, 11, 255, 0, 0, 255, 0, 0}) {
		t.Errorf("grey and colour: %+v", g)
	}
	if g := imageio.Grid(nil, 3, 2, 0); g.Pix != nil {
		t.Errorf("nothing: %+v", g)
	}
	defer func() {
		if recover() == nil {
			t.Error("images of two sizes did not panic")
		}
	}()
	imageio.Grid([]imageio.Image{grey(1), imageio.New(1, 1, 1)}, 2, 0, 0)
}

func Example() {
	// One sample of 3 planes of 1×2 pixels, as a sampler leaves it: red, then grey.
	x := []float64{1, 0, -1, 0, -1, 0}
	m := imageio.FromPlanes(x, 3, 1, 2)
	fmt.Println(m.Pix)

	var file bytes.Buffer // imageio.WritePNG puts it on the disk
	if err := imageio.EncodePNG(&file, m, map[string]string{"diffuse": `{"seed":7}`}); err != nil {
		panic(err)
	}
	meta, err := imageio.PNGMeta(bytes.NewReader(file.Bytes()))
	fmt.Println(meta, err)
	again, err := imageio.Decode(&file, 0)
	fmt.Println(again.Pix, err)
	// Output:
	// [255 0 0 128 128 128]
	// map[diffuse:{"seed":7}] <nil>
	// [255 0 0 128 128 128] <nil>
}
