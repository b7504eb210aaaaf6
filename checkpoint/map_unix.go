//go:build unix

package checkpoint

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forget lets go of the memory of whole pages of a mapping, which are read from the file again if they are needed again.
func forget(b []byte) {
	page := os.Getpagesize()
	start := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (page - 1)
	if end := len(b) - int((uintptr(unsafe.Pointer(unsafe.SliceData(b)))+uintptr(len(b)))&uintptr(page-1)); start < end {
		unix.Madvise(b[start:end], unix.MADV_DONTNEED) // only memory is at stake, so that a failure may pass
	}
}

// mapFile maps all size bytes of f, which it closes; where the file system cannot map, it reads from f as needed.
func mapFile(f *os.File, size int64) (*source, error) {
	if size == 0 {
		return &source{bytes: []byte{}, free: f.Close}, nil
	}
	if uint64(size) <= maxBytes {
		b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
		if err == nil {
			f.Close() // the mapping holds the file by itself
			return &source{bytes: b, free: func() error { return unix.Munmap(b) }, forget: forget}, nil
		}
	}
	return &source{reader: f, free: f.Close}, nil
}
