package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// A ui is where a command's words go: results to stdout, everything else to stderr.
type ui struct {
	stdout, stderr io.Writer
	quiet          bool // no progress, no notes, no summaries
	json           bool // results as JSON
	precision      precisionName
}

// A resultWriter remembers the first failure of standard output, so that results lost to a full disk are never a success, whoever
// wrote them.
type resultWriter struct {
	io.Writer
	err error
}

func (w *resultWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		err = fmt.Errorf("writing to standard output: %w", cause(err))
		if w.err == nil {
			w.err = err
		}
	}
	return n, err
}

// note writes one line for the person at the terminal, unless --quiet.
func (u *ui) note(format string, args ...any) {
	if !u.quiet {
		fmt.Fprintf(u.stderr, format+"\n", args...)
	}
}

// warn writes one line that deserves attention; --quiet does not silence it.
func (u *ui) warn(format string, args ...any) {
	fmt.Fprintf(u.stderr, "diffuse: %s %s\n", paint(u.stderr, "33", "warning:"), fmt.Sprintf(format, args...))
}

// summary writes the closing line of a command, unless --quiet or --json asked for something else.
func (u *ui) summary(format string, args ...any) {
	if !u.quiet && !u.json {
		fmt.Fprintf(u.stdout, format+"\n", args...)
	}
}

// result writes v as indented JSON.
func (u *ui) result(v any) error {
	e := json.NewEncoder(u.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// A usageError is a mistake on the command line: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// A hintedError carries one line of advice beside the error.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Unwrap() error { return e.error }

// withHint attaches advice to err; a nil error stays nil.
func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return hintedError{err, fmt.Sprintf(format, args...)}
}

// unknownName says that name is no kind of thing we know, and lists the ones we do.
func unknownName(kind, name string, valid []string) error {
	kinds := kind + "s"
	if strings.HasSuffix(kind, "s") {
		kinds = kind + "es"
	}
	err := usagef("unknown %s %q", kind, name)
	return withHint(err, "%sknown %s: %s", didYouMean(name, valid), kinds, strings.Join(valid, ", "))
}

// didYouMean begins a hint with the name that is spelled most like the given one, or is empty.
func didYouMean(name string, valid []string) string {
	if near := nearest(strings.ToLower(name), valid); near != "" {
		return fmt.Sprintf("did you mean %s? ", near)
	}
	return ""
}

// hintNearest attaches the name that is spelled most like the given one, if there is such a one.
func hintNearest(err error, name string, valid []string) error {
	if words := didYouMean(name, valid); words != "" {
		return withHint(err, "%s", words)
	}
	return err
}

// plural writes a count and what is counted, which gets an s unless it is one.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// errInterrupted ends a command that the user stopped: exit code 130. Commands wrap it with what they left behind.
var errInterrupted = errors.New("interrupted")

// complain prints err in the tool's voice and returns the exit code that belongs to it.
func complain(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "diffuse: %s %s\n", paint(stderr, "31", "error:"), oneLine(err.Error()))
	var hinted hintedError
	if errors.As(err, &hinted) {
		fmt.Fprintf(stderr, "diffuse: hint: %s\n", oneLine(hinted.hint))
	}
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return 2
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return 130
	}
	return 1
}

// oneLine keeps a message on the one line that an error has, be it several errors joined or words of an outside party.
func oneLine(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if words := strings.Fields(line); len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	return strings.Join(lines, "; ")
}

// flagError turns pflag's complaints into usage errors with the nearest flag as a hint.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "" {
		name := string(normalizeFlag(nil, unknown.GetSpecifiedName()))
		if strings.Contains(c.Use, "MODEL") && slices.Contains(modelFlags, name) {
			return withHint(usageError{err}, "the model is a plain argument: %s", c.UseLine())
		}
		if meant := meantFlag(c.Flags(), name); meant != "" {
			return withHint(usageError{err}, "did you mean --%s? All flags: %s --help", meant, c.CommandPath())
		}
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		err = fmt.Errorf("--%s: %w", invalid.GetFlag().Name, wrongValue(invalid))
	}
	return withHint(usageError{err}, "%s --help explains every flag", c.CommandPath())
}

// otherNames are what other programs call our flags: diffusers, EDM, k-diffusion, stable-diffusion.cpp and training scripts. Of several the first
// that a command has is meant.
var otherNames = map[string][]string{
	"batch-size": {"batch"}, "train-batch-size": {"batch"}, "bs": {"batch"}, "cfg-scale": {"guidance"}, "guidance-scale": {"guidance"}, "cfg": {"guidance"},
	"dataset": {"data"}, "data-dir": {"data"}, "train-data-dir": {"data"}, "epochs": {"duration"}, "num-epochs": {"duration"}, "kimg": {"duration"}, "max-train-steps": {"duration"},
	"init-img": {"from"}, "init-image": {"from"}, "image": {"from"}, "learning-rate": {"lr"}, "num-steps": {"steps"}, "num-inference-steps": {"steps"}, "sample-steps": {"steps"},
	"sampling-method": {"sampler"}, "solver": {"sampler"}, "scheduler": {"sampler"}, "num-images": {"num"}, "num-samples": {"num"}, "n-samples": {"num"}, "batch-count": {"num"},
	"output": {"grid", "out"}, "output-dir": {"outdir", "out"}, "outdir": {"out"}, "prompt": {"class"}, "label": {"class"}, "labels": {"class"}, "seed": {"seeds"}, "type": {"precision"}, "dtype": {"precision"},
}

// modelFlags are flags of other programs for what is a plain argument here.
var modelFlags = []string{"model", "network", "ckpt", "checkpoint", "model-path", "model-dir", "pretrained-model-name-or-path", "diffusion-model"}

// meantFlag is the flag that an unknown one stands for: that of another program's name, else the one spelled most like it; "" if there is none.
func meantFlag(f *pflag.FlagSet, name string) string {
	for _, ours := range otherNames[name] {
		if f.Lookup(ours) != nil {
			return ours
		}
	}
	var names []string
	f.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return nearest(name, names)
}

// wrongValue says what a flag's value should have been, where pflag's types leave that to the words of Go's parsers.
func wrongValue(e *pflag.InvalidValueError) error {
	want, plain := map[string]string{
		"float64": "a number", "int": "a whole number", "uint64": "a whole number of 0 or more", "bool": "true or false", "duration": "a time such as 500ms or 2s",
	}[e.GetFlag().Value.Type()]
	switch {
	case !plain:
		return e.Unwrap()
	case errors.Is(e, strconv.ErrRange):
		return fmt.Errorf("%q is out of range", e.GetValue())
	}
	return fmt.Errorf("%q is not %s", e.GetValue(), want)
}

// nearest returns the name at the smallest edit distance, or "" if none is within a third of the name's length.
func nearest(name string, names []string) string {
	best, found := 1+len(name)/3, ""
	for _, n := range names {
		if d := editDistance(name, n); d < best || d == best && found == "" {
			best, found = d, n
		}
	}
	return found
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// between checks the number of plain arguments in the tool's voice; what names those that are wanted.
func between(lo, hi int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < lo || hi >= 0 && len(args) > hi {
			got := "none"
			if len(args) > 0 {
				got = fmt.Sprintf("%q", args)
			}
			err := usagef("%s takes %s, got %s", c.CommandPath(), what, got)
			return withHint(err, "usage: %s", c.UseLine())
		}
		return nil
	}
}

// paint colours s when w is a terminal that wants colours.
func paint(w io.Writer, code, s string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	if r, ok := w.(*resultWriter); ok {
		w = r.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// sortedKeys lists the keys of m in order, for messages and help.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
