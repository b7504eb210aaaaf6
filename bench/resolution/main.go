// Command resolution shows what the runs of bench/resolution.sh came to.
//
//	go run ./bench/resolution loss OUT.svg TITLE=RUN...
//	go run ./bench/resolution curves OUT.svg TITLE=MEASURED...
//	go run ./bench/resolution grid OUT.jpg TITLE=GRID.png...
//
// loss draws the validation loss of runs by noise level, each divided by that of the first, and prints the losses themselves as a table in
// Markdown. curves draws the Fréchet distances of MEASURED-N, where "diffuse eval" measured a run after N images. grid puts pictures below each other, each under its title.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatalf("resolution: %v", err)
	}
}

// A titled is a file or folder and what it is called in a drawing.
type titled struct{ title, path string }

func run(args []string) error {
	if len(args) < 3 {
		return errors.New("usage: go run ./bench/resolution loss OUT.svg TITLE=RUN… | curves OUT.svg TITLE=MEASURED… | grid OUT.jpg TITLE=GRID.png…")
	}
	var parts []titled
	for _, arg := range args[2:] {
		title, path, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("%q: want TITLE=PATH", arg)
		}
		parts = append(parts, titled{title, path})
	}
	switch args[0] {
	case "loss":
		return drawLosses(args[1], parts)
	case "curves":
		return drawCurves(args[1], parts)
	case "grid":
		return stack(args[1], parts)
	}
	return fmt.Errorf("unknown drawing %q: want loss, curves or grid", args[0])
}
