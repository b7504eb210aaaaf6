package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers is the map of docs/architecture.md: what each package may import of ours, and which foreign modules. Anything that is not
// here is an error, so a new package has to be given its place.
var layers = map[string]struct {
	ours, foreign []string
	testsOnly     bool // no program may import it
}{
	"cmd/diffuse": {
		ours:    []string{"checkpoint", "dataset", "distill", "imageio", "internal/kernel", "metric", "report", "sampler", "schedule", "skiptune", "tensor", "train", "unet", "zoo"},
		foreign: []string{"github.com/schollz/progressbar/v3", "github.com/spf13/cobra", "github.com/spf13/pflag", "go.yaml.in/yaml/v3", "golang.org/x/term", "gonum.org/v1/plot"},
	},
	"bench/resolution": {ours: []string{"checkpoint", "train"}, foreign: []string{"golang.org/x/image", "gonum.org/v1/plot"}},
	"bench/sanity":     {ours: []string{"checkpoint", "dataset", "imageio", "sampler"}},
	"train":            {ours: []string{"checkpoint", "dataset", "internal/kernel", "schedule", "tensor"}, foreign: []string{"github.com/gofrs/flock", "gonum.org/v1/gonum", "google.golang.org/protobuf"}},
	"distill":          {ours: []string{"checkpoint", "dataset", "internal/kernel", "sampler", "schedule", "tensor", "train"}},
	"unet":             {ours: []string{"checkpoint", "schedule", "skiptune", "tensor"}},
	"metric":           {ours: []string{"checkpoint", "imageio", "internal/kernel", "sampler", "tensor"}, foreign: []string{"gonum.org/v1/gonum"}},
	"dataset":          {ours: []string{"checkpoint", "imageio"}, foreign: []string{"github.com/parquet-go/parquet-go"}},
	"imageio":          {ours: []string{"checkpoint"}, foreign: []string{"golang.org/x/image"}},
	"checkpoint":       {foreign: []string{"golang.org/x/sys"}},
	"tensor":           {ours: []string{"internal/kernel"}},
	"internal/golden":  {ours: []string{"checkpoint"}, testsOnly: true},
	"internal/kernel":  {foreign: []string{"golang.org/x/sys"}},
	"report":           {},
	"sampler":          {foreign: []string{"gonum.org/v1/gonum"}},
	"schedule":         {foreign: []string{"gonum.org/v1/gonum"}},
	"skiptune":         {},
	"zoo":              {},
}

// TestLayering holds the packages to their layers, keeps cgo out, and keeps test helpers out of the programs.
func TestLayering(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,CgoFiles", "diffuse/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct {
			ImportPath        string
			Imports, CgoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, "diffuse/")
		allowed, known := layers[name]
		if !known {
			t.Errorf("package %s has no place in the layers map", name)
			continue
		}
		if len(p.CgoFiles) > 0 || slices.Contains(p.Imports, "C") {
			t.Errorf("package %s uses cgo", name)
		}
		for _, imp := range p.Imports {
			own, ours := strings.CutPrefix(imp, "diffuse/")
			switch {
			case ours && !slices.Contains(allowed.ours, own):
				t.Errorf("package %s imports %s, which its layer does not allow", name, own)
			case !ours && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !within(imp, allowed.foreign):
				t.Errorf("package %s imports %s, which its layer does not allow", name, imp)
			case (imp == "testing" || layers[own].testsOnly) && !allowed.testsOnly || within(imp, []string{"github.com/rogpeppe/go-internal"}):
				t.Errorf("package %s imports %s outside its tests", name, imp)
			}
		}
	}
}

// within reports whether path belongs to one of the modules.
func within(path string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}
