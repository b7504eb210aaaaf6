package imageio

import (
	"bytes"
	"encoding/binary"
)

// orientation returns how a JPEG file wants to be turned, 1 to 8 as the Exif standard (CIPA DC-008, tag 0x0112) counts; 1, as it
// is, also where the file does not say or says something else. b starts the file and reaches to its frame header at least.
func orientation(b []byte) int {
	for b = b[min(2, len(b)):]; len(b) >= 4 && b[0] == 0xff; {
		marker := b[1]
		if marker == 0xff { // fill byte
			b = b[1:]
			continue
		}
		size := int(binary.BigEndian.Uint16(b[2:])) // counts itself
		if marker == 0xda || size < 2 || size+2 > len(b) {
			break
		}
		if body, ok := bytes.CutPrefix(b[4:2+size], []byte("Exif\x00\x00")); ok && marker == 0xe1 {
			return exifOrientation(body)
		}
		b = b[2+size:]
	}
	return 1
}

// exifOrientation looks the orientation up in the first directory of a TIFF structure.
func exifOrientation(b []byte) int {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(b, []byte("MM\x00\x2a")):
		order = binary.BigEndian
	case !bytes.HasPrefix(b, []byte("II\x2a\x00")):
		return 1
	}
	const entry, tag, short = 12, 0x0112, 3
	if len(b) < 8 {
		return 1
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 1
	}
	n := int(order.Uint16(b[at:]))
	for b = b[at+2:]; n > 0 && len(b) >= entry; n, b = n-1, b[entry:] {
		if order.Uint16(b) != tag {
			continue
		}
		if v := int(order.Uint16(b[8:])); order.Uint16(b[2:]) == short && v >= 1 && v <= 8 {
			return v
		}
		break
	}
	return 1
}

// sideways reports whether an orientation exchanges height and width.
func sideways(orientation int) bool { return orientation >= 5 }

// upright returns m, stored in the given orientation, as it is meant to be seen.
func (m Image) upright(orientation int) Image {
	if orientation == 1 {
		return m
	}
	h, w := m.H, m.W
	if sideways(orientation) {
		h, w = w, h
	}
	out := New(h, w, m.C)
	for y := range h {
		for x := range w {
			sy, sx := y, x
			if sideways(orientation) {
				sy, sx = x, y
			}
			if o := orientation; o == 3 || o == 4 || o == 6 || o == 7 {
				sy = m.H - 1 - sy
			}
			if o := orientation; o == 2 || o == 3 || o == 7 || o == 8 {
				sx = m.W - 1 - sx
			}
			copy(out.Pix[(y*w+x)*m.C:(y*w+x+1)*m.C], m.Pix[(sy*m.W+sx)*m.C:])
		}
	}
	return out
}
