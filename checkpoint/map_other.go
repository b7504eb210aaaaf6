//go:build !unix

package checkpoint

import (
	"fmt"
	"io"
	"os"
)

// mapFile reads all size bytes of f, which it closes: an open file could not be replaced on Windows.
func mapFile(f *os.File, size int64) (*source, error) {
	if uint64(size) > maxBytes {
		return nil, fmt.Errorf("%d bytes do not fit in memory", size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	return &source{bytes: b}, f.Close()
}
