package checkpoint

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"
)

// littleEndian says whether numbers in memory are as in files.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// UseFloat32 calls f with the elements as [Tensor.Float32] returns them. Those of an F32 tensor that lie in a row in a mapped file are not copied: f
// reads the file's own pages. Others are decoded to a buffer that later calls use again. f must neither write to v nor keep it, and must read it on
// the goroutine that it is called on, where a file that someone cuts short while it is read is an error and no crash.
func (t *Tensor) UseFloat32(f func(v []float32) error) error {
	n, err := elements(t.Shape)
	if err != nil {
		return err
	}
	p, ok := t.inFile()
	if !ok || t.DType != F32 || !littleEndian || n == 0 || p.src == nil || p.src.bytes == nil {
		return t.useCopy(f)
	}
	if int64(n)*4 != p.size {
		return fmt.Errorf("tensor of shape %v holds %d bytes", t.Shape, p.size)
	}
	return p.read(func(b []byte) error {
		if uintptr(unsafe.Pointer(&b[0]))%4 == 0 {
			return f(unsafe.Slice((*float32)(unsafe.Pointer(&b[0])), n))
		}
		buf := copies.Get().(*[]float32)
		defer copies.Put(buf)
		*buf, _ = appendFloats((*buf)[:0], F32, b)
		return f(*buf)
	})
}

// inFile returns where the elements are if they lie in a file in a row.
func (t *Tensor) inFile() (span, bool) {
	switch p := t.data.(type) {
	case span:
		return p, true
	case view:
		return p.span(), p.contiguous
	}
	return span{}, false
}

// copies are buffers that elements are decoded to, as long as the largest tensor that went through them.
var copies = sync.Pool{New: func() any { return new([]float32) }}

// useCopy is UseFloat32 with the elements in such a buffer.
func (t *Tensor) useCopy(f func(v []float32) error) error {
	buf := copies.Get().(*[]float32)
	defer copies.Put(buf)
	v, err := decodeInto(*buf, t, appendFloats[float32])
	if err != nil {
		return err
	}
	*buf = v
	return f(v)
}
