package main

import (
	"path/filepath"
	"time"
)

// A session is one line of a run's sessions.jsonl: which program on what machine worked on the run from so many images on.
type session struct {
	Images int64     `json:"nimg"`
	Time   time.Time `json:"time"`
	versionInfo
}

// recordSession adds the present session to the run in folder dir. A report shows it; nothing else depends on it, so that failing is worth a
// warning only.
func recordSession(u *ui, dir string, images int64) {
	path := filepath.Join(dir, "sessions.jsonl")
	if err := appendLine(path, session{images, time.Now().UTC().Truncate(time.Second), version()}); err != nil {
		u.warn("%s does not have this session: %v", path, cause(err))
	}
}
