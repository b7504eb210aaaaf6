package main

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"diffuse/imageio"
)

const (
	runFilm      = "progress.apng" // in the folder of a run
	mostFrames   = 250             // of it; a run with more grids shows some of them
	runFilmBytes = 256 << 20       // and fewer still where they are large
)

// filmRun makes an animated PNG of the grids that the run in folder dir has drawn, first to last, evenly chosen where they are too many. With fewer than two there
// is none.
func filmRun(dir string) error {
	names, err := fs.Glob(os.DirFS(dir), "pictures-*.png")
	if err != nil || len(names) < 2 {
		return err
	}
	slices.SortFunc(names, func(a, b string) int { // by number: those of long runs have more digits
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	var a imageio.Animation
	n := min(len(names), mostFrames)
	for i := 0; i < n; i++ {
		m, err := imageio.DecodeFile(filepath.Join(dir, names[i*(len(names)-1)/(n-1)]), 0)
		if err != nil {
			return err
		}
		if i == 0 {
			n = min(n, max(2, runFilmBytes/len(m.Pix)))
		}
		a.Frames = append(a.Frames, m)
	}
	a.Delays = slices.Repeat([]time.Duration{frameDelay(n)}, n)
	a.Delays[n-1] = lastFrame
	return imageio.WriteAPNG(filepath.Join(dir, runFilm), a, nil)
}
