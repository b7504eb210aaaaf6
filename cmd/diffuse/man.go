package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/checkpoint"
)

func manCommand(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of all commands",
		Long: `Write the manual pages diffuse.1, diffuse-sample.1, … into the folder DIR, which is made
if it does not exist. They say what --help says.`,
		Example: `  diffuse man ~/.local/share/man/man1    # then: man diffuse-sample
  diffuse man pages && man pages/diffuse-train.1`,
		Args: between(1, 1, "one folder"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := makeFolder("DIR", args[0]); err != nil {
				return err
			}
			n, err := writePages(c.Root(), args[0])
			if err == nil && u.json {
				return u.result(map[string]any{"folder": args[0], "pages": n})
			}
			if err == nil {
				u.summary("%s: %s", args[0], plural(n, "manual page"))
			}
			return err
		},
	}
}

// writePages writes the page of c, and those of its commands, into dir, and returns how many that were.
func writePages(c *cobra.Command, dir string) (n int, err error) {
	c.InitDefaultHelpFlag()
	err = checkpoint.AtomicFile(filepath.Join(dir, pageName(c)+".1"), func(w io.Writer) error {
		_, err := io.WriteString(w, page(c))
		return err
	})
	n = 1
	for _, sub := range c.Commands() {
		if err != nil {
			break
		}
		if sub.IsAvailableCommand() {
			var more int
			more, err = writePages(sub, dir)
			n += more
		}
	}
	return n, err
}

// pageName is what man calls the page of a command.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page is the manual page of a command in the language of man: its help, whose lines stay as they are and whose headings become sections.
func page(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"diffuse %s\" \"diffuse\"\n.SH NAME\n%s \\- %s\n", roff(strings.ToUpper(pageName(c))), roff(version().Version), roff(pageName(c)), roff(c.Short))
	section := func(title string) { fmt.Fprintf(&b, ".SH %s\n.nf\n", roff(strings.ToUpper(title))) }
	if c.Long != "" {
		section("Description")
		for line := range strings.Lines(c.Long) {
			b.WriteString(roff(strings.TrimRight(line, "\n")) + "\n")
		}
		b.WriteString(".fi\n")
	}
	for line := range strings.Lines(c.UsageString()) {
		line = strings.TrimRight(line, " \n")
		if title, isTitle := strings.CutSuffix(line, ":"); isTitle && title != "" && title[0] != ' ' {
			section(title)
		} else {
			b.WriteString(roff(strings.TrimPrefix(line, "  ")) + "\n")
		}
	}
	b.WriteString(".fi\n")
	if p := c.Parent(); p != nil {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", roff(pageName(p)))
	}
	return b.String()
}

// roff writes a line so that man shows it as it is.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`, "'", `\(aq`).Replace(line)
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}
