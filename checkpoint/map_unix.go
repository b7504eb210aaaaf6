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
			return &source{bytes: b, free: func() error { return unix.Munmap(b) }, release: func(off, n int64) { releasePages(b, off, n) }}, nil
		}
	}
	return &source{reader: f, free: f.Close}, nil
}

// fewPages is a range of a mapping that is not worth a system call.
const fewPages = 1 << 16

// releasePages takes the whole pages among size bytes at off out of the process's memory; they come back when they are read again.
func releasePages(mapping []byte, off, size int64) {
	page := int64(os.Getpagesize())
	start, end := (off+page-1)/page*page, (off+size)/page*page
	if end-start >= fewPages {
		unix.Madvise(mapping[start:end], unix.MADV_DONTNEED) // advice: nothing depends on it
	}
}
