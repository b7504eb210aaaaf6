package checkpoint

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// littleEndian says whether numbers in memory are as in files.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// UseFloat32 calls f with the elements as [Tensor.Float32] returns them. Those of an F32 tensor in a mapped file are not copied: f reads the file's
// own pages. f must neither write to v nor keep it, and must read it on the goroutine that it is called on, where a file that someone cuts short
// while it is read is an error and no crash.
func (t *Tensor) UseFloat32(f func(v []float32) error) error {
	p, ok := t.data.(span)
	if !ok || t.DType != F32 || !littleEndian || p.size == 0 || p.src.bytes == nil {
		v, err := t.Float32()
		if err != nil {
			return err
		}
		return f(v)
	}
	n, err := elements(t.Shape)
	if err != nil {
		return err
	}
	if int64(n)*4 != p.size {
		return fmt.Errorf("tensor of shape %v holds %d bytes", t.Shape, p.size)
	}
	return p.read(func(b []byte) error {
		if uintptr(unsafe.Pointer(&b[0]))%4 != 0 {
			v, err := t.Float32()
			if err != nil {
				return err
			}
			return f(v)
		}
		return f(unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), n))
	})
}
