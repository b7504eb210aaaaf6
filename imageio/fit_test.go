package imageio_test

import (
	"bytes"
	"image"
	"image/png"
	"slices"
	"testing"

	"diffuse/imageio"
)

// onePixel writes a picture of one pixel as PNG.
func onePixel[M image.Image](t testing.TB, set func(M), blank func(image.Rectangle) M) []byte {
	t.Helper()
	m := blank(image.Rect(0, 0, 1, 1))
	set(m)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bars is a picture with a black left, a grey middle and a white right third.
func bars(h, w int) imageio.Image {
	m := imageio.New(h, w, 1)
	for i := range m.Pix {
		m.Pix[i] = []uint8{0, 128, 255}[i%w*3/w]
	}
	return m
}

// TestTransforms follows two rows and the middle column of a wide picture through every transform.
func TestTransforms(t *testing.T) {
	background := [3]uint8{200, 200, 200}
	for name, want := range map[imageio.Transform]struct{ top, middle []uint8 }{
		imageio.CentreCrop:   {[]uint8{128, 128, 128, 128}, []uint8{128, 128, 128, 128}},
		imageio.CropDhariwal: {[]uint8{128, 128, 128, 128}, []uint8{128, 128, 128, 128}},
		imageio.Pad:          {[]uint8{200, 200, 200, 200, 200, 200}, []uint8{0, 0, 128, 128, 255, 255}},
		imageio.Stretch:      {[]uint8{0, 0, 128, 128, 255, 255}, []uint8{0, 0, 128, 128, 255, 255}},
		imageio.CropWide:     {[]uint8{0, 0, 0, 0, 0, 0, 0, 0}, []uint8{0, 128, 128, 128, 128, 128, 128, 255}},
	} {
		n := len(want.top)
		m := name.Apply(bars(20*n, 60*n), n, n, background)
		if m.H != n || m.W != n || m.C != 1 {
			t.Errorf("%s: %d×%d×%d", name, m.H, m.W, m.C)
			continue
		}
		near := func(a, b uint8) bool { return max(a, b)-min(a, b) <= 16 } // a cubic filter overshoots beside an edge by up to a tenth of the step
		if !slices.EqualFunc(m.Pix[:n], want.top, near) || !slices.EqualFunc(m.Pix[n/2*n:(n/2+1)*n], want.middle, near) {
			t.Errorf("%s: rows %v and %v, want %v and %v", name, m.Pix[:n], m.Pix[n/2*n:(n/2+1)*n], want.top, want.middle)
		}
	}
	for _, name := range imageio.Transforms() {
		for _, s := range [][4]int{{1, 1, 5, 7}, {7, 5, 1, 1}, {3, 100, 8, 8}, {100, 3, 9, 2}, {64, 64, 64, 64}, {33, 47, 16, 16}, {1, 4000, 2, 3}} {
			m := name.Apply(imageio.New(s[0], s[1], 3), s[2], s[3], background)
			if m.H != s[2] || m.W != s[3] || m.C != 3 || len(m.Pix) != m.H*m.W*3 {
				t.Errorf("%s of %d×%d to %d×%d: %d×%d×%d", name, s[0], s[1], s[2], s[3], m.H, m.W, m.C)
			}
		}
	}
}

// TestDhariwal: 5×8 pixels become 2×2 by one halving (box: 2×4) and a cut, as ADM's center_crop_arr does.
func TestDhariwal(t *testing.T) {
	m := imageio.New(5, 8, 1)
	for i := range m.Pix {
		m.Pix[i] = uint8(10 * (i % 8))
	}
	got := imageio.CropDhariwal.Apply(m, 2, 2, [3]uint8{})
	if want := []uint8{25, 45, 25, 45}; !slices.Equal(got.Pix, want) {
		t.Errorf("%v, want %v", got.Pix, want)
	}
}

func TestOver(t *testing.T) {
	m := imageio.Image{H: 1, W: 3, C: 4, Pix: []uint8{10, 20, 30, 255, 10, 20, 30, 0, 100, 0, 255, 128}}
	got := m.Over([3]uint8{255, 0, 100})
	// the third: (128·100 + 127·255)/255 = 177.2, 0, (128·255 + 127·100)/255 = 177.8
	if want := []uint8{10, 20, 30, 255, 0, 100, 177, 0, 178}; got.C != 3 || !slices.Equal(got.Pix, want) {
		t.Errorf("%v, want %v", got.Pix, want)
	}
	grey := imageio.New(1, 1, 1)
	if m := grey.Over([3]uint8{9, 9, 9}); m.C != 1 || m.Pix[0] != 0 {
		t.Errorf("a picture without opacity became %v", m)
	}
}
