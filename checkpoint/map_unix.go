//go:build unix

package checkpoint

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps all size bytes of f, which it closes; where the file system cannot map, it reads from f as needed.
func mapFile(f *os.File, size int64) (*source, error) {
	if size == 0 {
		return &source{bytes: []byte{}, free: f.Close}, nil
	}
	if uint64(size) <= maxBytes {
		b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
		if err == nil {
			f.Close() // the mapping holds the file by itself
			return &source{bytes: b, free: func() error { return unix.Munmap(b) }}, nil
		}
	}
	return &source{reader: f, free: f.Close}, nil
}
