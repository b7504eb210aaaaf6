package main

import (
	"github.com/spf13/cobra"
)

// helpCommand replaces cobra's, which shows the general help for a command that does not exist and calls that a success.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		Example: `  diffuse help
  diffuse help sample`,
		Args: between(0, 1, "at most one command"),
		ValidArgsFunction: func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return commandNames(c.Root()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			topic, _, err := c.Root().Find(args)
			if err != nil || len(args) > 0 && topic == c.Root() {
				return unknownName("command", args[0], commandNames(c.Root()))
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
