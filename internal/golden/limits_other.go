//go:build !unix

package golden

import "time"

var began = time.Now()

// computed is the time that this process has run.
func computed() time.Duration { return time.Since(began) }
