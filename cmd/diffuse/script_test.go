package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"diffuse/zoo"
)

// TestMain makes the test binary serve as the tool itself, so that scripts run it as users do: in a process of its own, with its
// own exit code and signals.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"diffuse": func() { os.Exit(mainCode()) }})
}

// TestScripts runs testdata/script: one script per subject, each in a fresh folder. Their models are made by themselves, so that
// nothing depends on what is embedded, but for the lines under [embedded]. The commands beside testscript's own are explained in
// script_commands_test.go. With -short, which is how the race detector's slow build of the tool runs them, only those with several goroutines or signals
// at work: drawing, training, distilling, measuring.
func TestScripts(t *testing.T) {
	dir, files := "../../testdata/script", []string(nil) // either all of a folder or files by name
	if testing.Short() {
		for _, name := range []string{"bench", "data", "distill", "eval", "sample_identity", "sample_stopped", "train", "train_stopped", "train_validation"} {
			files = append(files, filepath.Join(dir, name+".txtar"))
		}
		dir = ""
	}
	testscript.Run(t, testscript.Params{
		Dir:       dir,
		Files:     files,
		Cmds:      scriptCommands(),
		Condition: scriptCondition,
		Setup: func(e *testscript.Env) error {
			e.Values[signalled{}] = &signalled{}
			return nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// scriptCondition knows [embedded], whether the default model is inside the program, and [root], for whom no folder is read-only.
func scriptCondition(name string) (bool, error) {
	switch name {
	case "embedded":
		_, err := zoo.Entries()[zoo.Default].Read()
		return err == nil, nil
	case "root":
		return os.Geteuid() == 0, nil
	}
	return false, unknownName("condition", name, []string{"embedded", "root"})
}
