package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// TestHelp asks every command for help: it explains, shows examples that begin with the tool's name, and describes every flag.
func TestHelp(t *testing.T) {
	root := rootCommand(&ui{})
	root.InitDefaultHelpCmd()
	all := append(root.Commands(), root)
	for _, c := range root.Commands() {
		all = append(all, c.Commands()...)
	}
	for _, c := range all {
		var stdout, stderr bytes.Buffer
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		if err := run(t.Context(), args, &stdout, &stderr); err != nil || stderr.Len() > 0 {
			t.Errorf("%v: error %v, stderr %q", args, err, &stderr)
		}
		if !strings.Contains(stdout.String(), "\nExamples:\n  diffuse") && !strings.Contains(stdout.String(), "\nExamples:\n  source") {
			t.Errorf("%v has no examples:\n%s", args, &stdout)
		}
		checkFlagTexts(t, c)
		checkWidth(t, c, stdout.String())
	}
}

// checkWidth allows nothing but examples to be wider than a window: 100 columns for what we wrap, 140 for what is wrapped to the terminal's width.
func checkWidth(t *testing.T, c *cobra.Command, help string) {
	t.Helper()
	for line := range strings.Lines(help) {
		most := 140
		if strings.Contains(c.Long, line) {
			most = 100
		}
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > most && !strings.Contains(c.Example+"\n", line) {
			t.Errorf("%s: a line of %d columns: %q", c.CommandPath(), n, line)
		}
	}
}

func checkFlagTexts(t *testing.T, c *cobra.Command) {
	t.Helper()
	for line := range strings.Lines(c.LocalFlags().FlagUsages()) {
		if len(strings.Fields(line)) < 4 {
			t.Errorf("%s: the flag in %q is not explained", c.CommandPath(), line)
		}
	}
}
