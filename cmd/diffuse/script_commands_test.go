package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are the scripts' own commands. None but same and cmpdirs can be negated.
//
//	fails CODE diffuse ARG...   the command exits with CODE, in the tool's voice: one error line, nothing on stdout, no panic
//	folder DIR NAME...          DIR holds these names and no others, hidden ones included
//	[!] same A B                two files hold the same bytes (cmp without its diff, which for pictures and weights is noise)
//	[!] cmpdirs A B             two folders hold the same files with the same bytes
//	grow FILE N                 wait until FILE has N lines more than now
//	appears FILE                wait until FILE is there
//	goal VAR STATISTICS N       set VAR to the images in the last line of STATISTICS plus N, and NAME to its nine digits
//	signal INT                  interrupt the background command; exited CODE, after wait, checks how that ended
//
// and, in script_files_test.go, those that make or spoil files.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	commands := map[string]func(*testscript.TestScript, []string){
		"fails":   scriptFails,
		"folder":  scriptFolder,
		"grow":    scriptGrow,
		"goal":    scriptGoal,
		"appears": scriptAppears,
		"signal":  scriptSignal,
		"exited":  scriptExited,
		"mkdata":  scriptMakeData,
		"mkidx":   scriptMakeIDX,
		"arrays":  scriptArrays,
		"trace":   scriptTrace,
		"close":   scriptClose,
		"cut":     scriptCut,
		"flip":    scriptFlip,
		"replace": scriptReplace,

		"samemetrics":    scriptSameMetrics,
		"lastevaluation": scriptLastEvaluation,
		"onlyfile":       scriptOnlyFile,
	}
	all := map[string]func(*testscript.TestScript, bool, []string){"same": scriptSame, "cmpdirs": scriptCompareFolders}
	for name, f := range commands {
		all[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("! %s has no meaning", name)
			}
			f(ts, args)
		}
	}
	return all
}

// need ends the script if a command has fewer than n arguments.
func need(ts *testscript.TestScript, args []string, n int, usage string) {
	if len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// number reads a whole number.
func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	ts.Check(err)
	return n
}

var errorLine = regexp.MustCompile(`(?m)^diffuse: error: \S.*$`)

// scriptFails runs a command that must fail the way DESIGN.md §4 says.
func scriptFails(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "fails CODE COMMAND ARG...")
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		ts.Fatalf("%q did not fail: %v", args[1:], err)
	}
	if got, want := exit.ExitCode(), number(ts, args[0]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if n := len(errorLine.FindAllString(ts.ReadFile("stderr"), -1)); n != 1 {
		ts.Fatalf("%d lines with 'diffuse: error: ' on stderr, want 1", n)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("a failed command wrote results: %q", out)
	}
	if strings.Contains(ts.ReadFile("stderr"), "goroutine ") {
		ts.Fatalf("the command panicked")
	}
}

// scriptFolder compares a folder's listing.
func scriptFolder(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "folder DIR NAME...")
	got, want := names(ts, args[0]), slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(got, want) {
		ts.Fatalf("%s holds %q, want %q", args[0], got, want)
	}
}

// names lists a folder of the script in order. testscript's own folder for temporary files is no litter.
func names(ts *testscript.TestScript, dir string) []string {
	entries, err := os.ReadDir(ts.MkAbs(dir))
	ts.Check(err)
	var list []string
	for _, e := range entries {
		if e.Name() != ".tmp" {
			list = append(list, e.Name())
		}
	}
	return list
}

// scriptSame compares two files.
func scriptSame(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "same A B")
	a, b := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	switch differ := a != b; {
	case differ && !neg:
		ts.Fatalf("%s (%d bytes) and %s (%d) differ from byte %d on", args[0], len(a), args[1], len(b), at)
	case !differ && neg:
		ts.Fatalf("%s and %s are the same %d bytes", args[0], args[1], len(a))
	}
}

// scriptCompareFolders compares all files of two folders.
func scriptCompareFolders(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "cmpdirs A B")
	a, b := names(ts, args[0]), names(ts, args[1])
	if len(a) == 0 || !slices.Equal(a, b) {
		ts.Fatalf("%s holds %q, %s %q", args[0], a, args[1], b)
	}
	var differ []string
	for _, name := range a {
		if ts.ReadFile(args[0]+"/"+name) != ts.ReadFile(args[1]+"/"+name) {
			differ = append(differ, name)
		}
	}
	if neg != (len(differ) > 0) {
		ts.Fatalf("of %d files in %s and %s these differ: %q", len(a), args[0], args[1], differ)
	}
}

// patience bounds every wait of a script; it is long, for busy machines and the race detector.
const patience = time.Minute

// scriptGrow waits for a growing file.
func scriptGrow(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "grow FILE N")
	path, more := ts.MkAbs(args[0]), number(ts, args[1])
	lines := func() int {
		b, _ := os.ReadFile(path) // before it is there it has no lines
		return bytes.Count(b, []byte("\n"))
	}
	now := lines()
	wait(ts, func() bool { return lines() >= now+more })
}

var imagesField = regexp.MustCompile(`"nimg":(\d+),`)

// scriptGoal sets an end for a run that was stopped at a place that the script cannot know.
func scriptGoal(ts *testscript.TestScript, args []string) {
	need(ts, args, 3, "goal VAR STATISTICS N")
	all := imagesField.FindAllStringSubmatch(ts.ReadFile(args[1]), -1)
	if len(all) == 0 {
		ts.Fatalf("no statistics in %s", args[1])
	}
	end := number(ts, all[len(all)-1][1]) + number(ts, args[2])
	ts.Setenv(args[0], strconv.Itoa(end))
	ts.Setenv("NAME", fmt.Sprintf("%09d", end))
}

// scriptAppears waits for a file.
func scriptAppears(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "appears FILE")
	path := ts.MkAbs(args[0])
	wait(ts, func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// wait polls, often, since the scripts act in the middle of short runs.
func wait(ts *testscript.TestScript, done func() bool) {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("nothing came in %v", patience)
		}
	}
}

// signalled holds the command that signal was sent to, by script, for exited to look at once it has been waited for.
type signalled struct{ *exec.Cmd }

// scriptSignal interrupts the background command, like Ctrl-C.
func scriptSignal(ts *testscript.TestScript, args []string) {
	if !slices.Equal(args, []string{"INT"}) {
		ts.Fatalf("usage: signal INT")
	}
	running := ts.BackgroundCmds()
	if len(running) != 1 {
		ts.Fatalf("%d background commands, want 1", len(running))
	}
	state := ts.Value(signalled{}).(*signalled)
	state.Cmd = running[0]
	ts.Check(state.Process.Signal(syscall.SIGINT))
}

// scriptExited checks the exit code of the command that was signalled.
func scriptExited(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "exited CODE")
	state := ts.Value(signalled{}).(*signalled)
	if state.Cmd == nil || state.ProcessState == nil {
		ts.Fatalf("exited comes after signal and wait")
	}
	if got := state.ProcessState.ExitCode(); got != number(ts, args[0]) {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
