package main

import (
	"os"
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
// script_commands_test.go.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:       "../../testdata/script",
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
