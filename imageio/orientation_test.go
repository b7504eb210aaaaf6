package imageio_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"diffuse/imageio"
)

// cornered is a JPEG file of 16×24 pixels, its corners of the grey levels 0 (top left), 80, 160 (bottom left) and 240, that says it
// is stored in the given orientation.
func cornered(t testing.TB, orientation uint16, order binary.AppendByteOrder) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 24, 16))
	for i := range m.Pix {
		m.Pix[i] = uint8(80 * (i % 24 / 12))
		if i/24 >= 8 {
			m.Pix[i] += 160
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	exif := []byte("Exif\x00\x00II\x2a\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		exif = []byte("Exif\x00\x00MM\x00\x2a")
	}
	exif = order.AppendUint32(exif, 8)
	exif = order.AppendUint16(exif, 2)
	for _, entry := range [][2]uint16{{0x010e, 9}, {0x0112, orientation}} { // another tag comes first
		exif = order.AppendUint16(exif, entry[0])
		exif = order.AppendUint16(exif, 3)
		exif = order.AppendUint32(exif, 1)
		exif = order.AppendUint16(exif, entry[1])
		exif = order.AppendUint16(exif, 0)
	}
	out := append([]byte{0xff, 0xd8, 0xff, 0xe0, 0, 4, 'J', 'F', 0xff, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(exif)+2))...)
	return append(append(out, exif...), b.Bytes()[2:]...)
}

// TestOrientation: what the eight values mean, by the corners top left, top right, bottom left, bottom right of the upright picture.
func TestOrientation(t *testing.T) {
	for value, want := range map[uint16][4]int{
		0: {0, 80, 160, 240}, 1: {0, 80, 160, 240}, 2: {80, 0, 240, 160}, 3: {240, 160, 80, 0}, 4: {160, 240, 0, 80},
		5: {0, 160, 80, 240}, 6: {160, 0, 240, 80}, 7: {240, 80, 160, 0}, 8: {80, 240, 0, 160}, 9: {0, 80, 160, 240},
	} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			file := cornered(t, value, order)
			m, err := imageio.Decode(bytes.NewReader(file), 0)
			if err != nil {
				t.Fatal(err)
			}
			h, w, grey, err := imageio.DecodeSize(bytes.NewReader(file))
			if err != nil || h != m.H || w != m.W || !grey || h*w != 16*24 || (h == 24) != (value >= 5 && value <= 8) {
				t.Errorf("orientation %d: %d×%d, header says %d×%d: %v", value, m.H, m.W, h, w, err)
			}
			last := len(m.Pix) - 1
			for i, at := range []int{0, m.W - 1, last - m.W + 1, last} {
				if d := int(m.Pix[at]) - want[i]; d < -4 || d > 4 { // JPEG's rounding beside a hard edge
					t.Errorf("orientation %d: corner %d is %d, want %d", value, i, m.Pix[at], want[i])
				}
			}
		}
	}
}

// TestDeep: 16-bit files keep their upper eight bits, with and without colour and opacity.
func TestDeep(t *testing.T) {
	for _, c := range []struct {
		file []byte
		want []uint8
	}{
		{onePixel(t, func(m *image.Gray16) { m.SetGray16(0, 0, color.Gray16{Y: 0x12ff}) }, image.NewGray16), []uint8{0x12}},
		{onePixel(t, func(m *image.NRGBA64) { m.SetNRGBA64(0, 0, color.NRGBA64{R: 0x12ff, G: 0x3400, B: 0x5680, A: 0x8000}) }, image.NewNRGBA64), []uint8{0x12, 0x34, 0x56, 0x80}},
		{onePixel(t, func(m *image.RGBA64) { m.SetRGBA64(0, 0, color.RGBA64{R: 0x12ff, G: 0x3400, B: 0x5680, A: 0xffff}) }, image.NewRGBA64), []uint8{0x12, 0x34, 0x56}},
	} {
		m, err := imageio.Decode(bytes.NewReader(c.file), 0)
		if err != nil || m.C != len(c.want) || !bytes.Equal(m.Pix, c.want) {
			t.Errorf("got %v of %d channels, want %v: %v", m.Pix, m.C, c.want, err)
		}
	}
}
