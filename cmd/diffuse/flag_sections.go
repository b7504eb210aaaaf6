package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// sectionKey annotates flags with the heading they stand under in help texts, and with their place in it.
const sectionKey = "section"

// section puts the flags that bind adds to f under a heading of the help text, in the order in which they are added.
func section(f *pflag.FlagSet, title string, bind func()) {
	before, place := flagNames(f), 0
	f.SortFlags = false // VisitAll then goes by the order of addition
	bind()
	f.VisitAll(func(flag *pflag.Flag) {
		if place++; !before[flag.Name] {
			f.SetAnnotation(flag.Name, sectionKey, []string{title, fmt.Sprintf("%04d", place)})
		}
	})
}

// flagNames lists the flags of f.
func flagNames(f *pflag.FlagSet) map[string]bool {
	names := map[string]bool{}
	f.VisitAll(func(flag *pflag.Flag) { names[flag.Name] = true })
	return names
}

// flagSections is the part of a help text that explains a command's own flags, those without a heading last.
func flagSections(c *cobra.Command) string {
	var flags []*pflag.Flag
	c.LocalFlags().VisitAll(func(flag *pflag.Flag) { flags = append(flags, flag) })
	place := func(flag *pflag.Flag) string {
		if a := flag.Annotations[sectionKey]; a != nil {
			return a[1]
		}
		return "other"
	}
	slices.SortStableFunc(flags, func(a, b *pflag.Flag) int { return strings.Compare(place(a), place(b)) })
	var parts []string
	for lo, hi := 0, 0; lo < len(flags); lo = hi {
		title, set := heading(flags[lo], lo > 0), pflag.NewFlagSet("", pflag.ContinueOnError)
		for set.SortFlags = false; hi < len(flags) && heading(flags[hi], lo > 0) == title; hi++ {
			set.AddFlag(flags[hi])
		}
		if set.HasAvailableFlags() {
			parts = append(parts, title+":\n"+strings.TrimRight(set.FlagUsagesWrapped(helpWidth()), "\n "))
		}
	}
	return strings.Join(parts, "\n\n")
}

// heading is what stands above a flag.
func heading(flag *pflag.Flag, others bool) string {
	switch a := flag.Annotations[sectionKey]; {
	case a != nil:
		return a[0]
	case others:
		return "Other flags"
	}
	return "Flags"
}

// helpWidth is the width of the terminal, within reason.
func helpWidth() int {
	const narrow, usual, wide = 60, 100, 140
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		return min(max(w, narrow), wide)
	}
	return usual
}

// sectionedUsage makes cobra's usage text show flags by section, and all of them within the terminal's width.
func sectionedUsage(root *cobra.Command) {
	cobra.AddTemplateFunc("flagSections", flagSections)
	cobra.AddTemplateFunc("globalFlags", func(c *cobra.Command) string {
		return strings.TrimRight(c.InheritedFlags().FlagUsagesWrapped(helpWidth()), "\n ")
	})
	const own, inherited = "Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}", "{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}"
	text := strings.NewReplacer(own, "{{flagSections .}}", inherited, "{{globalFlags .}}").Replace(root.UsageTemplate())
	if !strings.Contains(text, "flagSections") || !strings.Contains(text, "globalFlags") {
		panic("cobra's usage template has changed: " + text)
	}
	root.SetUsageTemplate(text)
}
