package main

import (
	"slices"

	"github.com/spf13/cobra"
)

// helpCommand replaces cobra's, which shows the general help for a command that does not exist and calls that a success.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Explain a command",
		Example: `  diffuse help
  diffuse help sample
  diffuse help data pack`,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			topic, _, _ := c.Root().Find(args)
			return commandNames(topic), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			topic := c.Root()
			for _, name := range args {
				deeper := slices.IndexFunc(topic.Commands(), func(s *cobra.Command) bool { return s.Name() == name })
				if deeper < 0 && !topic.HasSubCommands() {
					return usagef("%s has no commands of its own, such as %q", topic.CommandPath(), name)
				}
				if deeper < 0 {
					return unknownName("command", name, commandNames(topic))
				}
				topic = topic.Commands()[deeper]
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// shells are those that completion scripts can be made for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

// completionCommand replaces cobra's for the same reason; the scripts are cobra's.
func completionCommand(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands, flags and names in a shell",
		Long: `Print a script that completes commands, flags and the names of samplers,
schedules, presets and embedded models in bash, zsh, fish or powershell.`,
		Example: `  source <(diffuse completion bash)                  # this session
  diffuse completion bash > ~/.local/share/bash-completion/completions/diffuse
  diffuse completion zsh > "${fpath[1]}/_diffuse"
  diffuse completion fish > ~/.config/fish/completions/diffuse.fish`,
		Args:              between(1, 1, "one shell"),
		ValidArgsFunction: completeWith(shells),
		RunE: func(c *cobra.Command, args []string) error {
			switch root := c.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(u.stdout, true)
			case "zsh":
				return root.GenZshCompletion(u.stdout)
			case "fish":
				return root.GenFishCompletion(u.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(u.stdout)
			}
			return unknownName("shell", args[0], shells)
		},
	}
}
