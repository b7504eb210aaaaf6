//go:build unix

package checkpoint

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFolder makes a rename in dir survive a power cut, where the file system offers that.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		if os.IsPermission(err) { // a folder one may write to but not list
			return nil
		}
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}
