// Command diffuse samples, trains and looks into pixel-space diffusion models on ordinary machines.
//
// Each subcommand lives in the file of its name: sample.go, forward.go, train.go, inspect.go, schedule.go, bench.go. A subcommand is a
// struct of options that flags bind to, a check that refuses contradictions before any work starts, and a run method over plain
// writers, so that every one of them can be called in a test. Two files are shared by all: ui.go is the tool's one voice (errors,
// hints, progress, exit codes) and flags.go reads lists and numbers.
//
// The tool talks as follows. Results, and JSON with --json, go to standard output; progress, warnings and errors go to standard
// error; --quiet silences all but errors and results. Flags may be spelled with dashes or underscores. Exit codes: 0 success,
// 1 failure, 2 wrong usage, 130 interrupted.
//
// Start reading at runSample in sample_run.go: it is the way of one picture, and docs/architecture.md retells it.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		delayCollector(64 << 20)
	}
	os.Exit(mainCode())
}

// delayCollector puts off the garbage collector's first cycle until so many bytes are in use, and changes nothing after that: a command that
// draws one picture never gets there, and would spend a quarter of its time on collections otherwise.
func delayCollector(bytes int64) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(bytes)
	first := new([1 << 10]byte)
	runtime.SetFinalizer(first, func(*[1 << 10]byte) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
}

// mainCode runs the tool on the process's own arguments and returns its exit code. The first interrupt cancels the context, which
// commands answer by leaving things in order; a second one kills.
func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	return complain(os.Stderr, err)
}

// run executes one command line. Errors are returned, not printed: complain does that.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	threads := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(threads)
	results := &resultWriter{Writer: stdout}
	u := &ui{stdout: results, stderr: stderr}
	root := rootCommand(u)
	root.SetArgs(args)
	root.SetOut(results)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return err
	}
	return results.err
}

// rootCommand builds the whole command tree; nothing is registered anywhere else.
func rootCommand(u *ui) *cobra.Command {
	var threads int
	root := &cobra.Command{
		Use:   "diffuse",
		Short: "Sample, train and look into pixel-space diffusion models",
		Long: `diffuse samples, trains and looks into pixel-space diffusion models.

Start with "diffuse sample": it draws pictures with the model inside the
program and writes them to diffuse.png.`,
		Example: `  diffuse sample                                # a grid of pictures in diffuse.png
  diffuse sample --class sneaker --num 16       # one class only
  diffuse train --preset fashion --data DIR --out runs/fashion
  diffuse inspect runs/fashion`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknownName("command", args[0], commandNames(c))
		},
		PersistentPreRunE: func(c *cobra.Command, args []string) error {
			if threads < 0 {
				return usagef("--threads is %d; it must be 1 or more (0 = one per processor)", threads)
			}
			if threads > 0 {
				runtime.GOMAXPROCS(threads)
			}
			return nil
		},
	}
	root.PersistentFlags().IntVar(&threads, "threads", 0, "processors to use (0 = all); results do not depend on it")
	root.PersistentFlags().BoolVarP(&u.quiet, "quiet", "q", false, "no progress and no summary, only errors, warnings and asked-for results")
	root.PersistentFlags().BoolVar(&u.json, "json", false, "results as JSON on standard output")
	precisionFlag(root.PersistentFlags(), &u.precision)
	root.Version = version().String()
	root.SetVersionTemplate("{{.Version}}")
	root.SetGlobalNormalizationFunc(normalizeFlag)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		sampleCommand(u),
		forwardCommand(u),
		trainCommand(u),
		distillCommand(u),
		emaCommand(u),
		evalCommand(u),
		invertCommand(u),
		likelihoodCommand(u),
		tuneCommand(u),
		dataCommand(u),
		inspectCommand(u),
		convertCommand(u),
		scheduleCommand(u),
		classifierCommand(u),
		reportCommand(u),
		benchCommand(u),
		versionCommand(u),
		completionCommand(u),
		manCommand(u),
	)
	root.SetHelpCommand(helpCommand())
	sectionedUsage(root)
	root.CompletionOptions.DisableDefaultCmd = true
	completeFlags(root)
	return root
}

// normalizeFlag makes --sigma_max, --S_churn and --s-churn name the same flags as their plain spellings.
func normalizeFlag(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ToLower(strings.ReplaceAll(name, "_", "-")))
}

// commandNames lists the subcommands a user may type.
func commandNames(c *cobra.Command) []string {
	var names []string
	for _, s := range c.Commands() {
		if s.IsAvailableCommand() {
			names = append(names, s.Name())
		}
	}
	return names
}
