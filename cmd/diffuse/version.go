package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"diffuse/internal/kernel"
)

// versionInfo is what bug reports and picture metadata need to know about a binary.
type versionInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	System  string `json:"system"`
	Kernels string `json:"kernels"` // the arithmetic in use: generic, avx2, avx512
	Threads int    `json:"threads"`
}

// version describes this binary on this machine.
func version() versionInfo {
	v := versionInfo{
		Version: "devel",
		Go:      runtime.Version(),
		System:  runtime.GOOS + "/" + runtime.GOARCH,
		Kernels: kernel.Current().String(),
		Threads: runtime.GOMAXPROCS(0),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.Version = m
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value[:min(12, len(s.Value))]
		}
	}
	return v
}

// String is what "diffuse version" and "diffuse --version" print.
func (v versionInfo) String() string {
	return fmt.Sprintf("%s\n%s %s, %s kernels, %s\n", strings.TrimSpace("diffuse "+v.Version+" "+v.Commit), v.System, v.Go, v.Kernels, plural(v.Threads, "thread"))
}

func versionCommand(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the system and the kernels in use",
		Example: `  diffuse version
  diffuse version --json`,
		Args: between(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if u.json {
				return u.result(v)
			}
			_, err := fmt.Fprint(u.stdout, v)
			return err
		},
	}
}
