//go:build !unix

package checkpoint

// syncFolder does nothing: folders cannot be flushed here.
func syncFolder(string) error { return nil }
